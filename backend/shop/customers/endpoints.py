"""Customers over HTTP: for whom, which row, which QuerySet."""

from django.db.models import QuerySet

from shop.api.audience import staff
from shop.api.reading import list_endpoint
from shop.customers.models import Customer


@list_endpoint(
    staff("shop.view_customer"),
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
