"""Customers over HTTP: for whom, which row, which QuerySet."""

from django.db.models import QuerySet

from shop.api.reading import Audience, array
from shop.customers.models import Customer


@array(
    Audience.STAFF,
    {
        "customer_id": "customer_id",
        "name": "full_name",
        "email": "email",
        "total_orders": "total_orders",
        "total_spent": "total_spent",
    },
)
def customer_stats() -> QuerySet[Customer]:
    """What each customer ordered and spent."""
    return Customer.objects.with_spending()
