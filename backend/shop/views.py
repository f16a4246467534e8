"""The eight read endpoints, in the order of urls.py and docs/API.md: for whom, which row, which QuerySet."""

from django.db.models import QuerySet

from shop.api.reading import Audience, array, single
from shop.database.statements import JsonArray

from .models import Cart, CartItem, Category, Customer, Order, OrderItem, Product

PRODUCT_ROW = {
    "product_id": "product_id",
    "name": "name",
    "price": "price",
    "stock": "stock",
    "category": "category__category_name",
}


@array(Audience.PUBLIC, PRODUCT_ROW, cached=True)
def products() -> QuerySet[Product]:
    """All products."""
    return Product.objects.catalog()


@array(
    Audience.STAFF,
    {
        "order_id": "order_id",
        "order_date": "order_date",
        "status": "status",
        "total_amount": "total_amount",
        "customer_email": "customer__email",
    },
    parent=(Customer, "orders"),
)
def customer_orders(customer_id: int) -> QuerySet[Order]:
    """A customer's orders, the newest first."""
    return Order.objects.of_customer(customer_id)


@array(
    Audience.STAFF,
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
def order_details(order_id: int) -> QuerySet[OrderItem]:
    """An order's lines."""
    return OrderItem.objects.of_order(order_id)


CART_ITEM_ROW = {
    "product_name": "product__name",
    "price": "product__price",
    "quantity": "quantity",
    "subtotal": "subtotal",
}


@single(Audience.STAFF, {"customer_id": "customer_id", "items": "item_rows", "total": "total"})
def customer_cart(customer_id: int) -> QuerySet[Cart]:
    """A customer's cart at today's prices."""
    items = JsonArray(CartItem.objects.of_customer(customer_id), CART_ITEM_ROW)
    return Cart.objects.filter(customer_id=customer_id).with_total().annotate(item_rows=items)


@array(
    Audience.STAFF,
    {
        "product_id": "product_id",
        "name": "name",
        "price": "price",
        "total_sold": "total_sold",
        "total_revenue": "total_revenue",
    },
    cached=True,
)
def bestsellers() -> QuerySet[Product]:
    """The ten products sold most."""
    return Product.objects.bestsellers()


@array(Audience.PUBLIC, PRODUCT_ROW, cached=True)
def low_stock() -> QuerySet[Product]:
    """The products of which fewer than ten are left."""
    return Product.objects.low_stock()


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


@array(
    Audience.PUBLIC,
    {
        "category_name": "category_name",
        "product_count": "product_count",
        "total_stock": "total_stock",
        "avg_price": "avg_price",
    },
    cached=True,
)
def category_stats() -> QuerySet[Category]:
    """What each category holds."""
    return Category.objects.with_stock_summary()
