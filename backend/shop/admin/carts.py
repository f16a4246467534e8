"""Carts in the admin."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from shop.admin.base import LineInline, ShopAdmin, number_of
from shop.carts.models import Cart, CartItem
from shop.database.fields import ZERO


class CartItemInline(LineInline):
    """The lines of a cart."""

    model = CartItem
    fields = ("product", "quantity", "price", "subtotal")
    readonly_fields = ("price", "subtotal")

    def price(self, line: Any) -> Decimal:
        """Return what one piece costs today."""
        return Decimal(line.product.price)


@admin.register(Cart)
class CartAdmin(ShopAdmin):
    """Carts with their lines."""

    fields = ("customer", "last_updated", "total")
    readonly_fields = ("last_updated", "total")
    inlines = (CartItemInline,)
    list_display = ("cart_id", "customer", "customer__email", "number_of_lines", "last_updated")
    list_display_links = ("cart_id", "customer")
    search_fields = ("cart_id__exact", "customer__first_name", "customer__last_name", "customer__email")
    search_help_text = "The number of a cart, or the name or e-mail address of a customer"
    date_hierarchy = "last_updated"
    autocomplete_fields = ("customer",)
    ordering = ("-last_updated", "-cart_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add number_of_lines, and fetch the customer, whose name is the cart's."""
        carts: QuerySet = super().get_queryset(request).annotate(number_of_lines=number_of(CartItem, "cart"))
        return carts.select_related("customer")

    def total(self, cart: Any) -> Decimal:
        """Return what the cart costs today."""
        lines = CartItem.objects.filter(cart=cart).with_subtotal()
        return Decimal(lines.aggregate(total=Coalesce(Sum("subtotal"), ZERO))["total"])

    @admin.display(description="lines", ordering="number_of_lines")
    def number_of_lines(self, cart: Any) -> int:
        """Return the number of lines."""
        return int(cart.number_of_lines)

    def changed_columns(self, form: forms.ModelForm) -> list[str]:
        """Return the columns to write: the cart is up to date even if only its lines were changed."""
        return [*form.changed_data, "last_updated"]

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """Save the cart as of now."""
        obj.last_updated = timezone.now()
        super().save_model(request, obj, form, change)


@admin.register(CartItem)
class CartItemAdmin(ShopAdmin):
    """The lines of all carts."""

    fields = ("cart", "product", "quantity")
    list_display = ("cart_item_id", "cart", "product", "quantity")
    search_fields = (
        "cart__cart_id__exact",
        "cart__customer__first_name",
        "cart__customer__last_name",
        "cart__customer__email",
        "product__name",
    )
    search_help_text = (
        "The number of a cart, the name or e-mail address of a customer, or the name of a product"
    )
    autocomplete_fields = ("cart", "product")
    ordering = ("-cart_item_id",)
    parent = "cart"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Fetch what a line shows of its cart and product."""
        return super().get_queryset(request).select_related("cart__customer", "product")

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """Bring its cart, and the one it came from, up to date, and save the line.

        The carts are locked by that, as by a checkout and by whoever puts the same product in.
        """
        self.touch([obj.cart_id, form.initial.get("cart")])
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the line, and bring its cart up to date."""
        self.delete_queryset(request, CartItem.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete the lines, and bring their carts up to date."""
        self.lock(queryset.values("pk"))
        carts = list(queryset.values_list("cart_id", flat=True))
        super().delete_queryset(request, queryset)
        self.touch(carts)

    def touch(self, carts: Sequence[int | None]) -> None:
        """Bring these carts' last_updated to now."""
        Cart.objects.filter(pk__in=[cart for cart in carts if cart]).update(last_updated=timezone.now())
