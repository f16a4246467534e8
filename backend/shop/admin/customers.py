"""Customers in the admin."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from shop.admin.base import ShopAdmin, list_link, number_of
from shop.admin.forms import CustomerForm
from shop.admin.payments import kept_by_payments
from shop.admin.stock import held_back
from shop.catalog import stock
from shop.customers.models import Customer
from shop.orders.models import Order


@admin.register(Customer)
class CustomerAdmin(ShopAdmin):
    """Customers, each with a link to their orders."""

    form = CustomerForm
    fields = ("first_name", "last_name", "email", "strasse", "plz", "ort", "new_password")
    list_display = ("customer_id", "first_name", "last_name", "email", "plz", "ort", "their_orders")
    list_display_links = ("customer_id", "first_name", "last_name")
    search_fields = ("customer_id__exact", "first_name", "last_name", "email", "plz", "ort")
    search_help_text = "The number, name, e-mail address, postal code or town of a customer"
    ordering = ("last_name", "first_name", "customer_id")
    restriction = kept_by_payments("their orders have", "orders__")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add number_of_orders."""
        customers: QuerySet = (
            super().get_queryset(request).annotate(number_of_orders=number_of(Order, "customer"))
        )
        return customers

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who is erased stays so."""
        return super().has_change_permission(request, obj) and not (obj and obj.is_erased)

    @admin.display(description="orders", ordering="number_of_orders")
    def their_orders(self, customer: Any) -> SafeString:
        """Link to the customer's orders."""
        return list_link(Order, "customer", customer, customer.number_of_orders)

    def changed_columns(self, form: forms.ModelForm) -> list[str]:
        """Return the columns to write; a new password is stored as a hash, in a column of another name."""
        return ["password" if name == "new_password" else name for name in form.changed_data]

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """Store the hash of the new password, if there is one."""
        if password := form.cleaned_data["new_password"]:
            obj.set_password(password)
        super().save_model(request, obj, form, change)

    def lock_to_delete(self, keys: Iterable[Any]) -> None:
        """Lock their orders, too, so that no payment of one begins meanwhile."""
        super().lock_to_delete(keys)
        orders = Order.objects.filter(customer__in=keys).order_by("pk")
        list(orders.select_for_update(no_key=True).values_list("pk"))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the customer, and give back what their orders hold of the stock."""
        self.delete_queryset(request, Customer.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete the customers, and give back what those of their orders hold that were not sent yet."""
        held = held_back(Order.objects.filter(customer__in=list(queryset.values_list("pk", flat=True))))
        super().delete_queryset(request, queryset)
        stock.give_back(held)
