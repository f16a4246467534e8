"""The rules of numbers and dates refuse what PostgreSQL knows and Python does not: NaN, years beyond 9999 or BC.

No rule is checked against the rows that are there while the tables are locked: 0007 does that.
"""

import datetime
from decimal import Decimal
from typing import Any

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import DataError, migrations, models

AMOUNTS = (Decimal(0), Decimal("99999999.99"))
DATES = (datetime.date(1, 1, 1), datetime.date(9999, 12, 31))
TIMES = (
    datetime.datetime(1, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.UTC),
)
COLUMNS: tuple[tuple[str, str, tuple[Any, Any], str], ...] = (
    ("product", "price", AMOUNTS, "NaN"),
    ("order", "total_amount", AMOUNTS, "NaN"),
    ("order", "order_date", DATES, "not in the years 1 to 9999"),
    ("order_item", "price_per_unit", AMOUNTS, "NaN"),
    ("cart", "last_updated", TIMES, "not in the years 1 to 9999"),
)
NAMED_ROWS = 5


def refuse_rows_that_break_the_rules(apps: Any, schema_editor: Any) -> None:  # noqa: ARG001
    """Raise DataError with what to mend, if there is anything."""
    problems = []
    with schema_editor.connection.cursor() as cursor:
        for table, column, allowed, what in COLUMNS:
            cursor.execute(
                f'SELECT {table}_id, count(*) OVER () FROM "{table}" WHERE {column} NOT BETWEEN %s AND %s '  # noqa: S608
                f"ORDER BY 1 LIMIT {NAMED_ROWS}",
                allowed,
            )
            if rows := cursor.fetchall():
                ids, total = [str(key) for key, _ in rows], rows[0][1]
                more = f" and {total - len(ids)} more" if total > len(ids) else ""
                problems.append(f"{table}.{column} is {what} where {table}_id is {', '.join(ids)}{more}")
    if problems:
        raise DataError(f"{'; '.join(problems)}: give these rows right values, then migrate again")


# A sum that NaN was added to stays NaN when its line is mended; TRUNCATE adds up anew (0004).
MEND_SALES = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM product_sales WHERE revenue = 'NaN') THEN
        TRUNCATE product_sales;
    END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0005_views")]

    operations = [
        migrations.RunPython(refuse_rows_that_break_the_rules, migrations.RunPython.noop),
        migrations.RunSQL(MEND_SALES, migrations.RunSQL.noop),
        migrations.RemoveConstraint("order", "order_total_amount_not_negative"),
        migrations.RemoveConstraint("orderitem", "order_item_price_per_unit_not_negative"),
        migrations.RemoveConstraint("product", "product_price_not_negative"),
        AddConstraintNotValid(
            "order",
            models.CheckConstraint(
                condition=models.Q(("total_amount__range", AMOUNTS)),
                name="order_total_amount_not_negative",
                violation_error_message="The total amount must not be negative.",
            ),
        ),
        AddConstraintNotValid(
            "orderitem",
            models.CheckConstraint(
                condition=models.Q(("price_per_unit__range", AMOUNTS)),
                name="order_item_price_per_unit_not_negative",
                violation_error_message="The price must not be negative.",
            ),
        ),
        AddConstraintNotValid(
            "product",
            models.CheckConstraint(
                condition=models.Q(("price__range", AMOUNTS)),
                name="product_price_not_negative",
                violation_error_message="The price must not be negative.",
            ),
        ),
        AddConstraintNotValid(
            "productsales",
            models.CheckConstraint(
                condition=models.Q(("revenue__lt", models.Value("NaN"))),
                name="product_sales_revenue_number",
            ),
        ),
        AddConstraintNotValid(
            "order",
            models.CheckConstraint(
                condition=models.Q(("order_date__range", DATES)),
                name="order_order_date_in_range",
                violation_error_message="The date must be in the years 1 to 9999.",
            ),
        ),
        AddConstraintNotValid(
            "cart",
            models.CheckConstraint(
                condition=models.Q(("last_updated__range", TIMES)),
                name="cart_last_updated_in_range",
                violation_error_message="The time must be in the years 1 to 9999.",
            ),
        ),
    ]
