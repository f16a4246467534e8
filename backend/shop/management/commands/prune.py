"""`manage.py prune`: what need not be kept any more goes."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from shop.catalog.importing import prune_imports
from shop.jobs.pruning import prune_jobs
from shop.orders.pruning import prune
from shop.payments.events import prune_events


class Command(BaseCommand):
    """Prune, and say in one line what went."""

    help = (
        "Empties the addresses of old deliveries and invoices (SHOP_KEEP_YEARS), "
        "and deletes old notes, keys, tokens, jobs and the like."
    )

    def handle(self, *, verbosity: int, **_: Any) -> None:
        """Do it; what cannot be done now is done the next time."""
        gone = prune(keep_years=settings.SHOP_KEEP_YEARS) | prune_jobs() | prune_events() | prune_imports()
        call_command("clearsessions")
        if verbosity:
            self.stdout.write("Gone: " + ", ".join(f"{number} {name}" for name, number in gone.items()) + ".")
