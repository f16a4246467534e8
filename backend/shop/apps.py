"""The shop as a Django app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The one app of the project."""

    name = "shop"
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        """Register the check of the standby, and what guards the values in errors."""
        from shop.database import errors, standby  # noqa: F401
