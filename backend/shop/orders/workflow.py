"""The way of an order through its statuses."""

from collections.abc import Collection

from django.db import transaction

from shop.orders.models import Order, OrderStatus

TRANSITIONS = {
    OrderStatus.PENDING: (
        OrderStatus.PROCESSING,
        OrderStatus.SHIPPED,
        OrderStatus.COMPLETED,
        OrderStatus.CANCELLED,
    ),
    OrderStatus.PROCESSING: (OrderStatus.SHIPPED, OrderStatus.COMPLETED, OrderStatus.CANCELLED),
    OrderStatus.SHIPPED: (OrderStatus.COMPLETED, OrderStatus.CANCELLED),
    OrderStatus.COMPLETED: (),
    OrderStatus.CANCELLED: (),
}
"""Where an order may go from each status."""


@transaction.atomic
def move(*, orders: Collection[int], to: OrderStatus) -> dict[int, OrderStatus]:
    """Move those of the orders with these keys that may go there; the others stay.

    Return the keys of those that moved, each with the status it came from.
    """
    sources = [status for status, targets in TRANSITIONS.items() if to in targets]
    # A transaction that waits for a row gets it only if its status still is a source by then. The same
    # order for everybody keeps two moves from waiting for each other.
    movable = Order.objects.filter(pk__in=orders, status__in=sources).order_by("pk")
    came_from = dict(movable.select_for_update(no_key=True).values_list("pk", "status"))
    moved = Order.objects.filter(pk__in=came_from, status__in=sources).update(status=to)
    if moved != len(came_from):
        message = f"{moved} orders became {to} instead of the {len(came_from)} that are locked"
        raise RuntimeError(message)
    return {key: OrderStatus(status) for key, status in came_from.items()}
