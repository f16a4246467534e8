"""`manage.py check_shop`: whether the books balance."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from shop.orders.books import faults


class Command(BaseCommand):
    """Print a line for each fault and end with 1, or one line and 0 if there is none."""

    help = "Proves the books: totals, sales, stock and the histories of orders. It only reads."

    def handle(self, **_: Any) -> None:
        """Compare, as of one moment."""
        found = faults()
        for fault in found or ["The books balance."]:
            self.stdout.write(fault)
        if found:
            sys.exit(1)
