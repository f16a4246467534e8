"""Carts in the admin."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html

from shop.admin.base import (
    LineInline,
    ShopAdmin,
    change_link,
    hold_customer,
    log_changes,
    no_conflict,
    number_of,
)
from shop.admin.forms import first_ten
from shop.admin.order_page import PLACED
from shop.carts.cart import OutOfStockError
from shop.carts.models import Cart, CartItem
from shop.database.fields import ZERO
from shop.database.refusal import Refusal
from shop.orders import checkout
from shop.orders.models import Actor, Order

PLACE_AT_ONCE = 100
"""Of how many carts orders can be placed in one go."""

MOST_MESSAGES = 10
"""So many carts are spoken of, each in a message of its own; of more it is said how many there were."""


def reason(refusal: Refusal) -> str:
    """Return in one sentence why no order was placed."""
    if isinstance(refusal, OutOfStockError):
        items = refusal.details["items"]
        short = [f"{i['product_name']} ({i['wanted']} wanted, {i['available']} available)" for i in items]
        return f"{refusal}: {first_ten(short)}"
    if isinstance(refusal, checkout.AddressMissingError):
        return f"{refusal}: {', '.join(refusal.details['fields'])}"
    return str(refusal)


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
    actions = ("place_order",)

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
        if "customer" in form.changed_data:
            hold_customer(obj.customer_id)
        if "_place_order" in request.POST:
            total = self.total(obj)
            if f"{total:.2f}" != request.POST.get("seen_total"):
                text = f"Somebody changed the cart or a price: the total is {total:,} now. Nothing was saved."
                raise ValidationError(text)
        obj.last_updated = timezone.now()
        super().save_model(request, obj, form, change)

    def has_order_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may sell."""
        return request.user.has_perm("shop.add_order")

    @admin.action(permissions=["order"], description="Place order")
    def place_order(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Place an order of each selected cart, for its customer."""
        carts = list(queryset[: PLACE_AT_ONCE + 1])
        if len(carts) > PLACE_AT_ONCE:
            text = f"More than {PLACE_AT_ONCE} carts are selected: place fewer orders at once."
            self.message_user(request, text, messages.ERROR)
        else:
            self.place_orders(request, [(cart, None) for cart in carts])

    def place_orders(self, request: HttpRequest, carts: Sequence[tuple[Cart, Decimal | None]]) -> None:
        """Place an order of each of these carts, in a transaction of its own, and say what became of it.

        With each comes the total that was shown, if one was.
        """
        placed: list[str] = []
        refused: list[str] = []
        for cart, total in carts:
            try:
                with no_conflict(), transaction.atomic():
                    order_id = checkout.place_order(
                        customer_id=cart.customer_id, expected_total=total, by=Actor.STAFF
                    ).order_id
                    log_changes(request, Order, {order_id: PLACED})
            except Refusal as refusal:
                refused.append(f"{cart}: {reason(refusal)}.")
            except ValidationError as error:
                refused.append(f"{cart}: {error.message}")
            else:
                placed.append(format_html("{}: {} was placed.", cart, change_link(Order(pk=order_id))))
        for texts, level, rest in (
            (placed, messages.SUCCESS, "And {} more orders were placed."),
            (refused, messages.ERROR, "And {} more carts stayed as they were."),
        ):
            more = len(texts) - MOST_MESSAGES
            for text in [*texts[:MOST_MESSAGES], *([rest.format(more)] if more > 0 else [])]:
                self.message_user(request, text, level)

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        """Offer to place the order, beside what only saves the cart."""
        may_save = obj and self.has_change_permission(request, obj)
        context["may_place_order"] = may_save and self.has_order_permission(request)
        if obj:
            context["seen_total"] = f"{self.total(obj):.2f}"
        return super().render_change_form(request, context, add, change, form_url, obj)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Place the order, if that was asked for, once the cart is saved, as the customer is locked first."""
        response = super().changeform_view(request, object_id, form_url, extra_context)
        if cart_to_order := getattr(request, "cart_to_order", None):
            self.place_orders(request, [cart_to_order])
        return response

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Stay with a cart of which an order is to be placed."""
        if "_place_order" not in request.POST or not self.has_order_permission(request):
            return super().response_change(request, obj)
        request.cart_to_order = (obj, self.total(obj))  # type: ignore[attr-defined]
        return HttpResponseRedirect(request.get_full_path())


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
