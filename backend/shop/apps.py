"""The shop as a Django app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The one app of the project."""

    name = "shop"
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        """Register the checks of the standby and of mail, and what guards the values in errors."""
        from shop.database import errors, standby  # noqa: F401
        from shop.jobs import checks  # noqa: F401
