"""What the shop asks of a provider of payments: four acts, and the two ways in which they fail."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from shop.orders.models import Payment, PaymentStatus


class ProviderUnavailableError(Exception):
    """No answer, or none that tells whether it was done: ask again, with the same key."""


class ProviderRefusedError(Exception):
    """The provider says no, and would again."""


@dataclass(frozen=True)
class Page:
    """Where a customer pays, by when, and what the provider calls the payment."""

    reference: str
    url: str
    expires_at: datetime


@dataclass(frozen=True)
class Report:
    """What a provider says of a payment.

    `status` is open, paid, failed or expired; `amount` and `currency` what was paid. `refunded` and
    `refunding` are what was given back and what is on its way; `is_charged_back` is that the customer's bank
    took it.
    """

    status: PaymentStatus
    amount: Decimal = Decimal("0.00")
    currency: str = ""
    refunded: Decimal = Decimal("0.00")
    refunding: Decimal = Decimal("0.00")
    is_charged_back: bool = False


class Provider(Protocol):
    """None is called inside a transaction; each raises ProviderUnavailableError or ProviderRefusedError."""

    def start(self, payment: Payment) -> Page:
        """Make the page of a payment, or return the one that was made under its key."""

    def fetch(self, payment: Payment) -> Report:
        """Return what became of it."""

    def refund(self, payment: Payment) -> None:
        """Give all of it back, once; what was asked for may be there only later, as fetch() shows."""

    def expire(self, payment: Payment) -> None:
        """Close the page; one that is closed, paid or failed stays as it is."""
