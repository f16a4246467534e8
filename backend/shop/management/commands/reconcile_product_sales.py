"""`manage.py reconcile_product_sales`: product_sales made right where triggers were switched off."""

from typing import Any

from django.core.management.base import BaseCommand

from shop.orders.sales import reconcile

NAMED_PRODUCTS = 10


class Command(BaseCommand):
    """Compare product_sales with the order lines, add what it lacks, and say so in one line."""

    help = "Makes product_sales what the order lines add up to, while others sell."

    def handle(self, **_: Any) -> None:
        """Say how many products were wrong, which ones, and by how much in all."""
        changes = reconcile()
        if not changes:
            self.stdout.write("product_sales is what the order lines add up to: nothing changed.")
            return
        ids = ", ".join(str(change.product_id) for change in changes[:NAMED_PRODUCTS])
        more = f" and {len(changes) - NAMED_PRODUCTS} more" if len(changes) > NAMED_PRODUCTS else ""
        units = sum(change.quantity for change in changes)
        revenue = sum(change.revenue for change in changes)
        self.stdout.write(
            f"product_sales corrected for product {ids}{more}: {units:+} units, {revenue:+.2f} revenue."
        )
