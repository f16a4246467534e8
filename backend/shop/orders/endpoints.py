"""Orders over HTTP: for whom, which row, which QuerySet."""

from django.db.models import QuerySet

from shop.api.audience import Audience
from shop.api.reading import list_endpoint
from shop.customers.models import Customer
from shop.database.statements import Parameter
from shop.orders.models import Order, OrderItem


def any_order(order_id: int) -> QuerySet[Order]:
    """What the path of an order names."""
    return Order.objects.filter(pk=order_id)


@list_endpoint(
    Audience("shop.view_order", owner=True, opens=True),
    {
        "order_id": "order_id",
        "order_date": "order_date",
        "status": "status",
        "total_amount": "total_amount",
        "customer_email": "customer__email",
    },
    parent=(Customer, "orders"),
)
def customer_orders(customer_id: Parameter) -> QuerySet[Order]:
    """A customer's orders, the newest first."""
    return Order.objects.of_customer(customer_id)


@list_endpoint(
    Audience("shop.view_order", owner=True, target=any_order, opens=True),
    {
        "order_id": "order_id",
        "order_date": "order__order_date",
        "customer_name": "customer_name",
        "product_name": "product__name",
        "quantity": "quantity",
        "price_per_unit": "price_per_unit",
        "subtotal": "subtotal",
    },
    parent=(Order, "items"),
)
def order_details(order_id: Parameter) -> QuerySet[OrderItem]:
    """An order's lines."""
    return OrderItem.objects.of_order(order_id)
