"""What was sold and spent in some of the orders.

What these add up to gets the name of the table or view that holds it for all orders: so what shows those
shows these, and stays as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Sum, Value

from shop.catalog.models import Product
from shop.customers.models import Customer, full_name
from shop.database.keys import any_of
from shop.database.statements import Select, select
from shop.orders.models import Order, OrderItem


def sold_most(row: Mapping[str, str], filters: Mapping[str, Any]) -> QuerySet[Product] | Select:
    """Return the ten products of which most was sold in these orders; `row` is as in select()."""
    # Of days beyond all orders the sums are kept. Who asks for a status would have to read all to know.
    if "status" not in filters and not Order.objects.not_asked_for(filters).exists():
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


def spending(row: Mapping[str, str], filters: Mapping[str, Any]) -> Select:
    """Return what selects all customers, the biggest spender in these orders first; `row` is as in select().

    Names are looked up for the rows that are sent: reading those of all would take most of the time.
    """
    orders = Order.objects.asked_for(filters).values("customer_id")
    own = Customer.objects.filter(pk=OuterRef("pk"))
    customers = Customer.objects.with_spending().annotate(
        looked_up_name=Subquery(own.values(name=full_name())), looked_up_email=Subquery(own.values("email"))
    )
    row = {**row, "name": "looked_up_name", "email": "looked_up_email"}
    spent = over(
        "customer_spending (customer_id, total_orders, total_spent)",
        orders.annotate(orders=Count("pk"), spent=Sum("total_amount")),
        select(customers, row),
    )
    return replace(spent, counting=("SELECT count(*) FROM customer", []))


def over(name: str, sums: QuerySet[Any, Any], rows: Select) -> Select:
    """Return the same over these sums, in the place of the table or view that has this name."""
    sql, parameters = sums.query.sql_with_params()
    return Select(f"WITH {name} AS MATERIALIZED ({sql}) {rows.sql}", [*parameters, *rows.parameters])
