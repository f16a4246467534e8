"""Customers in the admin."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString

from shop.admin.base import ShopAdmin, list_link, no_conflict, number_of
from shop.admin.forms import CustomerForm
from shop.customers.models import Customer
from shop.database.fields import ZERO
from shop.orders.erasure import OpenOrdersError, forget, forget_names, has_open_orders
from shop.orders.models import Order


@admin.register(Customer)
class CustomerAdmin(ShopAdmin):
    """Customers, each with a link to their orders."""

    form = CustomerForm
    fields = ("first_name", "last_name", "email", "strasse", "plz", "ort", "new_password")
    list_display = (
        "customer_id",
        "first_name",
        "last_name",
        "email",
        "plz",
        "ort",
        "their_orders",
        "total_spent",
    )
    list_display_links = ("customer_id", "first_name", "last_name")
    search_fields = ("customer_id__exact", "first_name", "last_name", "email", "plz", "ort")
    search_help_text = "The number, name, e-mail address, postal code or town of a customer"
    ordering = ("last_name", "first_name", "customer_id")
    restrictions = (
        (
            Count("orders"),
            "has %d order, which stays in the books: erase the customer instead",
            "has %d orders, which stay in the books: erase the customer instead",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add number_of_orders and total_spent, as customer-stats has them, to the rows on the page."""
        orders = Order.objects.filter(customer=OuterRef("pk")).order_by().values("customer")
        total = Subquery(orders.annotate(total=Sum("total_amount")).values("total"))
        customers: QuerySet = (
            super()
            .get_queryset(request)
            .annotate(number_of_orders=number_of(Order, "customer"), total_spent=Coalesce(total, ZERO))
        )
        return customers

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who is erased stays so."""
        return super().has_change_permission(request, obj) and not (obj and obj.is_erased)

    @admin.display(description="orders", ordering="number_of_orders")
    def their_orders(self, customer: Any) -> SafeString:
        """Link to the customer's orders."""
        return list_link(Order, "customer", customer, customer.number_of_orders)

    @admin.display(description="spent")
    def total_spent(self, customer: Any) -> Decimal:
        """Return what the orders come to."""
        return Decimal(customer.total_spent)

    def changed_columns(self, form: forms.ModelForm) -> list[str]:
        """Return the columns to write; a new password is stored as a hash, in a column of another name."""
        return ["password" if name == "new_password" else name for name in form.changed_data]

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """Store the hash of the new password, if there is one."""
        if password := form.cleaned_data["new_password"]:
            obj.set_password(password)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the customer, and forget the name."""
        self.delete_queryset(request, Customer.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete the customers, and take their names out of what the admin tells of the past."""
        forget_names(list(queryset.values_list("pk", flat=True)))
        super().delete_queryset(request, queryset)

    def get_urls(self) -> list[Any]:
        """Add the address of the page that erases a customer."""
        view = self.admin_site.admin_view(self.erase_view)
        return [path("<path:object_id>/erase/", view, name="shop_customer_erase"), *super().get_urls()]

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        """Offer to erase a customer."""
        context["may_erase"] = obj and not obj.is_erased and self.has_delete_permission(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def erase_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether a customer is to be erased, and do it, as the API does for themselves."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        customer: Any = self.get_object(request, unquote(object_id))
        if not customer or customer.is_erased:
            return self.gone(request, object_id)
        if request.method == "POST":
            return self.erase(request, customer.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Erase customer",
            "subtitle": None,
            "opts": self.opts,
            "customer": customer,
            "has_open_orders": has_open_orders(customer),
            "years": settings.SHOP_KEEP_YEARS,
        }
        return TemplateResponse(request, "admin/shop/customer/erase.html", context)

    def erase(self, request: HttpRequest, key: int) -> HttpResponse:
        """Erase a customer who is still the one whom the page showed, and say what became of it."""
        text, level = "Somebody changed this customer meanwhile. Nothing was erased.", messages.ERROR
        seen = Customer.objects.filter(pk=key, email=request.POST.get("seen", ""))
        try:
            with no_conflict(), transaction.atomic():
                is_erased = forget(seen)
                if is_erased:
                    erased = Customer(pk=key, first_name="Deleted", last_name="customer")
                    self.log_change(request, erased, "Erased.")
            if is_erased:
                text, level = "The customer was erased.", messages.SUCCESS
        except OpenOrdersError as refusal:
            text = f"{refusal}. Nothing was erased."
        except ValidationError as error:
            (text,) = error.messages
        self.message_user(request, text, level)
        page = "changelist" if level == messages.SUCCESS else "change"
        args = [] if level == messages.SUCCESS else [key]
        return HttpResponseRedirect(reverse(f"admin:shop_customer_{page}", args=args))
