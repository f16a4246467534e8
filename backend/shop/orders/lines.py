"""Whether the lines of an order may be changed: not while a payment of theirs is on its way or here."""

from collections.abc import Collection

from shop.database.refusal import Refusal
from shop.orders.models import Order, Payment


class LinesFixedError(Refusal):
    """A payment holds the lines of the order."""

    code = "lines_fixed"
    message = "The lines cannot change while a payment of the order is open, paid, refunding or disputed"


def check_lines_free(orders: Collection[int]) -> None:
    """Lock these orders, in a transaction; raise LinesFixedError if a payment holds lines of one."""
    locked = Order.objects.filter(pk__in=orders).order_by("pk").select_for_update(no_key=True)
    if Payment.objects.filter(order__in=list(locked.values_list("pk", flat=True))).holding().exists():
        raise LinesFixedError
