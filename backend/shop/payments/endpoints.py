"""Payments over HTTP: for whom, which row, which QuerySet."""

from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse

from shop.api.audience import Audience
from shop.api.errors import RETRY_AFTER_SECONDS, ApiError
from shop.api.reading import detail_endpoint
from shop.api.writing import Write, write_endpoint
from shop.database.statements import Row, Statement
from shop.orders.document import UtcTime
from shop.orders.endpoints import own_order
from shop.orders.models import Payment
from shop.payments.forms import PaymentForm
from shop.payments.opening import (
    AlreadyPaidError,
    OrderClosedError,
    PaymentDisputedError,
    PaymentRefusedError,
    open_payment,
)
from shop.payments.provider import ProviderUnavailableError

PAYMENT_ROW = Row(
    "Payment",
    {
        "payment_id": "payment_id",
        "provider": "provider",
        "status": "status",
        "amount": "amount",
        "currency": "currency",
        "url": "url",
        "created_at": "created_at_utc",
    },
)


def payments(found: QuerySet[Payment]) -> QuerySet[Payment]:
    return found.annotate(created_at_utc=UtcTime("created_at"))


def one_payment(payment_id: Any) -> QuerySet[Payment]:
    """Return the payment of this id."""
    return payments(Payment.objects.filter(pk=payment_id))


ONE = Statement(one_payment, PAYMENT_ROW, 1)


@detail_endpoint(Audience("shop.view_order", owner=True), PAYMENT_ROW)
def order_payment(customer_id: Any, order_id: Any) -> QuerySet[Payment]:
    """The payment of an order: the one that is paid, else the last."""
    return payments(Payment.objects.filter(order=order_id, order__customer=customer_id).shown_first())


@write_endpoint(
    Audience(owner=True, target=own_order),
    PaymentForm,
    missing="Order",
    answers={HTTPStatus.CREATED: PAYMENT_ROW, HTTPStatus.OK: PAYMENT_ROW},
    refusals=[AlreadyPaidError, OrderClosedError, PaymentDisputedError, PaymentRefusedError],
)
def pay_order(write: Write, *, customer_id: int, order_id: int) -> HttpResponse:
    """Open a payment of an order, or go on with the open one."""
    try:
        opened = open_payment(customer_id=customer_id, order_id=order_id, return_url=write.data["return_url"])
    except ProviderUnavailableError:
        message = "The provider of payments does not answer"
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, message, headers) from None
    (document,) = ONE.fetch(opened.payment_id)
    status = HTTPStatus.CREATED if opened.created else HTTPStatus.OK
    return HttpResponse(document, status=status, content_type="application/json")
