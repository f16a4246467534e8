"""The provider of SHOP_PAYMENT=test: the shop plays the bank, with events for its books."""

from decimal import Decimal

from django.conf import settings
from django.utils import timezone

from shop.orders.models import Payment, PaymentProvider, PaymentStatus
from shop.payments import events
from shop.payments.models import PaymentEvent
from shop.payments.provider import Page, Report

TEST = PaymentProvider.TEST


class Bank:
    """A bank whose customers say themselves whether they paid."""

    def start(self, payment: Payment) -> Page:
        """Return the page of a payment, which is there as soon as the payment is."""
        url = f"{settings.SHOP_URL}/shop/pay/{payment.token}/"
        return Page(reference=str(payment.key), url=url, expires_at=payment.expires_at or timezone.now())

    def decide(self, payment: Payment, status: PaymentStatus) -> None:
        """Let a payment be paid or failed, unless it has ended already."""
        events.store(TEST, name_of_end(payment), status, payment.reference)

    def outcome(self, payment: Payment) -> PaymentStatus:
        """Return what became of a payment; one whose time is over expires now."""
        if payment.expires_at and payment.expires_at <= timezone.now():
            self.expire(payment)
        known = PaymentEvent.objects.filter(provider=TEST, event=name_of_end(payment))
        return PaymentStatus(known.values_list("kind", flat=True).first() or PaymentStatus.OPEN)

    def fetch(self, payment: Payment) -> Report:
        status = self.outcome(payment)
        if status != PaymentStatus.PAID:
            return Report(status)
        is_refunded = PaymentEvent.objects.filter(provider=TEST, event=name_of_refund(payment)).exists()
        refunded = payment.amount if is_refunded else Decimal("0.00")
        return Report(status, payment.amount, payment.currency, refunded=refunded)

    def refund(self, payment: Payment) -> None:
        events.write(TEST, name_of_refund(payment), PaymentStatus.REFUNDED, payment.reference)

    def expire(self, payment: Payment) -> None:
        events.write(TEST, name_of_end(payment), PaymentStatus.EXPIRED, payment.reference)


def name_of_end(payment: Payment) -> str:
    return f"{payment.reference} end"


def name_of_refund(payment: Payment) -> str:
    return f"{payment.reference} refund"
