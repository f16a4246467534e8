"""Carts over HTTP: for whom, which row, which QuerySet."""

from django.db.models import QuerySet

from shop.api.audience import Audience
from shop.api.reading import detail_endpoint
from shop.carts.models import Cart, CartItem
from shop.database.statements import JsonArray, Parameter

CART_ITEM_ROW = {
    "product_name": "product__name",
    "price": "product__price",
    "quantity": "quantity",
    "subtotal": "subtotal",
}


@detail_endpoint(
    Audience("shop.view_cart", owner=True, opens=True),
    {"customer_id": "customer_id", "items": "item_rows", "total": "total"},
)
def customer_cart(customer_id: Parameter) -> QuerySet[Cart]:
    """A customer's cart at today's prices."""
    items = JsonArray(CartItem.objects.of_customer(customer_id), CART_ITEM_ROW)
    return Cart.objects.filter(customer_id=customer_id).with_total().annotate(item_rows=items)
