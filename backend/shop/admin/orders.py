"""Orders in the admin."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import OperationalError, transaction
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import ngettext
from psycopg2.errors import LockNotAvailable

from shop.admin.base import LineInline, ShopAdmin, Subtotal, change_link
from shop.admin.csv_export import csv_response
from shop.admin.forms import OrderItemForm
from shop.database.fields import AMOUNTS
from shop.orders import workflow
from shop.orders.models import Actor, Order, OrderItem, OrderItemQuerySet, OrderQuerySet, OrderStatus

MOVE_AT_ONCE = 50_000
"""How many orders can be moved in one go; each stays locked until all of them have moved."""

LARGEST_TOTAL = AMOUNTS[1]
"""What total_amount can hold."""


def totals_too_large(orders: Iterable[int]) -> dict[int, Decimal]:
    """Return the sums of the lines of these orders, by their keys, where total_amount cannot hold them."""
    lines = OrderItem.objects.filter(order__in=orders).with_subtotal().order_by("order").values("order")
    sums = lines.annotate(total=Sum("subtotal")).filter(total__gt=LARGEST_TOTAL)
    return dict(sums.values_list("order", "total"))


class OrderItemInline(LineInline):
    """The lines of an order."""

    model = OrderItem
    form = OrderItemForm
    fields = ("product", "quantity", "price_per_unit", "subtotal")
    readonly_fields = ("subtotal",)


@admin.register(Order)
class OrderAdmin(ShopAdmin):
    """Orders with their lines, whose sum is the total."""

    fields = ("customer", "order_date", "status", "total_amount")
    readonly_fields = ("total_amount",)
    inlines = (OrderItemInline,)
    list_display = ("order_id", "order_date", "its_customer", "status", "total_amount")
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

    @admin.display(description="customer", ordering="customer")
    def its_customer(self, order: Any) -> SafeString:
        """Return name and e-mail address, one below the other: side by side they are too wide."""
        return format_html("{}<br>{}", order.customer, order.customer.email)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the lines, then the total they make, if it can be stored."""
        super().save_related(request, form, formsets, change)
        for total in totals_too_large([form.instance.pk]).values():
            raise ValidationError(f"The total would be {total:,}, more than {LARGEST_TOTAL:,}.")
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
        """Move the orders to this status, write it into their history, and say how many moved and stayed."""
        selected = list(queryset.values_list("pk", flat=True)[: MOVE_AT_ONCE + 1])
        if len(selected) > MOVE_AT_ONCE:
            text = f"More than {MOVE_AT_ONCE:,} orders are selected: move fewer at once."
            self.message_user(request, text, messages.ERROR)
            return
        try:
            moved = self.move_and_log(request, selected, status)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            text = "Somebody else is changing some of these orders at this moment. Try again."
            self.message_user(request, text, messages.ERROR)
            return
        if moved:
            text = ngettext("%d order is %s now.", "%d orders are %s now.", len(moved))
            self.message_user(request, text % (len(moved), status), messages.SUCCESS)
        if stayed := len(selected) - len(moved):
            text = ngettext(
                "%d order stayed as it was: it is as far already, or closed.",
                "%d orders stayed as they were: they are as far already, or closed.",
                stayed,
            )
            self.message_user(request, text % stayed, messages.WARNING)

    @transaction.atomic
    def move_and_log(
        self, request: HttpRequest, orders: Sequence[int], status: OrderStatus
    ) -> dict[int, OrderStatus]:
        """Move orders, and write it into the history of each; return what workflow.move() does."""
        moved = workflow.move(orders=orders, to=status, by=Actor.STAFF)
        LogEntry.objects.bulk_create(
            LogEntry(
                user_id=request.user.pk,  # type: ignore[misc]
                content_type=ContentType.objects.get_for_model(Order),
                object_id=key,
                object_repr=str(Order(pk=key)),
                action_flag=CHANGE,
                change_message=f"Changed Status from {came_from} to {status}.",
            )
            for key, came_from in moved.items()
        )
        return moved

    @admin.action(permissions=["view"], description="Export selected %(verbose_name_plural)s as CSV")
    def export(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse:
        """Answer with the selected orders as a CSV file."""
        columns = {name: name for name in ("order_id", "order_date", "status", "total_amount", "customer_id")}
        of_customer = {name: f"customer__{name}" for name in ("first_name", "last_name", "email")}
        return csv_response("orders", queryset, columns | of_customer)


@admin.register(OrderItem)
class OrderItemAdmin(Subtotal, ShopAdmin):
    """The lines of all orders, to look at and delete; they are added and changed in their order."""

    fields = ("order", "product", "quantity", "price_per_unit")
    list_display = ("order_item_id", "its_order", "product", "quantity", "price_per_unit", "subtotal")
    search_fields = ("product__name",)
    search_help_text = "The number of an order, or the name of a product"
    number_field = "order_id"
    ordering = ("-order_item_id",)
    parent = "order"

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

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the line, and compute its order's total anew."""
        self.delete_queryset(request, OrderItem.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete the lines, and compute the totals of their orders anew, if they can be stored."""
        self.lock(queryset.values("pk"))
        orders = set(queryset.values_list("order_id", flat=True))
        super().delete_queryset(request, queryset)
        text = "Order {}: its total would be {:,}, more than {:,}."
        if too_large := totals_too_large(orders):
            raise ValidationError([text.format(*total, LARGEST_TOTAL) for total in too_large.items()])
        Order.objects.filter(pk__in=orders).update_totals()
