"""Carts and their lines."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from django.db import connection, models
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from shop.catalog.models import Product
from shop.customers.models import Customer
from shop.database.fields import TIMES, ZERO
from shop.database.statements import JsonArray, Parameter, Prepared, Row

# It inserts only if there is nothing to update: ON CONFLICT alone would use up a cart_id at every write.
# clock_timestamp(), as the transaction may have begun before the one that it waits for here.
HOLD = Prepared(
    """
    WITH held AS (
        UPDATE cart SET last_updated = clock_timestamp() WHERE customer_id = %(customer_id)s RETURNING cart_id
    ), made AS (
        INSERT INTO cart (customer_id, last_updated)
        SELECT customer_id, clock_timestamp() FROM customer
        WHERE customer_id = %(customer_id)s AND email <> concat('deleted-', customer_id, '@invalid')
        AND NOT EXISTS (SELECT FROM held)
        FOR KEY SHARE
        ON CONFLICT (customer_id) DO UPDATE SET last_updated = clock_timestamp()
        RETURNING cart_id
    )
    SELECT cart_id FROM held UNION ALL SELECT cart_id FROM made
    """,
    customer_id="bigint",
)

REMOVE = Prepared(
    """
    DELETE FROM cart_item
    USING unnest(%(items)s::integer[], %(quantities)s::integer[]) AS seen (cart_item_id, quantity)
    WHERE cart_item.cart_item_id = seen.cart_item_id AND cart_item.quantity = seen.quantity
    """,
    items="integer[]",
    quantities="integer[]",
)

CART_LINE_ROW = Row(
    "CartLine",
    {
        "product_id": "product_id",
        "product_name": "product__name",
        "price": "product__price",
        "quantity": "quantity",
        "subtotal": "subtotal",
        "stock": "product__stock",
    },
)
"""A line of a cart as its owner sees it, by JSON keys."""

CART_ITEM_ROW = Row(
    "CartItem", {name: CART_LINE_ROW[name] for name in ("product_name", "price", "quantity", "subtotal")}
)
"""The same in the cart as the specification has it."""

CART_ROW = Row("Cart", {"customer_id": "customer_id", "items": "item_rows", "total": "total"})


class CartQuerySet(models.QuerySet["Cart"]):
    def with_items(self) -> Self:
        """Keep the carts with an item in them."""
        return self.filter(models.Exists(CartItem.objects.filter(cart=models.OuterRef("pk"))))

    def hold(self, customer_id: int) -> int | None:
        """Lock the customer's cart, made if there is none, bring it up to date, and return its id.

        It is None when the customer is gone, or erased, which others wait for here.
        """
        with connection.cursor() as cursor:
            HOLD.run(cursor, customer_id=customer_id)
            row = cursor.fetchone()
        return row[0] if row else None

    def with_total(self) -> Self:
        """Add total: the sum of the items at today's prices."""
        items = CartItem.objects.filter(cart=models.OuterRef("pk")).with_subtotal().values("cart")
        total = items.annotate(total=Sum("subtotal")).values("total")
        return self.annotate(total=Coalesce(models.Subquery(total), ZERO))

    def with_rows(self, customer_id: int | Parameter) -> Self:
        """Keep one customer's cart, with what CART_ROW has."""
        items = JsonArray(CartItem.objects.in_cart_of(customer_id), CART_ITEM_ROW)
        return self.filter(customer_id=customer_id).with_total().annotate(item_rows=items)


class Cart(models.Model):
    """A customer's one cart."""

    cart_id = models.AutoField(primary_key=True)
    customer = models.OneToOneField(
        Customer,
        on_delete=models.CASCADE,
        related_name="cart",
        error_messages={"unique": "This customer has a cart already."},
    )
    last_updated = models.DateTimeField(default=timezone.now, db_default=Now())

    objects = CartQuerySet.as_manager()

    class Meta:
        db_table = "cart"
        constraints = (
            models.CheckConstraint(
                condition=Q(last_updated__range=TIMES),
                name="cart_last_updated_in_range",
                violation_error_message="The time must be in the years 1 to 9999.",
            ),
        )

    def __str__(self) -> str:
        return f"Cart of {self.customer}"


class CartItemQuerySet(models.QuerySet["CartItem"]):
    def with_subtotal(self) -> Self:
        """Add subtotal: quantity times today's price."""
        return self.annotate(subtotal=F("quantity") * F("product__price"))

    def remove(self, lines: Sequence[Mapping[str, Any]]) -> int:
        """Delete these lines if they still have the quantity they had, and return how many had."""
        items = [line["cart_item_id"] for line in lines]
        with connection.cursor() as cursor:
            REMOVE.run(cursor, items=items, quantities=[line["quantity"] for line in lines])
            return int(cursor.rowcount)

    def in_cart_of(self, customer_id: int | Parameter) -> Self:
        """Keep the lines of a customer's cart, as they were put in, with subtotal."""
        return self.filter(cart__customer_id=customer_id).with_subtotal().order_by("cart_item_id")


class CartItem(models.Model):
    """A line of a cart: so many of a product, at whatever it costs today."""

    cart_item_id = models.AutoField(primary_key=True)
    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="cart_items")
    quantity = models.IntegerField()

    objects = CartItemQuerySet.as_manager()

    class Meta:
        db_table = "cart_item"
        constraints = (
            models.UniqueConstraint(
                fields=["cart", "product"],
                name="cart_item_cart_product_unique",
                violation_error_message="This product is in the cart already.",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1),
                name="cart_item_quantity_positive",
                violation_error_message="The quantity must be at least 1.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"
