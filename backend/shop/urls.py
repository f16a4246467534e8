"""The URLs under /shop/api/."""

from django.urls import path

from shop.carts.endpoints import customer_cart
from shop.catalog.endpoints import bestsellers, category_stats, low_stock, products
from shop.customers.endpoints import customer_stats
from shop.orders.endpoints import customer_orders, order_details

app_name = "shop"

urlpatterns = [
    path("products/", products, name="products"),
    path("customer/<int:customer_id>/orders/", customer_orders, name="customer-orders"),
    path("order/<int:order_id>/", order_details, name="order-details"),
    path("customer/<int:customer_id>/cart/", customer_cart, name="customer-cart"),
    path("bestsellers/", bestsellers, name="bestsellers"),
    path("low-stock/", low_stock, name="low-stock"),
    path("customer-stats/", customer_stats, name="customer-stats"),
    path("category-stats/", category_stats, name="category-stats"),
]
