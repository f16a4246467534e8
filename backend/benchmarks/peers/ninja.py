"""django-ninja: a schema per row."""

import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import path
from ninja import Field, NinjaAPI, Schema

from . import orm

api = NinjaAPI(docs_url=None, openapi_url=None)


class ProductOut(Schema):
    product_id: int
    name: str
    price: Decimal
    stock: int
    category: str = Field(alias="category.category_name")


class DetailedProductOut(ProductOut):
    description: str


class OrderOut(Schema):
    order_id: int
    order_date: datetime.date
    status: str
    total_amount: Decimal
    customer_email: str = Field(alias="customer.email")


class OrderItemOut(Schema):
    order_id: int
    order_date: datetime.date = Field(alias="order.order_date")
    customer_name: str
    product_name: str = Field(alias="product.name")
    quantity: int
    price_per_unit: Decimal
    subtotal: Decimal

    @staticmethod
    def resolve_customer_name(item: Any) -> str:
        return str(item.order.customer)


class CartItemOut(Schema):
    product_name: str = Field(alias="product.name")
    price: Decimal = Field(alias="product.price")
    quantity: int
    subtotal: Decimal


class CartOut(Schema):
    customer_id: int
    items: list[CartItemOut]
    total: Decimal


class BestsellerOut(Schema):
    product_id: int
    name: str
    price: Decimal
    total_sold: int
    total_revenue: Decimal


class CustomerStatsOut(Schema):
    customer_id: int
    name: str
    email: str
    total_orders: int
    total_spent: Decimal

    @staticmethod
    def resolve_name(customer: Any) -> str:
        return str(customer)


class CategoryStatsOut(Schema):
    category_name: str
    product_count: int
    total_stock: int
    avg_price: Decimal


@api.get("products/", response=list[ProductOut])
def products(request: HttpRequest) -> Any:
    return orm.products()


@api.get("product/{int:product_id}/", response=DetailedProductOut)
def product(request: HttpRequest, product_id: int) -> Any:
    return orm.product(product_id)


@api.get("customer/{int:customer_id}/orders/", response=list[OrderOut])
def customer_orders(request: HttpRequest, customer_id: int) -> Any:
    return orm.customer_orders(customer_id)


@api.get("order/{int:order_id}/", response=list[OrderItemOut])
def order_details(request: HttpRequest, order_id: int) -> Any:
    return orm.order_details(order_id)


@api.get("customer/{int:customer_id}/cart/", response=CartOut)
def customer_cart(request: HttpRequest, customer_id: int) -> Any:
    items = orm.cart_items(customer_id)
    return {"customer_id": customer_id, "items": items, "total": orm.total(items)}


@api.get("bestsellers/", response=list[BestsellerOut])
def bestsellers(request: HttpRequest) -> Any:
    return orm.bestsellers()


@api.get("low-stock/", response=list[ProductOut])
def low_stock(request: HttpRequest) -> Any:
    return orm.low_stock()


@api.get("customer-stats/", response=list[CustomerStatsOut])
def customer_stats(request: HttpRequest) -> Any:
    return orm.customer_stats()


@api.get("category-stats/", response=list[CategoryStatsOut])
def category_stats(request: HttpRequest) -> Any:
    return orm.category_stats()


urlpatterns = [path("shop/api/", api.urls)]
