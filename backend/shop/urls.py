"""The URLs under /shop/api/."""

from django.urls import path

from . import views

app_name = "shop"

urlpatterns = [
    path("products/", views.products, name="products"),
    path("customer/<int:customer_id>/orders/", views.customer_orders, name="customer-orders"),
    path("order/<int:order_id>/", views.order_details, name="order-details"),
    path("customer/<int:customer_id>/cart/", views.customer_cart, name="customer-cart"),
    path("bestsellers/", views.bestsellers, name="bestsellers"),
    path("low-stock/", views.low_stock, name="low-stock"),
    path("customer-stats/", views.customer_stats, name="customer-stats"),
    path("category-stats/", views.category_stats, name="category-stats"),
]
