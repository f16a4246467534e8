"""Stock that orders take and give back."""

from collections.abc import Mapping
from decimal import Decimal

from django.db import connection

from shop.database.statements import Prepared

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
    RETURNING product.product_id, price
    """,
    products="integer[]",
    quantities="bigint[]",
)


def take(quantities: Mapping[int, int]) -> dict[int, Decimal]:
    """Take so many of each product, by its id, where there are enough; a negative number gives back.

    Needs a transaction. Returns the products that had enough, each with its price; whoever misses one rolls
    back.
    """
    products = list(quantities)
    with connection.cursor() as cursor:
        LOCK.run(cursor, products=products)
        TAKE.run(cursor, products=products, quantities=list(quantities.values()))
        return dict(cursor.fetchall())


def give_back(quantities: Mapping[int, int]) -> None:
    if quantities:
        take({product_id: -quantity for product_id, quantity in quantities.items()})
