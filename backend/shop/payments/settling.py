"""What becomes of a payment, its order and its money, by what the provider says of it."""

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django_tasks import task

from shop.database.refusal import MissingError, Refusal
from shop.jobs.models import Job
from shop.jobs.worker import MONEY
from shop.orders.mails import tell
from shop.orders.models import Actor, Order, OrderStatus, Payment, PaymentProvider, PaymentStatus
from shop.orders.workflow import CLOSE_PAGE, REFUND, move
from shop.payments.provider import Report
from shop.payments.providers import provider_of
from shop.payments.starting import start
from shop.payments.trouble import tell_staff

REFUNDABLE = (PaymentStatus.PAID, PaymentStatus.DISPUTED, PaymentStatus.REFUND_FAILED)
"""Those of which the shop has the money, and sends none."""

CHARGED_BACK = "The customer's bank took the money back"
REFUNDED_THERE = "It was refunded at the provider"
REFUND_CAME_BACK = "The refund did not arrive"
REPAID_BY_HAND = "Repaid by hand"
PARTLY_REFUNDED = "So much of it was refunded at the provider: {}"


class NotDisputedError(Refusal):
    """There is nothing to accept."""

    code = "not_disputed"
    message = "The payment is not disputed"


@task(queue_name=MONEY)
def settle(payment_id: int) -> None:
    """Ask the provider what became of a payment, and do what follows from it."""
    payment = Payment.objects.filter(pk=payment_id).exclude(provider=PaymentProvider.INVOICE).first()
    if not payment:
        return
    is_over = payment.expires_at and payment.expires_at <= timezone.now()
    if payment.status == PaymentStatus.OPEN and not payment.reference:
        start(payment_id)
        payment.refresh_from_db()
    if payment.reference:
        if is_over and payment.status == PaymentStatus.OPEN:
            provider_of(payment).expire(payment)
        apply(payment_id, provider_of(payment).fetch(payment))


@transaction.atomic
def apply(payment_id: int, report: Report) -> None:
    """Do what follows from what the provider says, once, however often it is said."""
    order, payment = hold(payment_id)
    match report.status:
        case PaymentStatus.FAILED | PaymentStatus.EXPIRED:
            if payment.status == PaymentStatus.OPEN:
                change(payment, report.status)
            # Nobody can pay there any more.
            now = timezone.now()
            Payment.objects.filter(pk=payment.pk, expires_at__gt=now).update(expires_at=now)
        case PaymentStatus.PAID:
            if payment.status in (PaymentStatus.OPEN, PaymentStatus.FAILED, PaymentStatus.EXPIRED):
                arrive(order, payment, report)
            take_back(payment, report)


def hold(payment_id: int) -> tuple[Order, Payment]:
    """Lock a payment, after its order, and return both; raise MissingError if it is gone."""
    order = Order.objects.filter(payments=payment_id).select_for_update(no_key=True, of=("self",)).first()
    payment = Payment.objects.filter(pk=payment_id).select_for_update(no_key=True).first()
    if not (order and payment):
        raise MissingError("Payment not found")
    return order, payment


def change(payment: Payment, status: PaymentStatus, **columns: Any) -> None:
    """Give a payment that is held another status, and other columns."""
    columns |= {"status": status, "changed_at": timezone.now()}
    if not Payment.objects.filter(pk=payment.pk, status=payment.status).update(**columns):
        message = f"{payment} is not {payment.status} any more, though it is locked"
        raise RuntimeError(message)
    for name, value in columns.items():
        setattr(payment, name, value)


def arrive(order: Order, payment: Payment, report: Report) -> None:
    """Take the money of a payment; what the order has no use for goes back."""
    money = {"received": report.amount, "received_currency": report.currency, "note": ""}
    others = Payment.objects.filter(order=order).live().exclude(pk=payment.pk)
    if order.status == OrderStatus.CANCELLED or others.exclude(status=PaymentStatus.OPEN).exists():
        change(payment, PaymentStatus.REFUNDING, **money)
        Job.objects.enqueue(REFUND, [(payment.pk,)], queue=MONEY)
        return
    for other in others:
        change(other, PaymentStatus.EXPIRED)
        Job.objects.enqueue(CLOSE_PAGE, [(other.pk,)], queue=MONEY)
    if (report.amount, report.currency) == (order.total_amount, payment.currency):
        change(payment, PaymentStatus.PAID, **money)
        go_on(order, Actor.PAYMENT)
    else:
        change(payment, PaymentStatus.DISPUTED, **money)
        tell_staff(payment, f"Paid was {report.amount} {report.currency}: accept that, or refund it.")


def go_on(order: Order, by: Actor) -> None:
    """Let an order that was just paid go on, and tell its customer."""
    move(orders=[order.pk], to=OrderStatus.PROCESSING, by=by, sources=[OrderStatus.PENDING])
    tell("paid", [order.pk])


def take_back(payment: Payment, report: Report) -> None:
    """Write down what of a payment's money the provider gave back; staff are told unless they wanted it."""
    if is_given_back(payment, report):
        if payment.status == PaymentStatus.REFUNDING:
            refunded(payment)
        elif payment.status in REFUNDABLE:
            refunded(payment, note=REFUNDED_THERE)
            tell_staff(payment, f"{REFUNDED_THERE}. The order stays as it is.")
        return
    if payment.status == PaymentStatus.REFUNDED and payment.received and payment.note != REPAID_BY_HAND:
        if not report.refunding:
            change(payment, PaymentStatus.REFUND_FAILED, note=REFUND_CAME_BACK)
            tell_staff(payment, f"{REFUND_CAME_BACK}: try again, or repay it by hand and say so.")
        return
    if payment.status not in (PaymentStatus.PAID, PaymentStatus.DISPUTED):
        return
    note = PARTLY_REFUNDED.format(report.refunded) if report.refunded else ""
    note = CHARGED_BACK if report.is_charged_back else note
    if note and note != payment.note:
        change(payment, PaymentStatus(payment.status), note=note)
        tell_staff(payment, f"{note}. The order stays as it is.")


def is_given_back(payment: Payment, report: Report) -> bool:
    return 0 < (payment.received or 0) <= report.refunded


def refunded(payment: Payment, **columns: Any) -> None:
    """Write down that the money of a payment that is held went back, and tell the customer."""
    change(payment, PaymentStatus.REFUNDED, **columns)
    if payment.received:
        tell("refunded", [payment.order_id])


def payable(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Keep what staff can mark as paid: by invoice, not cancelled, with no money here or going back."""
    settled = Payment.objects.filter(order=OuterRef("pk")).holding().exclude(status=PaymentStatus.OPEN)
    by_invoice = Q(delivery=None) | Q(delivery__payment_provider=PaymentProvider.INVOICE)
    return orders.filter(by_invoice, ~Exists(settled)).exclude(status=OrderStatus.CANCELLED)


@transaction.atomic
def mark_paid(*, orders: Collection[int]) -> dict[int, OrderStatus]:
    """Write down that those of these orders that are payable were paid, for the staff.

    Pending ones move to processing. Returns the keys of those that were paid, each with the status it had.
    """
    locked = Order.objects.filter(pk__in=orders).order_by("pk").select_for_update(no_key=True)
    list(locked.values_list("pk"))
    held = {order.pk: order for order in payable(Order.objects.filter(pk__in=orders)).order_by("pk")}
    keys = list(held)
    now = timezone.now()
    open_ones = Payment.objects.filter(order__in=keys, status=PaymentStatus.OPEN)
    begun = set(open_ones.values_list("order", flat=True))
    open_ones.update(
        status=PaymentStatus.PAID, received=F("amount"), received_currency=F("currency"), changed_at=now
    )
    Payment.objects.bulk_create(
        [
            Payment(
                order_id=key,
                provider=PaymentProvider.INVOICE,
                status=PaymentStatus.PAID,
                amount=held[key].total_amount,
                currency=settings.SHOP_CURRENCY,
                received=held[key].total_amount,
                received_currency=settings.SHOP_CURRENCY,
            )
            for key in keys
            if key not in begun
        ]
    )
    move(orders=keys, to=OrderStatus.PROCESSING, by=Actor.STAFF, sources=[OrderStatus.PENDING])
    tell("paid", keys)
    return {key: OrderStatus(order.status) for key, order in held.items()}


@transaction.atomic
def accept(*, payment_id: int) -> None:
    """Take what was paid for enough, for the staff. Raises MissingError and NotDisputedError."""
    order, payment = hold(payment_id)
    if payment.status != PaymentStatus.DISPUTED:
        raise NotDisputedError
    change(payment, PaymentStatus.PAID)
    go_on(order, Actor.STAFF)
