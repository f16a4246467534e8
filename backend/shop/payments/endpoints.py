"""Payments over HTTP: for whom, which row, which QuerySet."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse

from shop.api.audience import ANONYMOUS, EVERYBODY, Audience
from shop.api.body import NO_LENGTH, not_valid, read_body, refuse_longer, too_long
from shop.api.errors import RETRY_AFTER_SECONDS, ApiError
from shop.api.limits import Usage
from shop.api.reading import detail_endpoint
from shop.api.writing import NoBody, Write, WriteEndpoint, perform, write_endpoint
from shop.database.refusal import MissingError
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
from shop.payments.webhook import BadEventError, read_event, take

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


class NoSecretError(MissingError):
    """Nobody can sign anything."""

    message = "No secret of Stripe's events is set"


MAX_EVENT_BYTES = 1024 * 1024
SIGNATURE = re.compile("t=[0-9]+(,v[0-9]=[0-9a-f]+)+")


def no_event() -> ApiError:
    """Return the error for a body that Stripe did not sign."""
    return not_valid({}, "This is no event that Stripe signed in the last 5 minutes")


class Webhook(WriteEndpoint):
    """A write whose body is not the shop's to say, and which nobody is kept from sending again."""

    errors = (ApiError(HTTPStatus.LENGTH_REQUIRED, NO_LENGTH), too_long(MAX_EVENT_BYTES))
    body = {"type": "object"}

    def invalid(self) -> ApiError:
        return no_event()

    def respond(self, request: HttpRequest, ids: Mapping[str, int], usage: Usage) -> HttpResponse:
        return perform(self.act, Write(ANONYMOUS, {}, {}, request.headers, request, usage), ids)


def take_event(write: Write) -> HttpResponse:
    """Take an event that Stripe signed."""
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise NoSecretError
    body = read_body(write.request, MAX_EVENT_BYTES)
    refuse_longer(write.request, body, MAX_EVENT_BYTES)
    signature = write.headers.get("Stripe-Signature", "")
    try:
        event = read_event(body, signature, settings.STRIPE_WEBHOOK_SECRETS)
    except BadEventError:
        raise no_event() from None
    if event:
        take(event)
    return JsonResponse({})


stripe_webhook = Webhook(
    take_event,
    EVERYBODY,
    NoBody,
    answers={HTTPStatus.OK: NoBody},
    refusals=[NoSecretError],
    takes={"Stripe-Signature": SIGNATURE},
)
