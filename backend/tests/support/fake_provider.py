"""A provider of payments in the process of the test, which says what the test wants it to."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from shop.models import Payment, PaymentStatus
from shop.payments.provider import Page, ProviderRefusedError, ProviderUnavailableError, Report


class FakeProvider:
    """Keeps pages and refunds by their keys.

    Acts in `silent` are done and not answered, those in `away` not even done, those in `refusing` refused.
    With `slow_refunds` money that goes back is on its way until `arrive()`.
    """

    def __init__(self) -> None:
        """Begin without payments."""
        self.calls: list[str] = []
        self.pages: dict[str, Page] = {}
        self.reports: dict[str, Report] = {}
        self.refunds: dict[str, str] = {}
        self.silent: set[str] = set()
        self.away: set[str] = set()
        self.refusing: set[str] = set()
        self.slow_refunds = False

    def asked(self, act: str) -> None:
        assert not connection.savepoint_ids, "it is called in a transaction"
        self.calls.append(act)
        if act in self.away:
            raise ProviderUnavailableError
        if act in self.refusing:
            raise ProviderRefusedError("no")

    def answer(self, act: str) -> None:
        if act in self.silent:
            raise ProviderUnavailableError

    def start(self, payment: Payment) -> Page:
        self.asked("start")
        name = f"page-{payment.key}"
        closes = payment.expires_at or timezone.now() + timedelta(hours=1)
        page = self.pages.setdefault(str(payment.key), Page(name, f"https://bank.example/{name}", closes))
        self.reports.setdefault(name, Report(PaymentStatus.OPEN))
        self.answer("start")
        return page

    def fetch(self, payment: Payment) -> Report:
        self.asked("fetch")
        self.answer("fetch")
        return self.reports[payment.reference]

    def refund(self, payment: Payment) -> None:
        self.asked("refund")
        if self.refunds.setdefault(str(payment.key), payment.reference) == payment.reference:
            amount = self.reports[payment.reference].amount
            column = "refunding" if self.slow_refunds else "refunded"
            self.say(payment, **{column: amount})
        self.answer("refund")

    def expire(self, payment: Payment) -> None:
        self.asked("expire")
        if self.reports[payment.reference].status == PaymentStatus.OPEN:
            self.say(payment, status=PaymentStatus.EXPIRED)
        self.answer("expire")

    def say(self, payment: Payment, **changes: Any) -> None:
        """Say something else of a payment from now on."""
        self.reports[payment.reference] = replace(self.reports[payment.reference], **changes)

    def pay(self, payment: Payment, amount: Decimal | None = None, currency: str = "") -> None:
        """Let it be paid, by default as it should be."""
        paid = payment.amount if amount is None else amount
        self.say(payment, status=PaymentStatus.PAID, amount=paid, currency=currency or payment.currency)
