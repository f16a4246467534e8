"""Users and groups: Django's own admins, made as safe as ours."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ManyToManyField
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest

from shop.admin.base import SafeAdmin

admin.site.unregister([Group, User])


class Checkboxes(admin.ModelAdmin):
    """Choices of many as checkboxes: Django's two lists have parts without a name."""

    filter_horizontal = ()

    def formfield_for_manytomany(
        self, db_field: ManyToManyField, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        kwargs["widget"] = CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[arg-type]


@admin.register(Group)
class SafeGroupAdmin(Checkboxes, SafeAdmin, GroupAdmin):
    """Groups of staff."""


@admin.register(User)
class SafeUserAdmin(Checkboxes, SafeAdmin, UserAdmin):
    """Staff."""
