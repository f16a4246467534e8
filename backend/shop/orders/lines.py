"""Whether the lines of an order may be changed: not once it has an invoice, nor while it is paid."""

from collections.abc import Collection

from shop.database.refusal import Refusal
from shop.orders.models import Invoice, Order, Payment


class LinesFixedError(Refusal):
    """An invoice or a payment holds the lines of the order."""

    code = "lines_fixed"
    message = "The lines cannot change while a payment of the order is open, paid, refunding or disputed"


def why_fixed(orders: Collection[int]) -> str:
    """Return why the lines of one of these orders cannot change, or ""."""
    if invoice := Invoice.objects.filter(order__in=orders).order_by("number").first():
        return f"The lines cannot change: the order has the invoice {invoice}"
    return LinesFixedError.message if Payment.objects.filter(order__in=orders).holding().exists() else ""


def check_lines_free(orders: Collection[int]) -> None:
    """Lock these orders, in a transaction; raise LinesFixedError if something holds lines of one."""
    locked = Order.objects.filter(pk__in=orders).order_by("pk").select_for_update(no_key=True)
    keys = list(locked.values_list("pk", flat=True))
    if reason := why_fixed(keys):
        raise LinesFixedError(reason)
