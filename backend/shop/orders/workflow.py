"""The way of an order through its statuses."""

from collections.abc import Collection

from django.db import transaction
from django.db.models import CharField, Sum
from django.utils import timezone

from shop.catalog import stock
from shop.database.refusal import MissingError, Refusal
from shop.jobs.models import Job
from shop.jobs.worker import MONEY
from shop.orders.invoices import cancel_invoices
from shop.orders.mails import OF_STATUS, tell
from shop.orders.models import (
    Actor,
    Delivery,
    Order,
    OrderHistory,
    OrderItem,
    OrderStatus,
    Payment,
    PaymentProvider,
    PaymentStatus,
)

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

CANCELLABLE = (OrderStatus.PENDING, OrderStatus.PROCESSING)
"""Where a customer may cancel."""

CLOSE_PAGE = "shop.payments.expiring.close_page"
REFUND = "shop.payments.refunding.refund"
"""The jobs that cancelling leaves to the room of payments, which knows orders."""


class IllegalTransitionError(Refusal):
    """The order cannot go there from where it is; `allowed` says where it can."""

    code = "illegal_transition"
    message = "An order that is cancelled cannot become shipped"
    members = {"allowed": [CharField(choices=OrderStatus)]}


class NotCancellableError(Refusal):
    """The order is too far for its customer to cancel it."""

    code = "not_cancellable"
    message = "An order that is shipped cannot be cancelled"


@transaction.atomic
def move(
    *,
    orders: Collection[int],
    to: OrderStatus,
    by: Actor,
    sources: Collection[OrderStatus] | None = None,
) -> dict[int, OrderStatus]:
    """Move those of the orders with these keys that may go there; the others stay.

    Cancelling gives back stock, begins to give back what was paid, and cancels the invoice. `sources` narrows
    from where. Returns the keys of those that moved, each with the status it came from.
    """
    from_ = [status for status, targets in TRANSITIONS.items() if to in targets]
    if sources is not None:
        from_ = [status for status in from_ if status in sources]
    # Whoever waits for a row is given it only if its status, as it is by then, still is a source. The same
    # order for everybody keeps two moves from waiting for each other.
    movable = Order.objects.filter(pk__in=orders, status__in=from_).order_by("pk")
    came_from = dict(movable.select_for_update(no_key=True).values_list("pk", "status"))
    moved = Order.objects.filter(pk__in=came_from, status__in=from_).update(status=to)
    if moved != len(came_from):
        message = f"{moved} orders became {to} instead of the {len(came_from)} that are locked"
        raise RuntimeError(message)
    OrderHistory.objects.bulk_create(
        [OrderHistory(order_id=key, status=to, by=by) for key in came_from], batch_size=5000
    )
    if came_from and to == OrderStatus.CANCELLED:
        let_payments_go(came_from)
        stock.give_back(quantities_of(came_from))
    if kind := OF_STATUS.get(to):
        tell(kind, came_from)
    if came_from and to == OrderStatus.CANCELLED:
        # After the mails, which take seconds for thousands: meanwhile nobody else could make an invoice.
        cancel_invoices(came_from)
    return {key: OrderStatus(status) for key, status in came_from.items()}


def quantities_of(orders: Collection[int]) -> dict[int, int]:
    """Return how many of each product are in the lines of these orders."""
    lines = OrderItem.objects.filter(order__in=orders).order_by()
    return dict(lines.values("product").annotate(units=Sum("quantity")).values_list("product", "units"))


def let_payments_go(orders: Collection[int]) -> None:
    """Expire the open payments of orders that are locked, begin to refund the others; jobs do the rest."""
    ends = {
        PaymentStatus.OPEN: (PaymentStatus.EXPIRED, CLOSE_PAGE),
        PaymentStatus.PAID: (PaymentStatus.REFUNDING, REFUND),
        PaymentStatus.DISPUTED: (PaymentStatus.REFUNDING, REFUND),
    }
    live = Payment.objects.filter(order__in=orders).live().order_by("pk").select_for_update(no_key=True)
    found = list(live.values_list("pk", "status", "provider", "amount"))
    for status, (end, task) in ends.items():
        some = {key: (by, amount) for key, present, by, amount in found if present == status}
        Payment.objects.filter(pk__in=some, status=status).update(status=end, changed_at=timezone.now())
        # What came by invoice staff send back; of nothing there is nothing to send.
        calls = [(key,) for key, (by, amount) in some.items() if by != PaymentProvider.INVOICE or not amount]
        Job.objects.enqueue(task, calls, queue=MONEY)


@transaction.atomic
def set_status(
    *, order_id: int, to: OrderStatus, carrier: str | None = None, tracking_number: str | None = None
) -> None:
    """Move an order for the staff, with how it is sent. The status it has already changes that alone.

    Raises MissingError and IllegalTransitionError.
    """
    sent = {"carrier": carrier, "tracking_number": tracking_number}
    if sent := {name: text for name, text in sent.items() if text is not None}:
        status_of(order_id)  # everybody locks the order first
        # Before the order moves, as the mail about it tells them.
        Delivery.objects.filter(order_id=order_id).update(**sent)
    if not move(orders=[order_id], to=to, by=Actor.STAFF):
        status = status_of(order_id)
        if status != to:
            raise IllegalTransitionError(
                f"An order that is {status} cannot become {to}", allowed=[str(s) for s in TRANSITIONS[status]]
            )


@transaction.atomic
def cancel(*, order_id: int, by: Actor) -> None:
    """Cancel an order for its customer; one that is cancelled stays so. Raises NotCancellableError."""
    if not move(orders=[order_id], to=OrderStatus.CANCELLED, by=by, sources=CANCELLABLE):
        status = status_of(order_id)
        if status != OrderStatus.CANCELLED:
            raise NotCancellableError(f"An order that is {status} cannot be cancelled")


def status_of(order_id: int) -> OrderStatus:
    """Lock the order, and return its status as it is now. Needs a transaction."""
    order = Order.objects.filter(pk=order_id).select_for_update(no_key=True)
    for status in order.values_list("status", flat=True):
        return OrderStatus(status)
    raise MissingError("Order not found")
