"""What was sold and spent in some of the orders; over all of them the database keeps it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, F, FilteredRelation, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from shop.catalog.models import Product
from shop.customers.models import Customer, full_name
from shop.database.fields import ZERO
from shop.orders.models import LOOKUPS, Order


def sold_most(orders: QuerySet[Order]) -> QuerySet[Product]:
    """Return the ten products of which most was sold in these orders, with total_sold and total_revenue."""
    revenue = F("order_items__quantity") * F("order_items__price_per_unit")
    return (
        Product.objects.filter(order_items__order__in=orders)
        .annotate(total_sold=Sum("order_items__quantity"), total_revenue=Sum(revenue))
        .order_by("-total_sold", "product_id")[:10]
    )


def spent(filters: Mapping[str, Any]) -> QuerySet[Customer]:
    """Return all customers with total_orders and total_spent in these orders, the biggest spender first."""
    matching = Q(*((f"orders__{LOOKUPS[name]}", value) for name, value in filters.items()))
    return (
        Customer.objects.annotate(
            matching=FilteredRelation("orders", condition=matching), full_name=full_name()
        )
        .annotate(total_orders=Count("matching"), total_spent=Coalesce(Sum("matching__total_amount"), ZERO))
        .order_by("-total_spent", "customer_id")
    )
