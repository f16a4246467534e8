"""Giving money back, once."""

from uuid import uuid4

from django.db import transaction
from django_tasks import task

from shop.database.refusal import Refusal
from shop.jobs.models import Job
from shop.jobs.worker import MONEY
from shop.orders.models import Payment, PaymentProvider, PaymentStatus
from shop.orders.workflow import REFUND
from shop.payments.provider import ProviderRefusedError
from shop.payments.providers import provider_of
from shop.payments.settling import REFUNDABLE, REPAID_BY_HAND, apply, change, hold, is_given_back, refunded
from shop.payments.trouble import tell_staff


class NotRefundableError(Refusal):
    """There is no money of this payment to give back, or it is on its way."""

    code = "not_refundable"
    message = "The payment cannot be refunded"


class StillRefundingError(Exception):
    """The provider has not given the money back yet: ask again later."""


@transaction.atomic
def begin_refund(*, payment_id: int) -> None:
    """Begin to give back a payment: online by a job, an invoice by the staff.

    Raises MissingError and NotRefundableError.
    """
    _, payment = hold(payment_id)
    if payment.status not in REFUNDABLE:
        raise NotRefundableError
    # Under the old key the provider would only say again what went wrong.
    again = {"key": uuid4()} if payment.status == PaymentStatus.REFUND_FAILED else {}
    change(payment, PaymentStatus.REFUNDING, note="", **again)
    if payment.provider != PaymentProvider.INVOICE:
        Job.objects.enqueue(REFUND, [(payment_id,)], queue=MONEY)


@task(queue_name=MONEY)
def refund(payment_id: int) -> None:
    """Have the provider give back what was paid, unless it did; raise StillRefundingError until it has."""
    payment = Payment.objects.filter(pk=payment_id, status=PaymentStatus.REFUNDING).first()
    if not payment:
        return
    if not payment.amount:
        finish(payment_id)
        return
    provider = provider_of(payment)
    report = provider.fetch(payment)
    if not (is_given_back(payment, report) or report.refunding):
        try:
            provider.refund(payment)
        except ProviderRefusedError as refusal:
            report = provider.fetch(payment)
            if not (is_given_back(payment, report) or report.refunding):
                fail(payment_id, str(refusal))
                return
        report = provider.fetch(payment)
    apply(payment_id, report)
    if not is_given_back(payment, report):
        raise StillRefundingError


@transaction.atomic
def finish(payment_id: int) -> None:
    _, payment = hold(payment_id)
    if payment.status == PaymentStatus.REFUNDING:
        refunded(payment)


@transaction.atomic
def fail(payment_id: int, reason: str) -> None:
    """Write down that the provider gives nothing back, and tell staff."""
    _, payment = hold(payment_id)
    if payment.status == PaymentStatus.REFUNDING:
        change(payment, PaymentStatus.REFUND_FAILED, note=f"Refund refused: {reason}"[:200])
        tell_staff(payment, "The refund was refused: try again, or repay it by hand and say so.")


@transaction.atomic
def mark_refunded(*, payment_id: int) -> None:
    """Write down that staff gave the money back by hand. Raises MissingError and NotRefundableError."""
    _, payment = hold(payment_id)
    by_hand = payment.provider == PaymentProvider.INVOICE and payment.status == PaymentStatus.REFUNDING
    if not (by_hand or payment.status == PaymentStatus.REFUND_FAILED):
        raise NotRefundableError
    refunded(payment, note=REPAID_BY_HAND)
