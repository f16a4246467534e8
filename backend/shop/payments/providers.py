"""Who is asked about which payment."""

from collections.abc import Callable

from django.utils.module_loading import import_string

from shop.orders.models import Payment, PaymentProvider
from shop.payments.bank import Bank
from shop.payments.provider import Provider

PROVIDERS: dict[str, Callable[[], Provider]] = {
    PaymentProvider.TEST: Bank,
    # Only who takes money by Stripe has its library.
    PaymentProvider.STRIPE: lambda: import_string("shop.payments.stripe.Stripe")(),
}
"""The providers that are asked online; of an invoice nobody is."""


def provider_of(payment: Payment) -> Provider:
    """Return the provider of a payment that is no invoice."""
    return PROVIDERS[payment.provider]()
