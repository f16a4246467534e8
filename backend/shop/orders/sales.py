"""product_sales beside the order lines that it adds up: where they differ, and the act that mends it.

Triggers keep them the same (migration 0004), but triggers can be switched off.
"""

from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction


class Difference(NamedTuple):
    """The units and the revenue that product_sales lacks of a product; 0 if only its main row is missing."""

    product_id: int
    quantity: int
    revenue: Decimal


# One statement, and so one snapshot: what others change meanwhile is in both sums or in neither.
DIFFERENCES = """
SELECT product_id, sum(quantity)::bigint, sum(revenue)
FROM (
    SELECT product_id, quantity::bigint, quantity * price_per_unit AS revenue, 0 AS main_rows FROM order_item
    UNION ALL
    SELECT product_id, -quantity, -revenue, CASE WHEN main THEN -1 ELSE 0 END FROM product_sales
    UNION ALL
    SELECT product_id, 0, 0, 1 FROM product
) AS parts
GROUP BY product_id
HAVING sum(quantity) <> 0 OR sum(revenue) <> 0 OR sum(main_rows) > 0
ORDER BY product_id
"""

# Nobody waits for these locks but another reconcile and TRUNCATE, which add up by themselves.
LOCK = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
LOCK TABLE order_item IN ACCESS SHARE MODE;
LOCK TABLE product_sales IN SHARE UPDATE EXCLUSIVE MODE
"""

# It looks first: ON CONFLICT alone would wait for whoever sells the product.
ADD_MAIN_ROWS = """
INSERT INTO product_sales (product_id, main, quantity, revenue)
SELECT product_id, true, 0, 0 FROM product
WHERE NOT EXISTS (SELECT FROM product_sales WHERE main AND product_id = product.product_id)
ON CONFLICT DO NOTHING
"""


def differences() -> list[Difference]:
    """Return the products whose product_sales are wrong, as of one moment."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES)
        return [Difference(*row) for row in cursor.fetchall()]


@transaction.atomic
def reconcile() -> list[Difference]:
    """Add to product_sales what it lacks, while others sell, and return it.

    A sale changes lines and totals by the same amount, so a difference stays what it is until it is added.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
        found = differences()
        cursor.execute(
            "SET LOCAL shop.reconcile = 'on'"
        )  # the trigger that refuses other writers asks for it
        if found:
            cursor.execute(ADD_MAIN_ROWS)
        for difference in found:
            cursor.execute("SELECT product_sales_add(%s, %s, %s)", difference)
        cursor.execute("SET LOCAL shop.reconcile = 'off'")
    return found
