"""Opening the payment of an order: one row, then a page at the provider."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from secrets import token_urlsafe

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from shop.database.refusal import MissingError, Refusal
from shop.orders.mails import tell
from shop.orders.models import (
    Actor,
    Delivery,
    Order,
    OrderHistory,
    OrderStatus,
    Payment,
    PaymentProvider,
    PaymentStatus,
)
from shop.orders.workflow import move
from shop.payments.places import NoPlaceError, place
from shop.payments.provider import ProviderUnavailableError
from shop.payments.settling import settle
from shop.payments.starting import NO_ANSWER, start

PATIENCE_SECONDS = 10
"""So long a provider may take to answer, and others wait for who asked it."""

LEASE = timedelta(seconds=PATIENCE_SECONDS + 2)
"""After so long whoever asked for the page is dead, and another one asks."""

LOOK_AGAIN = timedelta(minutes=1)
"""So long after the beginning a job asks for a page that is not known by then."""


class AlreadyPaidError(Refusal):
    """There is nothing left to pay."""

    code = "already_paid"
    message = "The order is paid already"


class OrderClosedError(Refusal):
    """The order is cancelled or completed, or the time to pay it is over."""

    code = "order_closed"
    message = "The order cannot be paid any more"


class PaymentDisputedError(Refusal):
    """Another amount was paid than the order's, and staff have to say what becomes of it."""

    code = "payment_disputed"
    message = "The order was paid with another amount, which is being looked at"


class PaymentRefusedError(Refusal):
    """The provider says no to the payment."""

    code = "payment_refused"
    message = "The payment was refused by its provider"


@dataclass(frozen=True)
class Opened:
    """A payment that can be paid, and whether it is a new one."""

    payment_id: int
    created: bool


def open_payment(*, customer_id: int, order_id: int, return_url: str = "") -> Opened:
    """Open a payment of an order, or go on with the one that is open.

    `return_url` is where the provider's page leads back to. Raises MissingError, the refusals above, and
    ProviderUnavailableError when the provider does not answer; to ask again goes on with what was begun.
    """
    opened = book(customer_id, order_id, return_url)
    if not opened.created and is_there(opened):
        return opened
    try:
        await_page(opened)
    except ProviderUnavailableError:
        if not is_there(opened):
            raise
    return opened


@transaction.atomic
def book(customer_id: int, order_id: int, return_url: str) -> Opened:
    """Write down that a payment begins, and a job that goes on with it if this process does not."""
    orders = Order.objects.filter(pk=order_id, customer_id=customer_id)
    order = orders.select_for_update(no_key=True).first()
    if not order:
        raise MissingError("Order not found")
    provider = provider_for(order_id)
    live = Payment.objects.filter(order=order).live().first()
    if live and live.status == PaymentStatus.PAID:
        raise AlreadyPaidError
    if live and live.status == PaymentStatus.DISPUTED:
        raise PaymentDisputedError
    deadline = None if provider == PaymentProvider.INVOICE else deadline_of(order_id)
    if deadline and deadline <= timezone.now():
        raise OrderClosedError
    if order.status in (OrderStatus.CANCELLED, OrderStatus.COMPLETED):
        raise OrderClosedError
    if live:
        return Opened(live.pk, created=False)
    payment = Payment(
        order=order,
        provider=provider,
        amount=order.total_amount,
        currency=settings.SHOP_CURRENCY,
        return_url=return_url,
    )
    if not order.total_amount:
        payment.status, payment.received = PaymentStatus.PAID, Decimal("0.00")
        payment.save()
        move(orders=[order_id], to=OrderStatus.PROCESSING, by=Actor.PAYMENT, sources=[OrderStatus.PENDING])
        tell("paid", [order_id])
    elif provider == PaymentProvider.INVOICE:
        payment.save()
    else:
        payment.expires_at = deadline
        payment.token = token_urlsafe(32) if provider == PaymentProvider.TEST else ""
        payment.save()
        settle.using(run_after=timezone.now() + LOOK_AGAIN).enqueue(payment.pk)
    return Opened(payment.pk, created=True)


def provider_for(order_id: int) -> PaymentProvider:
    """Return where an order is paid; one that was not placed here, by invoice."""
    delivery = Delivery.objects.filter(order_id=order_id).values_list("payment_provider", flat=True)
    return PaymentProvider(delivery.first() or PaymentProvider.INVOICE)


def deadline_of(order_id: int) -> datetime:
    """Return until when an order can be paid online."""
    placed = OrderHistory.objects.filter(order_id=order_id).order_by("pk").values_list("at", flat=True)
    return placed[0] + timedelta(hours=settings.SHOP_PAYMENT_HOURS)


def is_there(opened: Opened) -> bool:
    """Tell whether a payment has its page, or needs none. Raises PaymentRefusedError and OrderClosedError."""
    payment = Payment.objects.get(pk=opened.payment_id)
    if payment.status == PaymentStatus.FAILED and not payment.reference:
        raise PaymentRefusedError
    if payment.status == PaymentStatus.EXPIRED:
        raise OrderClosedError
    is_known = payment.reference or payment.provider == PaymentProvider.INVOICE
    return bool(is_known) or payment.status != PaymentStatus.OPEN


def await_page(opened: Opened) -> None:
    """Ask for the page of a payment if nobody else does, or wait until it is there.

    Raises PaymentRefusedError, OrderClosedError and ProviderUnavailableError.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    is_ours, is_first = opened.created, True
    while not is_there(opened):
        # Who has waited already would wait too long with a question of their own.
        if is_ours or (is_first and claim(opened.payment_id)):
            ask(opened.payment_id)
            is_ours = False
        elif time.monotonic() > deadline or left(opened.payment_id).exists():
            raise ProviderUnavailableError
        else:
            time.sleep(0.05)
        is_first = False


def ask(payment_id: int) -> None:
    """Ask for the page of a payment; without a place to wait for the answer anybody may do so at once."""
    try:
        with place():
            start(payment_id)
    except NoPlaceError:
        Payment.objects.filter(pk=payment_id, reference="", status=PaymentStatus.OPEN).update(note=NO_ANSWER)
        raise


def left(payment_id: int) -> QuerySet[Payment]:
    """Return the payment if whoever asked for its page was not answered, or is dead."""
    return Payment.objects.filter(
        Q(note=NO_ANSWER) | Q(changed_at__lt=timezone.now() - LEASE), pk=payment_id, reference=""
    ).filter(status=PaymentStatus.OPEN)


def claim(payment_id: int) -> bool:
    """Become the one who asks for the page, if nobody does."""
    return bool(left(payment_id).update(note="", changed_at=timezone.now()))
