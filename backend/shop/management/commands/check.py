"""`manage.py check`: Django's, which also says that mails wait."""

from typing import Any

from django.core.checks import register
from django.core.management.commands import check

from shop.jobs.checks import check_mail


class Command(check.Command):
    """Has a check of its own, which would stand before the output of any other command."""

    def handle(self, *app_labels: Any, **options: Any) -> None:
        """Check that, too."""
        register(check_mail)
        super().handle(*app_labels, **options)
