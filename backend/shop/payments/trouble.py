"""What staff are told of payments: trouble that a person has to look at."""

from django.conf import settings

from shop.jobs.mail import letter, post
from shop.orders.models import Payment


def tell_staff(payment: Payment, trouble: str) -> None:
    """Write staff a mail about a payment; `trouble` is a sentence."""
    if settings.SHOP_STAFF_EMAIL:
        context = {"payment": payment, "trouble": trouble}
        # Of no customer: erasing one must not take it away.
        post([letter("payment_trouble", to=settings.SHOP_STAFF_EMAIL, context=context)])
