"""The lines of orders as rows of an export: what is the order's, stands in each of its rows."""

from collections.abc import Iterator
from itertools import batched
from typing import Any

from django.db.models import F, QuerySet

from shop.admin.xlsx_export import MOST_ROWS
from shop.orders.models import Order, OrderItem

LINE_COLUMNS = {
    **{name: name for name in ("order_id", "order_date", "status", "total_amount", "customer_id")},
    "email": "customer__email",
    **{
        name: f"delivery__{name}"
        for name in ("first_name", "last_name", "strasse", "plz", "ort", "carrier", "tracking_number")
    },
    "product_id": "items__product_id",
    "product": "items__product__name",
    "quantity": "items__quantity",
    "price_per_unit": "items__price_per_unit",
    "subtotal": "subtotal",
}
"""The columns by their headers; the name is the one of the delivery, which an order on paper has not."""


ORDERS_AT_ONCE = 1000


def line_rows(orders: QuerySet[Order]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each line of these orders, and one for an order without lines, in the order of these.

    Asked for some orders at a time: PostgreSQL would sort all lines before it gives the first one.
    """
    subtotal = F("items__quantity") * F("items__price_per_unit")
    keys = orders.values_list("pk", flat=True).iterator(chunk_size=ORDERS_AT_ONCE)
    for some in batched(keys, ORDERS_AT_ONCE, strict=False):
        found = Order.objects.filter(pk__in=some).annotate(subtotal=subtotal).order_by("items__order_item_id")
        place = {key: number for number, key in enumerate(some)}
        yield from sorted(found.values_list(*LINE_COLUMNS.values()), key=lambda row: place[row[0]])


def rows_counted(orders: QuerySet[Order]) -> QuerySet[Any]:
    """Return as many rows as line_rows() yields, to be counted up to MOST_ROWS."""
    some = orders.order_by().values("pk")[: MOST_ROWS + 1]
    lines = OrderItem.objects.filter(order__in=some).values("pk")
    return lines.union(Order.objects.filter(pk__in=some, items=None).values("pk"), all=True)
