"""Users and groups: Django's own admins, made as safe as ours."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from shop.admin.base import SafeAdmin

admin.site.unregister([Group, User])


@admin.register(Group)
class SafeGroupAdmin(SafeAdmin, GroupAdmin):
    """Groups of staff."""


@admin.register(User)
class SafeUserAdmin(SafeAdmin, UserAdmin):
    """Staff."""
