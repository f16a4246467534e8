"""Orders over HTTP: for whom, which row, which QuerySet."""

import re
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse

from shop.api.audience import OWNER, Audience
from shop.api.errors import ApiError
from shop.api.query import Choice, Day, Id
from shop.api.reading import detail_endpoint, list_endpoint
from shop.api.writing import Write, no_content, write_endpoint
from shop.carts.cart import OutOfStockError
from shop.catalog.models import Product
from shop.customers.endpoints import password_attempt
from shop.customers.forms import ErasureForm
from shop.customers.models import Customer, full_name
from shop.database.refusal import WrongPasswordError
from shop.database.statements import Parameter, Row
from shop.orders import workflow
from shop.orders.checkout import (
    AddressMissingError,
    CartEmptyError,
    KeyReusedError,
    TotalChangedError,
    TotalTooLargeError,
    place_order,
)
from shop.orders.document import ORDER_ROW, order_document, order_documents
from shop.orders.erasure import EXPORT_ROW, OpenOrdersError, erase, export
from shop.orders.forms import CheckoutForm, StatusForm
from shop.orders.models import Actor, Order, OrderItem, OrderStatus
from shop.orders.reports import sold_most, spending
from shop.orders.workflow import IllegalTransitionError, NotCancellableError

FILTERS = {
    "status": Choice(OrderStatus.values, repeatable=True, about="Orders of this status; of several any."),
    "from": Day(about="Orders of this day or later."),
    "to": Day(about="Orders of this day or earlier."),
}
"""Which orders of a list are asked for, or which count."""


@list_endpoint(
    Audience("shop.view_order"),
    Row(
        "ListedOrder",
        {
            "order_id": "order_id",
            "order_date": "order_date",
            "status": "status",
            "total_amount": "total_amount",
            "customer_id": "customer_id",
            "customer_name": full_name("customer__"),  # no annotation: counting the orders needs no customer
            "customer_email": "customer__email",
        },
    ),
    filters={**FILTERS, "customer": Id(about="Orders of this customer.")},
    filtered=lambda filters: Order.objects.newest_first().asked_for(filters),
)
def orders() -> QuerySet[Order]:
    """All orders, the newest first."""
    return Order.objects.newest_first()


def any_order(order_id: int) -> QuerySet[Order]:
    """What the path of an order names."""
    return Order.objects.filter(pk=order_id)


@list_endpoint(
    Audience("shop.view_order", owner=True, opens=True),
    Row(
        "OrderSummary",
        {
            "order_id": "order_id",
            "order_date": "order_date",
            "status": "status",
            "total_amount": "total_amount",
            "customer_email": "customer__email",
        },
    ),
    parent=(Customer, "orders"),
    filters=FILTERS,
    filtered=lambda filters, customer_id: Order.objects.placed_by(customer_id).asked_for(filters),
)
def customer_orders(customer_id: Parameter) -> QuerySet[Order]:
    """A customer's orders, the newest first."""
    return Order.objects.placed_by(customer_id)


@list_endpoint(
    Audience("shop.view_order", owner=True, target=any_order, opens=True),
    Row(
        "OrderLine",
        {
            "order_id": "order_id",
            "order_date": "order__order_date",
            "customer_name": "customer_name",
            "product_name": "product__name",
            "quantity": "quantity",
            "price_per_unit": "price_per_unit",
            "subtotal": "subtotal",
        },
    ),
    parent=(Order, "items"),
)
def order_details(order_id: Parameter) -> QuerySet[OrderItem]:
    """An order's lines."""
    return OrderItem.objects.of_order(order_id)


BESTSELLER_ROW = Row(
    "Bestseller",
    {
        "product_id": "product_id",
        "name": "name",
        "price": "price",
        "total_sold": "total_sold",
        "total_revenue": "total_revenue",
    },
)


@list_endpoint(
    Audience("shop.view_order", opens=True),
    BESTSELLER_ROW,
    cached=True,
    filters=FILTERS,
    filtered=partial(sold_most, BESTSELLER_ROW),
)
def bestsellers() -> QuerySet[Product]:
    """The ten products sold most."""
    return Product.objects.bestsellers()


CUSTOMER_STATS_ROW = Row(
    "CustomerStats",
    {
        "customer_id": "customer_id",
        "name": "full_name",
        "email": "email",
        "total_orders": "total_orders",
        "total_spent": "total_spent",
    },
)


@list_endpoint(
    Audience("shop.view_customer", opens=True),
    CUSTOMER_STATS_ROW,
    filters=FILTERS,
    filtered=partial(spending, CUSTOMER_STATS_ROW),
)
def customer_stats() -> QuerySet[Customer]:
    """What each customer ordered and spent."""
    return Customer.objects.with_spending()


KEY = re.compile("[ -~]{1,255}")


def own_order(customer_id: int, order_id: int) -> QuerySet[Order]:
    """What the path of a customer's order names."""
    return Order.objects.filter(pk=order_id, customer_id=customer_id)


@detail_endpoint(Audience("shop.view_order", owner=True), ORDER_ROW)
def customer_order(customer_id: Any, order_id: Any) -> QuerySet[Order]:
    """An order, with all that belongs to it."""
    return order_documents(order_id).filter(customer_id=customer_id)


def order_response(document: str, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> HttpResponse:
    return HttpResponse(document, status=status, content_type="application/json", headers=headers)


@write_endpoint(
    OWNER,
    CheckoutForm,
    missing="Customer",
    takes={"Idempotency-Key": KEY},
    answers={HTTPStatus.CREATED: ORDER_ROW},
    refusals=[
        KeyReusedError,
        CartEmptyError,
        TotalChangedError,
        OutOfStockError,
        AddressMissingError,
        TotalTooLargeError,
    ],
    sends=["Location", "Idempotent-Replayed"],
)
def checkout(write: Write, *, customer_id: int) -> HttpResponse:
    """Place an order of all that is in the cart."""
    key = write.headers.get("Idempotency-Key", "")
    if not KEY.fullmatch(key):
        message = "Send an Idempotency-Key of 1 to 255 printable ASCII characters"
        raise ApiError(HTTPStatus.BAD_REQUEST, message, fields={"Idempotency-Key": [message]})
    placed = place_order(
        customer_id=customer_id,
        expected_total=write.data["expected_total"],
        address=write.data["address"],
        by=Actor.CUSTOMER,
        key=key,
        request=write.body,
    )
    headers = {"Location": f"/shop/api/customer/{customer_id}/orders/{placed.order_id}/"}
    if placed.replayed:
        headers["Idempotent-Replayed"] = "true"
    return order_response(placed.document, HTTPStatus.CREATED, **headers)


@write_endpoint(
    Audience(owner=True, target=own_order),
    missing="Order",
    answers={HTTPStatus.OK: ORDER_ROW},
    refusals=[NotCancellableError],
)
def cancel_order(write: Write, *, customer_id: int, order_id: int) -> HttpResponse:
    """Cancel an order that has not been shipped."""
    workflow.cancel(order_id=order_id, by=Actor.CUSTOMER)
    return order_response(order_document(order_id))


@write_endpoint(
    Audience("shop.change_order", target=any_order),
    StatusForm,
    missing="Order",
    answers={HTTPStatus.OK: ORDER_ROW},
    refusals=[IllegalTransitionError],
)
def set_status(write: Write, *, order_id: int) -> HttpResponse:
    """Move an order on."""
    sent = {name: write.data[name] for name in ("carrier", "tracking_number") if name in write.body}
    workflow.set_status(order_id=order_id, to=OrderStatus(write.data["status"]), **sent)
    return order_response(order_document(order_id))


@detail_endpoint(Audience("shop.view_customer", owner=True), EXPORT_ROW)
def export_account(customer_id: Any) -> QuerySet[Customer]:
    """All that the shop holds about a customer."""
    return export(customer_id)


@write_endpoint(
    OWNER,
    ErasureForm,
    missing="Customer",
    answers={HTTPStatus.NO_CONTENT: None},
    refusals=[WrongPasswordError, OpenOrdersError],
)
def erase_account(write: Write, *, customer_id: int) -> HttpResponse:
    """Erase the account; orders stay in the books, without a name."""
    with password_attempt(write, customer_id):
        erase(customer_id=customer_id, **write.data)
    return no_content()
