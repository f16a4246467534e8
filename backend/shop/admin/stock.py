"""The stock follows the lines of orders, also those that staff write."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from shop.admin.forms import first_ten
from shop.catalog import stock
from shop.catalog.models import Product
from shop.orders.models import Order
from shop.orders.workflow import CANCELLABLE, quantities_of


@contextmanager
def stock_follows(orders: Collection[int]) -> Iterator[None]:
    """Take what the block adds to the lines of these orders, and give back what it takes away from them.

    The orders must be locked, and none of them cancelled. Raises ValidationError for more than is in stock.
    """
    before = quantities_of(orders)
    yield
    after = quantities_of(orders)
    more = {key: after.get(key, 0) - before.get(key, 0) for key in before | after}
    if more := {key: units for key, units in more.items() if units}:
        taken = stock.take(more)
        short = Product.objects.filter(pk__in=more.keys() - taken.keys()).order_by("pk")
        # A product that somebody has deleted meanwhile is none of them: the foreign keys tell.
        lacking = [
            f"{product} ({more[product.pk]} more wanted, {product.stock} available)" for product in short
        ]
        if lacking:
            raise ValidationError(f"There is not enough in stock: {first_ten(lacking)}.")


def held_back(orders: QuerySet[Order]) -> dict[int, int]:
    """Lock these orders, and return how many of each product those hold that were not sent yet."""
    locked = orders.order_by("pk").select_for_update(no_key=True).values_list("pk", "status")
    return quantities_of([key for key, status in locked if status in CANCELLABLE])
