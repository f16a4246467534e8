"""What was sold and spent in some of the orders.

What these add up to gets the name of the table or view that holds it for all orders: so what shows those
shows these, and stays as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.models import BooleanField, Count, F, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.expressions import RawSQL

from shop.catalog.models import Product
from shop.customers.models import Customer, full_name
from shop.database.keys import any_of
from shop.database.statements import NEEDED, Select, select
from shop.orders.models import Order, OrderItem

# Who stands on a page is one of the first spenders, or of the first without such an order. To put all
# customers in order takes longer than to add up a month.
UP_TO_THE_PAGE = f"""
customer.customer_id = ANY (ARRAY(
    (SELECT customer_id FROM customer_spending ORDER BY total_spent DESC, customer_id LIMIT {NEEDED})
    UNION ALL
    (
        SELECT customer_id FROM customer AS other
        WHERE NOT EXISTS (SELECT FROM customer_spending AS spent WHERE spent.customer_id = other.customer_id)
        ORDER BY customer_id LIMIT {NEEDED}
    )
))
"""  # noqa: S608


def sold_most(row: Mapping[str, str], filters: Mapping[str, Any]) -> QuerySet[Product] | Select:
    """Return the ten products of which most was sold in these orders; `row` is as in select()."""
    if is_everything(filters):
        return Product.objects.bestsellers()
    orders = Order.objects.asked_for(filters).values("pk")
    lines = OrderItem.objects.filter(any_of("order_id", orders)).values("product_id")
    best = lines.annotate(units=Sum("quantity")).order_by("-units", "product_id").values("product_id")[:10]
    sold = {"units": Sum("quantity"), "revenue": Sum(F("quantity") * F("price_per_unit"))}
    return over(
        "product_sales (product_id, main, quantity, revenue)",
        # Money is added up of the ten alone: of all products the sums would go to the disk.
        lines.filter(any_of("product_id", best)).annotate(main=Value(True), **sold),
        select(Product.objects.bestsellers(), row),
    )


def is_everything(filters: Mapping[str, Any]) -> bool:
    """Tell whether these days are those of all orders, which are added up quicker, or have been.

    Who asks for a status would have to read all to know.
    """
    return "status" not in filters and not Order.objects.not_asked_for(filters).exists()


def spending(row: Mapping[str, str], filters: Mapping[str, Any]) -> QuerySet[Customer] | Select:
    """Return all customers, the biggest spender in these orders first; `row` is as in select().

    Names are looked up for the rows that are sent: reading those of all would take most of the time.
    """
    if is_everything(filters):
        return Customer.objects.with_spending()
    orders = Order.objects.asked_for(filters).values("customer_id")
    own = Customer.objects.filter(pk=OuterRef("pk"))
    on_page = RawSQL(UP_TO_THE_PAGE, [], BooleanField())  # noqa: S611
    customers = (
        Customer.objects.with_spending()
        .filter(on_page)
        .annotate(
            looked_up_name=Subquery(own.values(name=full_name())),
            looked_up_email=Subquery(own.values("email")),
        )
    )
    row = {**row, "name": "looked_up_name", "email": "looked_up_email"}
    spent = over(
        "customer_spending (customer_id, total_orders, total_spent)",
        orders.annotate(orders=Count("pk"), spent=Sum("total_amount")),
        select(customers, row),
    )
    return replace(spent, counting=lambda: ("SELECT count(*) FROM customer", []))


def over(name: str, sums: QuerySet[Any, Any], rows: Select) -> Select:
    """Return the same over these sums, in the place of the table or view that has this name."""
    sql, parameters = sums.query.sql_with_params()
    return Select(f"WITH {name} AS MATERIALIZED ({sql}) {rows.sql}", [*parameters, *rows.parameters])
