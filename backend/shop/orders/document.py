"""An order as its customer and the staff see it: one JSON object, of one moment."""

from typing import Any

from django.db.models import DateTimeField, Func, OuterRef, QuerySet

from shop.database.refusal import MissingError
from shop.database.statements import JsonArray, JsonObject, Row, Statement
from shop.orders.models import Delivery, Order, OrderHistory, OrderItem, Payment

ITEM_ROW = Row(
    "OrderItem",
    {
        "product_id": "product_id",
        "product_name": "product__name",
        "quantity": "quantity",
        "price_per_unit": "price_per_unit",
        "subtotal": "subtotal",
    },
)
DELIVERY_ROW = Row(
    "Delivery",
    {
        name: name
        for name in ("first_name", "last_name", "strasse", "plz", "ort", "carrier", "tracking_number")
    },
)
PAYMENT_ROW = Row(
    "OrderPayment", {name: name for name in ("payment_id", "provider", "status", "amount", "currency")}
)
HISTORY_ROW = Row("OrderEvent", {"status": "status", "at": "at_utc", "by": "by"})
ORDER_ROW = Row(
    "Order",
    {
        "order_id": "order_id",
        "order_date": "order_date",
        "status": "status",
        "total_amount": "total_amount",
        "items": "item_rows",
        "delivery": "delivery_row",
        "payment": "payment_row",
        "history": "history_rows",
    },
)


class UtcTime(Func):
    """A time as JSON has it here: in UTC, to the second."""

    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
    output_field = DateTimeField()


def order_documents(order_id: Any) -> QuerySet[Order]:
    """Return the order of this id, with all that belongs to it."""
    return with_documents(Order.objects.filter(pk=order_id))


def with_documents(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Add to orders all that belongs to them."""
    order: Any = OuterRef("pk")
    return orders.annotate(
        item_rows=JsonArray(
            OrderItem.objects.filter(order=order).with_subtotal().order_by("order_item_id"), ITEM_ROW
        ),
        delivery_row=JsonObject(Delivery.objects.filter(order=order), DELIVERY_ROW),
        payment_row=JsonObject(Payment.objects.filter(order=order).shown_first(), PAYMENT_ROW),
        history_rows=JsonArray(
            OrderHistory.objects.filter(order=order).annotate(at_utc=UtcTime("at")).order_by("pk"),
            HISTORY_ROW,
        ),
    )


ORDER = Statement(order_documents, ORDER_ROW, 1)


def order_document(order_id: int) -> str:
    """Return the order's JSON, as this transaction sees it; raise MissingError if it is gone."""
    for document in ORDER.fetch(order_id):
        return document
    raise MissingError("Order not found")
