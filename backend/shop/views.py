"""The eight read endpoints, in the order of urls.py and docs/API.md."""

from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest

from .api import Audience, endpoint, rows
from .models import Cart, CartItem, Category, Customer, Order, OrderItem, Product

PRODUCT_ROW = {
    "product_id": "product_id",
    "name": "name",
    "price": "price",
    "stock": "stock",
    "category": "category__category_name",
}


@endpoint(Audience.PUBLIC)
def products(request: HttpRequest) -> list[dict[str, Any]]:
    """All products."""
    return rows(Product.objects.catalog(), **PRODUCT_ROW)


@endpoint(Audience.STAFF)
def customer_orders(request: HttpRequest, customer_id: int) -> list[dict[str, Any]]:
    """A customer's orders, the newest first."""
    orders = rows(
        Order.objects.of_customer(customer_id),
        order_id="order_id",
        order_date="order_date",
        status="status",
        total_amount="total_amount",
        customer_email="customer__email",
    )
    if not orders and not Customer.objects.filter(pk=customer_id).exists():
        raise Http404("Customer not found")
    return orders


@endpoint(Audience.STAFF)
def order_details(request: HttpRequest, order_id: int) -> list[dict[str, Any]]:
    """An order's lines."""
    items = rows(
        OrderItem.objects.of_order(order_id),
        order_id="order_id",
        order_date="order__order_date",
        customer_name="customer_name",
        product_name="product__name",
        quantity="quantity",
        price_per_unit="price_per_unit",
        subtotal="subtotal",
    )
    if not items and not Order.objects.filter(pk=order_id).exists():
        raise Http404("Order not found")
    return items


@endpoint(Audience.STAFF)
def customer_cart(request: HttpRequest, customer_id: int) -> dict[str, Any]:
    """A customer's cart at today's prices."""
    items = rows(
        CartItem.objects.of_customer(customer_id),
        product_name="product__name",
        price="product__price",
        quantity="quantity",
        subtotal="subtotal",
    )
    if not items and not Cart.objects.filter(customer_id=customer_id).exists():
        raise Http404("Cart not found")
    total = sum((item["subtotal"] for item in items), start=Decimal("0.00"))
    return {"customer_id": customer_id, "items": items, "total": total}


@endpoint(Audience.STAFF)
def bestsellers(request: HttpRequest) -> list[dict[str, Any]]:
    """The ten products sold most."""
    return rows(
        Product.objects.bestsellers(),
        product_id="product_id",
        name="name",
        price="price",
        total_sold="total_sold",
        total_revenue="total_revenue",
    )


@endpoint(Audience.PUBLIC)
def low_stock(request: HttpRequest) -> list[dict[str, Any]]:
    """The products of which fewer than ten are left."""
    return rows(Product.objects.low_stock(), **PRODUCT_ROW)


@endpoint(Audience.STAFF)
def customer_stats(request: HttpRequest) -> list[dict[str, Any]]:
    """What each customer ordered and spent."""
    return rows(
        Customer.objects.with_spending(),
        customer_id="customer_id",
        name="full_name",
        email="email",
        total_orders="total_orders",
        total_spent="total_spent",
    )


@endpoint(Audience.PUBLIC)
def category_stats(request: HttpRequest) -> list[dict[str, Any]]:
    """What each category holds."""
    return rows(
        Category.objects.with_stock_summary(),
        category_name="category_name",
        product_count="product_count",
        total_stock="total_stock",
        avg_price="avg_price",
    )
