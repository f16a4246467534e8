"""What a customer does with the cart: add, set, remove, empty.

Each holds the cart's row, so that none is lost; the first makes it. A cart reserves no stock.
"""

import json
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from shop.carts.models import CART_LINE_ROW, Cart, CartItem
from shop.catalog.models import Product
from shop.database.refusal import MissingError, Refusal
from shop.database.statements import Prepared, Statement

MAX_QUANTITY = 999
MAX_LINES = 100


class ProductMissingError(MissingError):
    message = "Product not found"


class CartFullError(Refusal):
    """The cart has as many lines as it may."""

    code = "cart_full"
    message = f"A cart has {MAX_LINES} lines at the most"


class OutOfStockError(Refusal):
    """Less is in stock than is wanted of some lines."""

    code = "out_of_stock"
    message = "There is not enough in stock"
    members = {
        "items": [
            {
                "product_id": models.IntegerField(),
                "product_name": models.CharField(),
                "wanted": models.IntegerField(),
                "available": models.IntegerField(),
            }
        ]
    }


class LineOutOfStockError(OutOfStockError):
    """Less is in stock than is wanted of one line."""

    members = {"available": models.IntegerField()}


def put(
    *, customer_id: int, product_id: int, quantity: int, more: bool = False
) -> tuple[dict[str, Any], bool]:
    """Have so many of a product in the cart, or so many more; return the line, and whether it is new.

    Raises a Refusal when the product is unknown, the cart full, or more is wanted than is in stock, and a
    ValidationError for more than a line may have.
    """
    try:
        with transaction.atomic():
            return put_once(customer_id, product_id, quantity, more=more)
    except IntegrityError:  # at the commit, for a product that was deleted meanwhile
        raise ProductMissingError from None


def offer(product_id: Any, cart_id: Any) -> QuerySet[Product]:
    """Return a product as it would be in this cart: how many of it are, and how many lines there are."""
    lines = CartItem.objects.filter(cart=cart_id).order_by()
    return Product.objects.filter(pk=product_id).annotate(
        in_cart=Subquery(lines.filter(product=OuterRef("pk")).values("quantity")),
        lines=Coalesce(Subquery(lines.values("cart").annotate(number=Count("pk")).values("number")), 0),
    )


OFFER = Statement(offer, {name: name for name in ("name", "price", "stock", "in_cart", "lines")}, 2)

LINES = Statement(CartItem.objects.in_cart_of, {"cart_item_id": "pk", **CART_LINE_ROW}, 1)


def lines_of(customer_id: int) -> list[dict[str, Any]]:
    """Return the lines of the customer's cart at today's prices, as they were put in; money is text."""
    return [json.loads(line) for line in LINES.fetch(customer_id)]


VALUES = {"cart_id": "integer", "product_id": "integer", "quantity": "integer"}

CHANGE_LINE = Prepared(
    """
    UPDATE cart_item SET quantity = %(quantity)s
    WHERE cart_id = %(cart_id)s AND product_id = %(product_id)s
    """,
    **VALUES,
)

# Only psql adds and deletes lines without holding the cart.
ADD_LINE = Prepared(
    """
    INSERT INTO cart_item (quantity, cart_id, product_id) VALUES (%(quantity)s, %(cart_id)s, %(product_id)s)
    ON CONFLICT (cart_id, product_id) DO UPDATE SET quantity = excluded.quantity
    """,
    **VALUES,
)


def put_once(customer_id: int, product_id: int, quantity: int, *, more: bool) -> tuple[dict[str, Any], bool]:
    cart_id = Cart.objects.hold(customer_id)
    if not cart_id:
        raise MissingError("Customer not found")
    for row in OFFER.fetch(product_id, cart_id):
        product = json.loads(row)
        break
    else:
        raise ProductMissingError
    in_cart = product["in_cart"]
    if in_cart is None and product["lines"] >= MAX_LINES:
        raise CartFullError
    if more:
        quantity += in_cart or 0
    if quantity > MAX_QUANTITY:
        raise ValidationError({"quantity": f"A line of a cart has {MAX_QUANTITY} at the most."})
    if quantity > product["stock"]:
        raise LineOutOfStockError(available=product["stock"])
    if quantity == in_cart:
        transaction.set_rollback(True)  # nothing changes, the cart's last_updated neither
    else:
        values = {"cart_id": cart_id, "product_id": product_id, "quantity": quantity}
        with connection.cursor() as cursor:
            if in_cart is not None:
                CHANGE_LINE.run(cursor, **values)
            if in_cart is None or not cursor.rowcount:
                ADD_LINE.run(cursor, **values)
    line = {
        "product_id": product_id,
        "product_name": product["name"],
        "price": product["price"],
        "quantity": quantity,
        "subtotal": str(quantity * Decimal(product["price"])),
        "stock": product["stock"],
    }
    return line, in_cart is None


@transaction.atomic
def remove(*, customer_id: int, product_id: int | None = None) -> None:
    """Take a product out of the cart, or without one all; what is not in it is out of it already."""
    for cart in Cart.objects.filter(customer=customer_id).select_for_update(no_key=True):
        lines = CartItem.objects.filter(cart=cart)
        if product_id is not None:
            lines = lines.filter(product=product_id)
        if lines.delete()[0]:
            Cart.objects.hold(customer_id)
