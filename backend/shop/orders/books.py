"""Whether the books balance: what is stored twice, or follows from something else, is compared."""

from collections.abc import Iterator
from itertools import chain

from django.db import connection, transaction

from shop.orders.models import Invoice, OrderStatus
from shop.orders.sales import differences
from shop.orders.workflow import TRANSITIONS

# One snapshot for all that is compared, whatever others write meanwhile. It may take long in a large shop.
ONE_MOMENT = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0
"""

TOTALS = """
SELECT order_id, total_amount, coalesce(sum(quantity * price_per_unit), 0.00)
FROM "order" LEFT JOIN order_item USING (order_id)
GROUP BY order_id
HAVING total_amount <> coalesce(sum(quantity * price_per_unit), 0.00)
ORDER BY order_id
"""

STOCK = "SELECT product_id, stock FROM product WHERE stock < 0 ORDER BY product_id"

# Of the orders that were placed here, which are those with a delivery.
HISTORIES = """
WITH step AS (
    SELECT order_id, order_history_id, order_history.status,
           lag(order_history.status, 1, '') OVER way AS before,
           lead(order_history.status) OVER way AS after
    FROM delivery LEFT JOIN order_history USING (order_id)
    WINDOW way AS (PARTITION BY order_id ORDER BY order_history_id)
), known (before, status) AS (
    SELECT * FROM unnest(%(before)s::text[], %(after)s::text[])
)
SELECT order_id, step.before, step.status, step.after IS NULL, "order".status
FROM step JOIN "order" USING (order_id)
WHERE step.status IS NULL
OR (step.before, step.status) NOT IN (SELECT before, status FROM known)
OR (step.after IS NULL AND step.status <> "order".status)
ORDER BY order_id, order_history_id
"""

# A live payment is of what its order costs, unless staff have to say what becomes of another amount.
PAYMENTS = """
WITH live AS (
    SELECT order_id, count(*) AS number,
           min(amount) FILTER (WHERE payment.status <> 'disputed' AND amount <> total_amount) AS other_amount,
           total_amount, bool_or("order".status = 'cancelled' AND payment.status <> 'open') AS is_kept
    FROM payment JOIN "order" USING (order_id)
    WHERE payment.status IN ('open', 'paid', 'disputed')
    GROUP BY order_id, total_amount
)
SELECT order_id, number, other_amount, total_amount, is_kept FROM live
WHERE number > 1 OR other_amount IS NOT NULL OR is_kept
ORDER BY order_id
"""

NUMBERS = """
SELECT before + 1, number - 1
FROM (SELECT number, lag(number, 1, 0) OVER (ORDER BY number) AS before FROM invoice) AS numbered
WHERE number <> before + 1
ORDER BY number
"""

# The lines of an order with an invoice stay, and its invoice is cancelled with it.
INVOICES = """
WITH billed AS (
    SELECT invoice.number, invoice.order_id, invoice.cancels_id, invoice.gross,
           CASE WHEN invoice.cancels_id IS NULL THEN total_amount ELSE -total_amount END AS amount,
           "order".status = 'cancelled' AS is_over, cancellation.number IS NOT NULL AS is_cancelled
    FROM invoice JOIN "order" ON "order".order_id = invoice.order_id
    LEFT JOIN invoice AS cancellation ON cancellation.cancels_id = invoice.number
)
SELECT number, order_id, gross, amount, is_over, cancels_id IS NULL AND is_over <> is_cancelled
FROM billed
WHERE gross <> amount OR (cancels_id IS NULL AND is_over <> is_cancelled)
ORDER BY number
"""

STEPS = [
    ("", OrderStatus.PENDING),
    *((before, after) for before, targets in TRANSITIONS.items() for after in targets),
]
"""From which status to which an order may go; it begins as pending."""


@transaction.atomic(durable=True)
def faults() -> list[str]:
    """Return what is wrong in the books as of one moment, a line each. It only reads."""
    with connection.cursor() as cursor:
        cursor.execute(ONE_MOMENT)
    return list(
        chain(
            wrong_totals(),
            wrong_sales(),
            wrong_stock(),
            wrong_histories(),
            wrong_payments(),
            missing_invoices(),
            wrong_invoices(),
        )
    )


def wrong_totals() -> Iterator[str]:
    """Yield the orders whose total is not the sum of their lines."""
    with connection.cursor() as cursor:
        cursor.execute(TOTALS)
        for order_id, total, lines in cursor.fetchall():
            yield f"order {order_id}: its total is {total}, its lines add up to {lines}"


def wrong_sales() -> Iterator[str]:
    """Yield the products whose product_sales are not what the lines add up to."""
    for product_id, quantity, revenue in differences():
        yield f"product {product_id}: product_sales lacks {quantity} units and {revenue} of revenue"


def wrong_stock() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(STOCK)
        for product_id, stock in cursor.fetchall():
            yield f"product {product_id}: its stock is {stock}"


def wrong_histories() -> Iterator[str]:
    """Yield the orders whose history leaves the table of transitions, or does not end in their status."""
    before, after = zip(*STEPS, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(HISTORIES, {"before": list(before), "after": list(after)})
        for order_id, came_from, status, is_last, present in cursor.fetchall():
            if status is None:
                yield f"order {order_id}: it has no history"
            elif (came_from, status) not in STEPS:
                yield f"order {order_id}: its history goes from {came_from or 'nothing'} to {status}"
            if status is not None and is_last and status != present:
                yield f"order {order_id}: it is {present}, its history ends with {status}"


def wrong_payments() -> Iterator[str]:
    """Yield orders with two live payments, one of another amount, or cancelled ones whose money stays."""
    with connection.cursor() as cursor:
        cursor.execute(PAYMENTS)
        for order_id, live, amount, total, is_kept in cursor.fetchall():
            if live > 1:
                yield f"order {order_id}: it has {live} live payments"
            if amount is not None:
                yield f"order {order_id}: its total is {total}, its payment is of {amount}"
            if is_kept:
                yield f"order {order_id}: it is cancelled, and paid without a refund"


def missing_invoices() -> Iterator[str]:
    """Yield where numbers of invoices are left out."""
    with connection.cursor() as cursor:
        cursor.execute(NUMBERS)
        for first, last in cursor.fetchall():
            yield f"invoices: {Invoice(number=first)} to {Invoice(number=last)} are missing"


def wrong_invoices() -> Iterator[str]:
    """Yield invoices of another amount than their order, and those of which one alone is cancelled."""
    with connection.cursor() as cursor:
        cursor.execute(INVOICES)
        for number, order_id, gross, amount, is_over, is_torn in cursor.fetchall():
            invoice = Invoice(number=number)
            if gross != amount:
                yield f"invoice {invoice}: it is of {gross}, by order {order_id} it is of {amount}"
            if is_torn and is_over:
                yield f"invoice {invoice}: order {order_id} is cancelled, the invoice is not"
            elif is_torn:
                yield f"invoice {invoice}: it is cancelled, order {order_id} is not"
