"""Whether the lines of an order may be changed: not once it has an invoice, nor while it is paid."""

from collections.abc import Collection

from shop.database.refusal import Refusal
from shop.orders.models import Invoice, Order, Payment


class LinesFixedError(Refusal):
    """An invoice or a payment holds the lines of the order."""

    code = "lines_fixed"
    message = "The lines cannot change while a payment of the order is open, paid, refunding or disputed"


def check_lines_free(orders: Collection[int]) -> None:
    """Lock these orders, in a transaction; raise LinesFixedError if something holds lines of one."""
    locked = Order.objects.filter(pk__in=orders).order_by("pk").select_for_update(no_key=True)
    keys = list(locked.values_list("pk", flat=True))
    if invoice := Invoice.objects.filter(order__in=keys).order_by("number").first():
        raise LinesFixedError(f"The lines cannot change: the order has the invoice {invoice}")
    if Payment.objects.filter(order__in=keys).holding().exists():
        raise LinesFixedError
