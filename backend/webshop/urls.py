"""The URLs of the project: the shop's API and the admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("shop/api/", include("shop.urls")),
]
