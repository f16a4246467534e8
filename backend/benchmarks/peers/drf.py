"""Django REST Framework: a serializer per row."""

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpResponse
from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import (
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    IntegerField,
    ModelSerializer,
    ReadOnlyField,
    Serializer,
)

from shop.models import CartItem, Category, Customer, Order, OrderItem, Product
from shop.orders.models import Delivery, OrderHistory

from . import orm
from .token import is_of


def money(**options: str) -> DecimalField:
    return DecimalField(max_digits=None, decimal_places=2, **options)


class ProductSerializer(ModelSerializer):
    category = CharField(source="category.category_name")

    class Meta:
        model = Product
        fields = ("product_id", "name", "price", "stock", "category")


class DetailedProductSerializer(ProductSerializer):
    class Meta:
        model = Product
        fields = (*ProductSerializer.Meta.fields, "description")


class OrderSerializer(ModelSerializer):
    customer_email = CharField(source="customer.email")

    class Meta:
        model = Order
        fields = ("order_id", "order_date", "status", "total_amount", "customer_email")


class OrderItemSerializer(ModelSerializer):
    order_date = DateField(source="order.order_date")
    customer_name = CharField(source="order.customer")
    product_name = CharField(source="product.name")
    subtotal = money()

    class Meta:
        model = OrderItem
        fields = (
            "order_id",
            "order_date",
            "customer_name",
            "product_name",
            "quantity",
            "price_per_unit",
            "subtotal",
        )


class CartItemSerializer(ModelSerializer):
    product_name = CharField(source="product.name")
    price = money(source="product.price")
    subtotal = money()

    class Meta:
        model = CartItem
        fields = ("product_name", "price", "quantity", "subtotal")


class BestsellerSerializer(ModelSerializer):
    total_sold = IntegerField()
    total_revenue = money()

    class Meta:
        model = Product
        fields = ("product_id", "name", "price", "total_sold", "total_revenue")


class CustomerStatsSerializer(ModelSerializer):
    name = CharField(source="*")
    total_orders = IntegerField()
    total_spent = money()

    class Meta:
        model = Customer
        fields = ("customer_id", "name", "email", "total_orders", "total_spent")


class CategoryStatsSerializer(ModelSerializer):
    product_count = IntegerField()
    total_stock = IntegerField()
    avg_price = money()

    class Meta:
        model = Category
        fields = ("category_name", "product_count", "total_stock", "avg_price")


class AddressSerializer(ModelSerializer):
    class Meta:
        model = Delivery
        fields = ("first_name", "last_name", "strasse", "plz", "ort")


class CheckoutSerializer(Serializer):
    expected_total = DecimalField(max_digits=10, decimal_places=2)
    address = AddressSerializer(required=False)


class PlacedItemSerializer(ModelSerializer):
    product_name = CharField(source="product.name")
    subtotal = money()

    class Meta:
        model = OrderItem
        fields = ("product_id", "product_name", "quantity", "price_per_unit", "subtotal")


class DeliverySerializer(ModelSerializer):
    class Meta:
        model = Delivery
        fields = (*AddressSerializer.Meta.fields, "carrier", "tracking_number")


class HistorySerializer(ModelSerializer):
    at = DateTimeField(format="%Y-%m-%dT%H:%M:%SZ")

    class Meta:
        model = OrderHistory
        fields = ("status", "at", "by")


class PlacedOrderSerializer(ModelSerializer):
    items = PlacedItemSerializer(many=True, source="bought")
    delivery = DeliverySerializer()
    payment = ReadOnlyField(default=None)
    history = HistorySerializer(many=True)

    class Meta:
        model = Order
        fields = (
            "order_id",
            "order_date",
            "status",
            "total_amount",
            "items",
            "delivery",
            "payment",
            "history",
        )


def rows(serializer: type[ModelSerializer], query: Callable[..., Iterable[Any]]) -> Callable[..., Response]:
    @api_view()
    def view(request: Request, **key: int) -> Response:
        return Response(serializer(query(**key), many=True).data)

    return view


@api_view()
def product(request: Request, product_id: int) -> Response:
    return Response(DetailedProductSerializer(orm.product(product_id)).data)


@api_view()
def customer_cart(request: Request, customer_id: int) -> Response:
    items = orm.cart_items(customer_id)
    rows = CartItemSerializer(items, many=True).data
    return Response({"customer_id": customer_id, "items": rows, "total": str(orm.total(items))})


def document(order: Order) -> str:
    """Return an order with all that belongs to it as JSON."""
    order.bought = orm.order_items(order)
    return JSONRenderer().render(PlacedOrderSerializer(order).data).decode()


@api_view(["GET", "POST"])
def customer_orders(request: Request, customer_id: int) -> Response | HttpResponse:
    if request.method != "POST":
        return Response(OrderSerializer(orm.customer_orders(customer_id), many=True).data)
    if not is_of(request.headers["Authorization"], customer_id):
        return Response({"error": "Sign in to do this"}, status=401)
    wanted = CheckoutSerializer(data=request.data)
    wanted.is_valid(raise_exception=True)
    try:
        made = orm.place_order(customer_id, request.headers["Idempotency-Key"], request.data, document)
    except orm.RefusedError as refused:
        return Response({"code": str(refused)}, status=409)
    return HttpResponse(made, status=201, content_type="application/json")


urlpatterns = [
    path("shop/api/products/", rows(ProductSerializer, orm.products)),
    path("shop/api/product/<int:product_id>/", product),
    path("shop/api/customer/<int:customer_id>/orders/", customer_orders),
    path("shop/api/order/<int:order_id>/", rows(OrderItemSerializer, orm.order_details)),
    path("shop/api/customer/<int:customer_id>/cart/", customer_cart),
    path("shop/api/bestsellers/", rows(BestsellerSerializer, orm.bestsellers)),
    path("shop/api/low-stock/", rows(ProductSerializer, orm.low_stock)),
    path("shop/api/customer-stats/", rows(CustomerStatsSerializer, orm.customer_stats)),
    path("shop/api/category-stats/", rows(CategoryStatsSerializer, orm.category_stats)),
]
