"""Django alone: a query, a dict per instance."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from shop.models import CartItem, Category, Customer, Order, OrderItem, Product

from . import orm
from .token import is_of


def columns(instance: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(instance, name) for name in names}


def product_row(product: Product) -> dict[str, Any]:
    row = columns(product, "product_id", "name", "price", "stock")
    return row | {"category": product.category.category_name}


def products(request: HttpRequest) -> JsonResponse:
    words = request.GET.get("q")
    found = orm.found(words, int(request.GET["limit"])) if words else orm.products()
    return JsonResponse([product_row(product) for product in found], safe=False)


def product(request: HttpRequest, product_id: int) -> JsonResponse:
    found = orm.product(product_id)
    return JsonResponse(product_row(found) | columns(found, "description"))


def order_row(order: Order) -> dict[str, Any]:
    row = columns(order, "order_id", "order_date", "status", "total_amount")
    return row | {"customer_email": order.customer.email}


def order_item_row(item: OrderItem) -> dict[str, Any]:
    return columns(item, "order_id", "quantity", "price_per_unit", "subtotal") | {
        "order_date": item.order.order_date,
        "customer_name": str(item.order.customer),
        "product_name": item.product.name,
    }


def cart_item_row(item: CartItem) -> dict[str, Any]:
    row = columns(item, "quantity", "subtotal")
    return row | {"product_name": item.product.name, "price": item.product.price}


def bestseller_row(product: Product) -> dict[str, Any]:
    return columns(product, "product_id", "name", "price", "total_sold", "total_revenue")


def customer_row(customer: Customer) -> dict[str, Any]:
    return columns(customer, "customer_id", "email", "total_orders", "total_spent") | {"name": str(customer)}


def category_row(category: Category) -> dict[str, Any]:
    return columns(category, "category_name", "product_count", "total_stock", "avg_price")


def rows(
    row: Callable[[Any], dict[str, Any]], query: Callable[..., Iterable[Any]]
) -> Callable[..., JsonResponse]:
    def view(request: HttpRequest, **key: int) -> JsonResponse:
        return JsonResponse([row(instance) for instance in query(**key)], safe=False)

    return view


def customer_cart(request: HttpRequest, customer_id: int) -> JsonResponse:
    items = orm.cart_items(customer_id)
    rows = [cart_item_row(item) for item in items]
    return JsonResponse({"customer_id": customer_id, "items": rows, "total": orm.total(items)})


def document(order: Order) -> str:
    """Return an order with all that belongs to it as JSON."""
    columns_of_item = ("product_id", "quantity", "price_per_unit", "subtotal")
    made = {
        **columns(order, "order_id", "order_date", "status", "total_amount"),
        "items": [
            columns(item, *columns_of_item) | {"product_name": item.product.name}
            for item in orm.order_items(order)
        ],
        "delivery": columns(
            order.delivery, "first_name", "last_name", "strasse", "plz", "ort", "carrier", "tracking_number"
        ),
        "payment": None,
        "history": [
            columns(step, "status", "by") | {"at": f"{step.at:%Y-%m-%dT%H:%M:%SZ}"}
            for step in order.history.order_by("pk")
        ],
    }
    return json.dumps(made, cls=DjangoJSONEncoder)


orders = rows(order_row, orm.customer_orders)


@csrf_exempt
def customer_orders(request: HttpRequest, customer_id: int) -> HttpResponse:
    if request.method != "POST":
        return orders(request, customer_id=customer_id)
    if not is_of(request.headers["Authorization"], customer_id):
        return JsonResponse({"error": "Sign in to do this"}, status=401)
    try:
        made = orm.place_order(
            customer_id, request.headers["Idempotency-Key"], json.loads(request.body), document
        )
    except orm.RefusedError as refused:
        return JsonResponse({"code": str(refused)}, status=409)
    return HttpResponse(made, status=201, content_type="application/json")


urlpatterns = [
    path("shop/api/products/", products),
    path("shop/api/product/<int:product_id>/", product),
    path("shop/api/customer/<int:customer_id>/orders/", customer_orders),
    path("shop/api/order/<int:order_id>/", rows(order_item_row, orm.order_details)),
    path("shop/api/customer/<int:customer_id>/cart/", customer_cart),
    path("shop/api/bestsellers/", rows(bestseller_row, orm.bestsellers)),
    path("shop/api/low-stock/", rows(product_row, orm.low_stock)),
    path("shop/api/customer-stats/", rows(customer_row, orm.customer_stats)),
    path("shop/api/category-stats/", rows(category_row, orm.category_stats)),
]
