"""Stock that orders take and give back, and that staff correct."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from shop.catalog.models import LOW_STOCK, Product, StockCorrection
from shop.database.statements import Prepared
from shop.jobs.mail import letter, post

# In the order of their keys, so that nobody waits in a circle.
LOCK = Prepared(
    "SELECT FROM product WHERE product_id = ANY(%(products)s) ORDER BY product_id FOR NO KEY UPDATE",
    products="integer[]",
)

# A statement of its own, as it sees what was committed while the locks were waited for. One that locks and
# updates would meet the older rows of its snapshot, follow them to those it holds, and queue for these.
# An order of more than there ever was, which psql may have stored, can be cancelled all the same.
TAKE = Prepared(
    """
    UPDATE product SET stock = least(stock - wanted.quantity, 2147483647)
    FROM unnest(%(products)s::integer[], %(quantities)s::bigint[]) AS wanted (product_id, quantity)
    WHERE product.product_id = wanted.product_id AND stock >= wanted.quantity
    RETURNING product.product_id, price, name, stock, wanted.quantity
    """,
    products="integer[]",
    quantities="bigint[]",
)


class Taken(NamedTuple):
    """A product of which `quantity` was taken; `stock` is what is left."""

    product_id: int
    price: Decimal
    name: str
    stock: int
    quantity: int


def take(quantities: Mapping[int, int]) -> dict[int, Decimal]:
    """Take so many of each product, by its id, where there are enough; a negative number gives back.

    Needs a transaction. Returns the products that had enough, each with its price; whoever misses one rolls
    back.
    """
    products = list(quantities)
    with connection.cursor() as cursor:
        LOCK.run(cursor, products=products)
        TAKE.run(cursor, products=products, quantities=list(quantities.values()))
        taken = [Taken(*row) for row in cursor.fetchall()]
    tell_low_stock(
        [product for product in taken if product.stock < LOW_STOCK <= product.stock + product.quantity]
    )
    return {product.product_id: product.price for product in taken}


def tell_low_stock(products: Collection[Taken]) -> None:
    """Write staff a mail about products that have just become low on stock."""
    if products and settings.SHOP_STAFF_EMAIL:
        post([letter("low_stock", to=settings.SHOP_STAFF_EMAIL, context={"products": products})])


def give_back(quantities: Mapping[int, int]) -> None:
    if quantities:
        take({product_id: -quantity for product_id, quantity in quantities.items()})


@transaction.atomic
def correct(*, product_id: int, before: int, after: int, reason: str, username: str) -> None:
    """Set a stock that is `before` to `after`, and keep why; raise ValidationError if it is another now."""
    if not Product.objects.filter(pk=product_id, stock=before).update(stock=after):
        raise ValidationError(f"The stock is not {before} any more. Nothing was saved.")
    StockCorrection.objects.create(
        product_id=product_id, before=before, after=after, reason=reason, username=username
    )
