"""Every path and method under /shop/api/: the table of contents."""

from django.urls import URLPattern

from shop.api.routing import Index, route
from shop.carts.endpoints import customer_cart
from shop.catalog.endpoints import bestsellers, category_stats, low_stock, products
from shop.customers.endpoints import customer_stats
from shop.orders.endpoints import customer_orders, order_details

app_name = "shop"

urlpatterns: list[URLPattern] = [
    route("", "index", GET=Index(lambda: urlpatterns)),
    route("products/", "products", GET=products),
    route("customer/<int:customer_id>/orders/", "customer-orders", GET=customer_orders),
    route("order/<int:order_id>/", "order-details", GET=order_details),
    route("customer/<int:customer_id>/cart/", "customer-cart", GET=customer_cart),
    route("bestsellers/", "bestsellers", GET=bestsellers),
    route("low-stock/", "low-stock", GET=low_stock),
    route("customer-stats/", "customer-stats", GET=customer_stats),
    route("category-stats/", "category-stats", GET=category_stats),
]
