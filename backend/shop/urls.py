"""Every path and method under /shop/api/: the table of contents."""

from pathlib import Path

from django.urls import URLPattern

from shop.api.docs import DocsPage
from shop.api.openapi import Links, OpenApi
from shop.api.routing import Index, route
from shop.carts.endpoints import add_item, cart_items, customer_cart, empty_cart, remove_item, set_item
from shop.catalog.endpoints import categories, category_stats, low_stock, product, products
from shop.customers.endpoints import (
    account,
    change_account,
    change_password,
    refresh_token,
    register,
    request_reset,
    reset_password,
    revoke_token,
    sign_in,
)
from shop.orders.endpoints import (
    bestsellers,
    cancel_order,
    checkout,
    customer_order,
    customer_orders,
    customer_stats,
    erase_account,
    export_account,
    order_details,
    orders,
    set_status,
)
from shop.payments.endpoints import order_payment, pay_order, stripe_webhook

app_name = "shop"

EXAMPLES = Path(__file__).with_name("examples.json")

OWN = {"customer_id": "$response.body#/customer_id"}
REFRESH = {"refresh": "$response.body#/refresh"}
LINE = {"product_id": "$response.body#/product_id"}
ORDER = {"order_id": "$response.body#/order_id"}
LINKS: Links = {
    "register": {
        "sign_in": {"email": "$request.body#/email", "password": "$request.body#/password"},
        "account": OWN,
    },
    "sign_in": {
        "refresh_token": REFRESH,
        "revoke_token": REFRESH,
        "account": OWN,
        "change_account": OWN,
        "change_password": OWN,
        "export_account": OWN,
        "erase_account": OWN,
        "add_item": OWN,
        "cart_items": OWN,
        "customer_cart": OWN,
        "checkout": OWN,
        "customer_orders": OWN,
    },
    "refresh_token": {"refresh_token": REFRESH, "account": OWN},
    "add_item": {"set_item": LINE, "remove_item": LINE, "cart_items": {}, "customer_cart": {}},
    "customer_cart": {"checkout": {"expected_total": "$response.body#/total"}, "empty_cart": {}},
    "checkout": {
        "customer_order": ORDER,
        "cancel_order": ORDER,
        "pay_order": ORDER,
        "order_details": ORDER,
        "set_status": ORDER,
        "customer_orders": {},
    },
    "products": {"product": {"product_id": "$response.body#/0/product_id"}},
    "customer_orders": {"customer_order": {"order_id": "$response.body#/0/order_id"}},
    "cancel_order": {"customer_order": {}},
    "pay_order": {"order_payment": {}, "customer_order": {}},
    "erase_account": {"account": {}},
}
"""What callers may do next, which links of the OpenAPI document say: from registering to an order."""

urlpatterns: list[URLPattern] = [
    route("", "index", GET=Index(lambda: urlpatterns)),
    route("openapi.json", "openapi", GET=OpenApi(lambda: urlpatterns, LINKS, EXAMPLES)),
    route("docs/", "docs", GET=DocsPage()),
    route("products/", "products", GET=products),
    route("product/<int:product_id>/", "product", GET=product),
    route("categories/", "categories", GET=categories),
    route("bestsellers/", "bestsellers", GET=bestsellers),
    route("low-stock/", "low-stock", GET=low_stock),
    route("category-stats/", "category-stats", GET=category_stats),
    route("token/", "token", POST=sign_in),
    route("token/refresh/", "token-refresh", POST=refresh_token),
    route("token/revoke/", "token-revoke", POST=revoke_token),
    route("password-reset/", "password-reset", POST=request_reset),
    route("password-reset/confirm/", "password-reset-confirm", POST=reset_password),
    route("customer/", "register", POST=register),
    route("customer/<int:customer_id>/", "customer", GET=account, PATCH=change_account, DELETE=erase_account),
    route("customer/<int:customer_id>/export/", "customer-export", GET=export_account),
    route("customer/<int:customer_id>/password/", "customer-password", POST=change_password),
    route("customer/<int:customer_id>/cart/", "customer-cart", GET=customer_cart, DELETE=empty_cart),
    route("customer/<int:customer_id>/cart/items/", "cart-items", GET=cart_items, POST=add_item),
    route(
        "customer/<int:customer_id>/cart/items/<int:product_id>/",
        "cart-item",
        PUT=set_item,
        DELETE=remove_item,
    ),
    route("customer/<int:customer_id>/orders/", "customer-orders", GET=customer_orders, POST=checkout),
    route("customer/<int:customer_id>/orders/<int:order_id>/", "customer-order", GET=customer_order),
    route(
        "customer/<int:customer_id>/orders/<int:order_id>/cancel/", "customer-order-cancel", POST=cancel_order
    ),
    route(
        "customer/<int:customer_id>/orders/<int:order_id>/payment/",
        "order-payment",
        GET=order_payment,
        POST=pay_order,
    ),
    route("payment/stripe/webhook/", "stripe-webhook", POST=stripe_webhook),
    route("orders/", "orders", GET=orders),
    route("order/<int:order_id>/", "order-details", GET=order_details),
    route("order/<int:order_id>/status/", "order-status", POST=set_status),
    route("customer-stats/", "customer-stats", GET=customer_stats),
]
