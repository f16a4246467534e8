"""The admin as a Django app."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """Django's admin with our sign-in."""

    default_site = "webshop.sign_in.Site"
