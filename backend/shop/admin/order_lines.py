"""The lines in the page of an order."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from shop.admin.base import LineInline
from shop.admin.forms import OrderItemForm
from shop.admin.searching import ProductSelect
from shop.orders.models import OrderItem


def is_fixed(order: Any) -> bool:
    """Whether the page shows the lines read-only, by what OrderAdmin.get_object() says of them."""
    return bool(getattr(order, "lines_fixed", ""))


class OrderItemInline(LineInline):
    """The lines of an order."""

    model = OrderItem
    form = OrderItemForm
    row_select = ProductSelect
    fields = ("product", "quantity", "in_stock", "price_per_unit", "subtotal")
    readonly_fields = ("in_stock", "subtotal")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and not is_fixed(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not is_fixed(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_fixed(obj)

    def in_stock(self, line: Any) -> int:
        """Return how many more there are."""
        return int(line.product.stock)

    def get_extra(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> int:
        """Begin a new order with an empty line."""
        return 0 if obj else 1
