"""The admin: all that shop staff need to see, find, change and export.

What the seven share is in admin_base.py, the forms that do more than Django's in admin_forms.py.
"""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from shop.admin_base import LineInline, ShopAdmin, change_link, list_link, number_of
from shop.admin_forms import CustomerForm, OrderItemForm, OrderItemFormSet
from shop.carts.models import Cart, CartItem
from shop.catalog.models import LOW_STOCK, Category, Product
from shop.csv_export import csv_response
from shop.customers.models import Customer
from shop.database.fields import ZERO
from shop.orders.models import Order, OrderItem, OrderItemQuerySet, OrderQuerySet, OrderStatus

admin.site.site_header = "Webshop"
admin.site.site_title = "Webshop"
admin.site.index_title = "Administration"
admin.site.site_url = None  # the shop has no page of its own to view


@admin.register(Customer)
class CustomerAdmin(ShopAdmin):
    """Customers, each with a link to their orders."""

    form = CustomerForm
    fields = ("first_name", "last_name", "email", "strasse", "plz", "ort", "new_password")
    list_display = ("customer_id", "first_name", "last_name", "email", "plz", "ort", "their_orders")
    list_display_links = ("customer_id", "first_name", "last_name")
    search_fields = ("first_name", "last_name", "email", "plz", "ort")
    ordering = ("last_name", "first_name", "customer_id")
    cascade = {
        Order: "customer",
        OrderItem: "order__customer",
        Cart: "customer",
        CartItem: "cart__customer",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add number_of_orders."""
        customers: QuerySet = (
            super().get_queryset(request).annotate(number_of_orders=number_of(Order, "customer"))
        )
        return customers

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


@admin.register(Category)
class CategoryAdmin(ShopAdmin):
    """Categories, each with a link to its products."""

    list_display = ("category_name", "its_products")
    search_fields = ("category_name",)
    ordering = ("category_name", "category_id")
    restriction = ("products", "has %d product", "has %d products")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add number_of_products."""
        categories: QuerySet = (
            super().get_queryset(request).annotate(number_of_products=number_of(Product, "category"))
        )
        return categories

    @admin.display(description="products", ordering="number_of_products")
    def its_products(self, category: Any) -> SafeString:
        """Link to the category's products."""
        return list_link(Product, "category", category, category.number_of_products)


class StockFilter(admin.SimpleListFilter):
    """Keeps the products that are sold out, low on stock, or neither."""

    title = "stock"
    parameter_name = "stock"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Return the choices."""
        return [
            ("sold_out", "Sold out"),
            ("low", f"Low (1 to {LOW_STOCK - 1})"),
            ("fine", f"Fine ({LOW_STOCK} or more)"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the products of the choice; a value that is no choice keeps them all."""
        conditions = {
            "sold_out": Q(stock=0),
            "low": Q(stock__range=(1, LOW_STOCK - 1)),
            "fine": Q(stock__gte=LOW_STOCK),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


@admin.register(Product)
class ProductAdmin(ShopAdmin):
    """The products of the catalog."""

    fields = ("name", "category", "price", "stock", "description")
    list_display = ("product_id", "name", "category", "price", "stock")
    list_display_links = ("product_id", "name")
    list_filter = (StockFilter,)
    link_lookups = ("stock", "category__exact")
    list_select_related = ("category",)
    search_fields = ("name", "category__category_name")
    autocomplete_fields = ("category",)
    ordering = ("product_id",)
    actions = ("export",)
    cascade = {CartItem: "product"}
    restriction = ("order_items", "part of %d order line", "part of %d order lines")

    @admin.action(permissions=["view"], description="Export selected %(verbose_name_plural)s as CSV")
    def export(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse:
        """Answer with the selected products as a CSV file."""
        columns = {name: name for name in ("product_id", "name", "description", "price", "stock")}
        return csv_response("products", queryset, {**columns, "category": "category__category_name"})


class OrderItemInline(LineInline):
    """The lines of an order."""

    model = OrderItem
    form = OrderItemForm
    formset = OrderItemFormSet
    fields = ("product", "quantity", "price_per_unit", "subtotal")
    readonly_fields = ("subtotal",)


@admin.register(Order)
class OrderAdmin(ShopAdmin):
    """Orders with their lines, whose sum is the total."""

    fields = ("customer", "order_date", "status", "total_amount")
    readonly_fields = ("total_amount",)
    inlines = (OrderItemInline,)
    list_display = ("order_id", "order_date", "customer", "status", "total_amount", "customer__email")
    list_filter = ("status",)
    link_lookups = ("status__exact", "customer__exact")
    list_select_related = ("customer",)
    search_fields = ("customer__first_name", "customer__last_name", "customer__email")
    search_help_text = "The number of an order, or the name or e-mail address of a customer"
    number_field = "order_id"
    date_hierarchy = "order_date"
    autocomplete_fields = ("customer",)
    ordering = ("-order_date", "-order_id")
    actions = ("process", "ship", "complete", "cancel", "export")
    cascade = {OrderItem: "order"}

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the lines, then the total they make."""
        super().save_related(request, form, formsets, change)
        form.instance.update_total()

    @admin.action(permissions=["change"], description="Process selected %(verbose_name_plural)s")
    def process(self, request: HttpRequest, queryset: OrderQuerySet) -> None:
        """Move the selected orders to processing."""
        self.move(request, queryset, OrderStatus.PROCESSING)

    @admin.action(permissions=["change"], description="Ship selected %(verbose_name_plural)s")
    def ship(self, request: HttpRequest, queryset: OrderQuerySet) -> None:
        """Move the selected orders to shipped."""
        self.move(request, queryset, OrderStatus.SHIPPED)

    @admin.action(permissions=["change"], description="Complete selected %(verbose_name_plural)s")
    def complete(self, request: HttpRequest, queryset: OrderQuerySet) -> None:
        """Move the selected orders to completed."""
        self.move(request, queryset, OrderStatus.COMPLETED)

    @admin.action(permissions=["change"], description="Cancel selected %(verbose_name_plural)s")
    def cancel(self, request: HttpRequest, queryset: OrderQuerySet) -> None:
        """Move the selected orders to cancelled."""
        self.move(request, queryset, OrderStatus.CANCELLED)

    def move(self, request: HttpRequest, queryset: OrderQuerySet, status: OrderStatus) -> None:
        """Move the orders to this status, and say how many moved and how many stayed."""
        selected = queryset.count()
        moved = queryset.move_to(status)
        if moved:
            text = ngettext("%d order is %s now.", "%d orders are %s now.", moved)
            self.message_user(request, text % (moved, status), messages.SUCCESS)
        stayed = selected - moved
        if stayed > 0:
            text = ngettext(
                "%d order stayed as it was: it is as far already, or closed.",
                "%d orders stayed as they were: they are as far already, or closed.",
                stayed,
            )
            self.message_user(request, text % stayed, messages.WARNING)

    @admin.action(permissions=["view"], description="Export selected %(verbose_name_plural)s as CSV")
    def export(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse:
        """Answer with the selected orders as a CSV file."""
        columns = {name: name for name in ("order_id", "order_date", "status", "total_amount", "customer_id")}
        of_customer = {name: f"customer__{name}" for name in ("first_name", "last_name", "email")}
        return csv_response("orders", queryset, columns | of_customer)


@admin.register(OrderItem)
class OrderItemAdmin(ShopAdmin):
    """The lines of all orders, to look at and delete; they are added and changed in their order."""

    fields = ("order", "product", "quantity", "price_per_unit")
    list_display = ("order_item_id", "its_order", "product", "quantity", "price_per_unit", "subtotal")
    search_fields = ("product__name",)
    search_help_text = "The number of an order, or the name of a product"
    number_field = "order_id"
    ordering = ("-order_item_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Add subtotal, and fetch what a line shows of its order and product."""
        lines: OrderItemQuerySet = super().get_queryset(request)  # type: ignore[assignment]
        return lines.with_subtotal().select_related("order", "product")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Lines are added in their order."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Lines are changed in their order."""
        return False

    @admin.display(description="order", ordering="order")
    def its_order(self, line: Any) -> SafeString:
        """Link to the order, where the line can be changed."""
        return change_link(line.order)

    @admin.display(ordering="subtotal")
    def subtotal(self, line: Any) -> Decimal:
        """Return the quantity times the price."""
        return Decimal(line.subtotal)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the line, and compute its order's total anew."""
        self.delete_queryset(request, OrderItem.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete the lines, and compute the totals of their orders anew."""
        orders = list(queryset.values_list("order_id", flat=True))
        super().delete_queryset(request, queryset)
        Order.objects.filter(pk__in=orders).update_totals()


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
    search_fields = ("customer__first_name", "customer__last_name", "customer__email")
    date_hierarchy = "last_updated"
    autocomplete_fields = ("customer",)
    ordering = ("-last_updated", "-cart_id")
    cascade = {CartItem: "cart"}

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
        "cart__customer__first_name",
        "cart__customer__last_name",
        "cart__customer__email",
        "product__name",
    )
    autocomplete_fields = ("cart", "product")
    ordering = ("-cart_item_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Fetch what a line shows of its cart and product."""
        return super().get_queryset(request).select_related("cart__customer", "product")

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """Save the line, and bring its cart, and the one it came from, up to date."""
        super().save_model(request, obj, form, change)
        self.touch([obj.cart_id, form.initial.get("cart")])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the line, and bring its cart up to date."""
        self.delete_queryset(request, CartItem.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete the lines, and bring their carts up to date."""
        carts = list(queryset.values_list("cart_id", flat=True))
        super().delete_queryset(request, queryset)
        self.touch(carts)

    def touch(self, carts: Sequence[int | None]) -> None:
        """Bring these carts' last_updated to now."""
        Cart.objects.filter(pk__in=[cart for cart in carts if cart]).update(last_updated=timezone.now())
