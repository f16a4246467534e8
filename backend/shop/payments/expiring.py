"""What ends by itself: orders that nobody pays, pages that nobody may pay on, orders that have arrived."""

import logging
import time
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django_tasks import task

from shop.database.errors import is_lock_conflict, is_outage
from shop.database.refusal import MissingError
from shop.jobs.models import Job
from shop.jobs.worker import ASKING, MONEY
from shop.orders.models import Actor, Order, OrderStatus, Payment, PaymentProvider, PaymentStatus
from shop.orders.workflow import move, status_of
from shop.payments.provider import ProviderRefusedError, ProviderUnavailableError
from shop.payments.providers import provider_of
from shop.payments.settling import apply, settle
from shop.payments.starting import start

logger = logging.getLogger(__name__)

SECONDS = 30
"""So long one run expires orders, so that other jobs have their turn; the next one goes on."""

UNANSWERED = 3
"""After so many orders of which a provider does not answer, a run ends."""

BATCH = 1000


class StillOpenError(Exception):
    """The provider has not closed the page."""


@task(queue_name=MONEY)
def close_page(payment_id: int) -> None:
    """Close the page of a payment that is expired here; what was paid there nevertheless is refunded."""
    payment = Payment.objects.filter(pk=payment_id).exclude(provider=PaymentProvider.INVOICE).first()
    if not payment:
        return
    if not payment.reference:
        start(payment_id)  # which has the page closed if there is one
    elif close(payment) == PaymentStatus.OPEN:
        raise StillOpenError


def close(payment: Payment) -> PaymentStatus:
    """Close a page, and do what follows from how it ended, which is returned."""
    provider = provider_of(payment)
    provider.expire(payment)
    report = provider.fetch(payment)
    apply(payment.pk, report)
    return report.status


@task
def expire_orders() -> None:
    """Cancel the orders whose time to be paid online is over."""
    end = time.monotonic() + SECONDS
    unanswered = 0
    # In any order, so that those without an answer do not keep the others waiting each time.
    for order_id in overdue().order_by("?").values_list("pk", flat=True)[:BATCH]:
        try:
            expire_order(order_id)
        except ProviderUnavailableError:
            logger.warning("order %d: no answer of its provider, so it does not expire yet", order_id)
            unanswered += 1
        except ProviderRefusedError as refusal:
            logger.error("order %d: its provider says no (%s), so it does not expire", order_id, refusal)
        except MissingError:
            pass  # it was deleted meanwhile
        except Exception as failure:
            if is_outage(failure) and not is_lock_conflict(failure):
                raise  # the database is away: so it is for the others
            logger.error("order %d: %s, so it does not expire", order_id, type(failure).__name__)
        if unanswered == UNANSWERED or time.monotonic() > end:
            return


def overdue() -> models.QuerySet[Order]:
    """Return the pending orders that should have been paid online by now."""
    placed_by = timezone.now() - timedelta(hours=settings.SHOP_PAYMENT_HOURS)
    return (
        Order.objects.filter(
            status=OrderStatus.PENDING,
            order_date__lte=placed_by.date(),
            history__status=OrderStatus.PENDING,
            history__at__lte=placed_by,
        )
        .exclude(delivery=None)
        .exclude(delivery__payment_provider=PaymentProvider.INVOICE)
        .exclude(payments__status__in=[PaymentStatus.PAID, PaymentStatus.DISPUTED])
    )


def expire_order(order_id: int) -> None:
    """Cancel an order that nobody paid in time; its page is closed and read first.

    Raises ProviderUnavailableError, and then it waits.
    """
    online = Payment.objects.exclude(provider=PaymentProvider.INVOICE)
    for payment in online.filter(order=order_id, status=PaymentStatus.OPEN):
        if not payment.reference:
            # Whether there is a page only the provider knows.
            start(payment.pk)
            payment.refresh_from_db()
        if payment.reference:
            close(payment)
    with transaction.atomic():
        is_pending = status_of(order_id) == OrderStatus.PENDING
        if is_pending and not Payment.objects.filter(order=order_id).live().exists():
            move(orders=[order_id], to=OrderStatus.CANCELLED, by=Actor.SYSTEM, sources=[OrderStatus.PENDING])


@task
def ask_open() -> None:
    """Have the provider asked about each open payment, as an event may be lost."""
    waiting = Job.objects.waiting().filter(queue=ASKING, task=ask.module_path)
    asked = set(waiting.values_list("arguments__args__0", flat=True))
    online = Payment.objects.filter(status=PaymentStatus.OPEN).exclude(provider=PaymentProvider.INVOICE)
    calls = [(key,) for key in online.values_list("pk", flat=True) if key not in asked]
    Job.objects.enqueue(ask.module_path, calls, queue=ASKING)


@task(queue_name=ASKING)
def ask(payment_id: int) -> None:
    """Settle a payment if its provider answers; if not, it is asked again soon anyway."""
    with suppress(ProviderUnavailableError):
        settle.call(payment_id)


@task
def complete_orders() -> None:
    """Complete the orders that were shipped so long ago that they have arrived."""
    sent_by = timezone.now() - timedelta(days=settings.SHOP_COMPLETE_DAYS)
    arrived = Order.objects.filter(
        status=OrderStatus.SHIPPED, history__status=OrderStatus.SHIPPED, history__at__lte=sent_by
    )
    while keys := list(arrived.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        move(orders=keys, to=OrderStatus.COMPLETED, by=Actor.SYSTEM, sources=[OrderStatus.SHIPPED])
