"""Orders in the admin."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from functools import partial
from itertools import batched
from time import monotonic
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from shop.admin.base import (
    FASTER,
    ShopAdmin,
    Subtotal,
    change_link,
    hold_customer,
    log_changes,
    no_conflict,
)
from shop.admin.csv_export import csv_of_rows, csv_response
from shop.admin.filters import CategoryFilter, DayFilter, PaidFilter, ProductFilter, SummingPaginator
from shop.admin.forms import HOW_IT_IS_SENT, OrderForm
from shop.admin.invoices import kept_by_invoices
from shop.admin.new_order import (
    WHO,
    NewOrderForm,
    PlacedAlreadyError,
    finish,
    hold_and_address,
)
from shop.admin.order_export import LINE_COLUMNS, line_rows, rows_counted
from shop.admin.order_lines import OrderItemInline
from shop.admin.order_page import MOVED, PAID, add_note, told_of
from shop.admin.packing import packing_urls
from shop.admin.payments import (
    answer_act,
    kept_by_payments,
    may_mark_paid,
    money_and_mails,
    word,
)
from shop.admin.searching import CustomerSearch, CustomerSelect, ProductSearch
from shop.admin.stock import held_back, stock_follows
from shop.admin.xlsx_export import xlsx_of_rows
from shop.catalog import stock
from shop.orders import workflow
from shop.orders.checkout import LARGEST_TOTAL
from shop.orders.lines import LinesFixedError, check_lines_free, why_fixed
from shop.orders.models import (
    Actor,
    Delivery,
    Order,
    OrderHistory,
    OrderItem,
    OrderItemQuerySet,
    OrderQuerySet,
    OrderStatus,
    Payment,
)
from shop.payments.settling import mark_paid

MOVES = {
    "process": OrderStatus.PROCESSING,
    "ship": OrderStatus.SHIPPED,
    "complete": OrderStatus.COMPLETED,
    "cancel": OrderStatus.CANCELLED,
}
"""Where the actions, and the buttons of the same names, move an order."""

MOVE_AT_ONCE = 1_000
"""So many orders are moved or paid in one transaction: a second's work with their mails; others wait."""

ACT_SECONDS = 10
"""How long an action goes on with the next of them: nginx waits for 15."""


def move_asked_for(request: HttpRequest) -> OrderStatus | None:
    """Return where the button that was pressed moves the order; None for those that only save."""
    return next((status for name, status in MOVES.items() if f"_{name}" in request.POST), None)


def totals_too_large(orders: Iterable[int]) -> dict[int, Decimal]:
    """Return the sums of the lines of these orders, by their keys, where total_amount cannot hold them."""
    lines = OrderItem.objects.filter(order__in=orders).with_subtotal().order_by("order").values("order")
    sums = lines.annotate(total=Sum("subtotal")).filter(total__gt=LARGEST_TOTAL)
    return dict(sums.values_list("order", "total"))


@admin.register(Order)
class OrderAdmin(ShopAdmin):
    """Orders with their lines, whose sum is the total and which the stock follows."""

    form = OrderForm
    row_select = CustomerSelect
    readonly_fields = ("status", "total_amount", "address")
    inlines = (OrderItemInline,)
    list_display = ("order_id", "order_date", "its_customer", "status", "total_amount")
    list_filter = ("status", DayFilter, PaidFilter, ProductFilter, CategoryFilter)
    link_lookups = ("status__exact", "customer__exact", "from", "to", "paid", "product", "category")
    show_facets = admin.ShowFacets.NEVER
    paginator = SummingPaginator
    list_select_related = ("customer",)
    search_fields = ("customer__first_name", "customer__last_name", "customer__email")
    search_help_text = "The number of an order, or the name or e-mail address of a customer"
    number_field = "order_id"
    autocomplete_fields = ("customer",)
    ordering = ("-order_date", "-order_id")
    actions = (*MOVES, "mark_paid", "export", "export_lines", "export_lines_xlsx")
    restrictions = (kept_by_payments("has"), kept_by_invoices("has"))

    @admin.display(description="customer", ordering="customer")
    def its_customer(self, order: Any) -> SafeString:
        """Return name and e-mail address, one below the other: side by side they are too wide."""
        return format_html("{}<br>{}", order.customer, order.customer.email)

    def lock(self, keys: Iterable[Any] | QuerySet) -> None:
        """Lock their deliveries, too, in which the API may write a tracking number."""
        super().lock(keys)
        deliveries = Delivery.objects.filter(order__in=keys).order_by("pk")
        list(deliveries.select_for_update(no_key=True).values_list("pk"))

    def get_urls(self) -> list[Any]:
        """Add the addresses of packing, of marking an order as paid, and of the page's searches."""
        view = self.admin_site.admin_view
        return [
            *packing_urls(self),
            path(
                "<path:object_id>/mark_paid/",
                view(require_POST(self.mark_one_paid)),
                name="shop_order_mark_paid",
            ),
            path(
                "products/",
                view(ProductSearch.as_view(admin_site=self.admin_site)),
                name="shop_order_products",
            ),
            path(
                "customers/",
                view(CustomerSearch.as_view(admin_site=self.admin_site)),
                name="shop_order_customers",
            ),
            *super().get_urls(),
        ]

    def mark_one_paid(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Mark an order as paid, if its total is what its page showed."""
        if not self.has_pay_permission(request):
            raise PermissionDenied
        act = partial(self.mark_this_paid, request)
        return answer_act(self, request, object_id, "shop.change_order", act)

    def mark_this_paid(self, request: HttpRequest, order: Order) -> str:
        """Mark a locked order as paid, or raise ValidationError with what it is now."""
        if str(order.total_amount) != request.POST.get("seen"):
            raise ValidationError(f"The total is {order.total_amount:,} now. Nothing was changed.")
        if not self.mark_paid_and_log(request, [order.pk]):
            payment = Payment.objects.filter(order=order).holding().first()
            now = (payment, word(payment)) if payment else (order, order.status)
            raise ValidationError(FASTER.format(*now))
        return f"{order} is paid now."

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Add lines_fixed: why the page shows the lines read-only, or "".

        What is sent has it as the page had it: one opened while the lines were free sends them, and saving
        says why they cannot change by now.
        """
        order: Any = super().get_object(request, object_id, from_field)
        if order:
            sent = request.POST.get("lines_fixed", "")
            order.lines_fixed = sent if request.method == "POST" else why_fixed([order.pk])
        return order

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the delivery where there is one, and ask for it where the order is new."""
        if not obj:
            where = {
                "fields": (WHO, "strasse", ("plz", "ort")),
                "description": "Left empty, it is the customer's own name and address.",
            }
            return [(None, {"fields": ("customer", "order_date", "key")}), ("Deliver to", where)]
        sections: list[Any] = [(None, {"fields": ("customer", "order_date", "status", "total_amount")})]
        if hasattr(obj, "delivery"):
            sections.append(("Delivery", {"fields": ("address", *HOW_IT_IS_SENT)}))
        return sections

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Take nothing for a delivery that is not there."""
        fields = super().get_readonly_fields(request, obj)
        return fields if hasattr(obj, "delivery") else (*fields, *HOW_IT_IS_SENT)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """Have a form of its own for a new order."""
        kwargs |= {} if obj else {"form": NewOrderForm}
        return super().get_form(request, obj, change=change, **kwargs)

    def carrier(self, order: Any) -> str:
        """Return what those see who may not change it."""
        return str(order.delivery.carrier)

    def tracking_number(self, order: Any) -> str:
        """Return what those see who may not change it."""
        return str(order.delivery.tracking_number)

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        """Offer a button for each status that the order may go to, beside those that only save it."""
        if obj:
            context |= money_and_mails(request, obj) | told_of(obj)
        if obj and self.has_change_permission(request, obj):
            context["may_note"] = not context["customer"].is_erased
            targets = workflow.TRANSITIONS[obj.status]
            context["moves"] = [name for name, status in MOVES.items() if status in targets]
        return super().render_change_form(request, context, add, change, form_url, obj)

    def changed_columns(self, form: Any) -> list[str]:
        """Leave out what is the delivery's."""
        return [name for name in form.changed_data if name not in HOW_IT_IS_SENT]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Tell who sends the page of a new order once more which one it has placed."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except PlacedAlreadyError as error:
            text = format_html(
                "This page has placed {} already, and no second one.", change_link(error.order)
            )
            self.message_user(request, text, messages.WARNING)
            return self.response_post_save_add(request, error.order)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the order, and move it if that was asked for; begin a new one.

        It is moved before its lines are saved: those of a cancelled order no longer concern the stock.
        """
        if not change:
            address = hold_and_address(obj, form)
            super().save_model(request, obj, form, change)
            Delivery.objects.create(order=obj, **address)
            OrderHistory.objects.create(order=obj, status=obj.status, by=Actor.STAFF)
            return
        if "customer" in form.changed_data:
            hold_customer(obj.customer_id)
            if invoice := obj.invoices.order_by("number").first():
                raise ValidationError(f"The customer cannot change: the order has the invoice {invoice}.")
        super().save_model(request, obj, form, change)
        if sent := {name: form.cleaned_data[name] for name in HOW_IT_IS_SENT if name in form.changed_data}:
            Delivery.objects.filter(order=obj).update(**sent)
        if note := form.cleaned_data.get("note"):
            add_note(request, obj, note)
        if status := move_asked_for(request):
            seen = request.POST.get("seen_status")
            sources = [source for source in OrderStatus if source == seen]
            if not self.move_and_log(request, [obj.pk], status, sources):
                text = f"Somebody was faster: the order is {obj.status} now. Nothing was saved."
                raise ValidationError(text)
            obj.status = status

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the lines, then the total they make, if it can be stored and there is enough in stock.

        The stock comes before the check of the foreign keys, as who deletes a product locks it in that order.
        """
        order = form.instance
        if any(formset.has_changed() for formset in formsets):
            try:
                check_lines_free([order.pk])
            except LinesFixedError as error:
                raise ValidationError(f"{error}.") from error
        with stock_follows([] if order.status == OrderStatus.CANCELLED else [order.pk]):
            for formset in formsets:
                self.save_formset(request, form, formset, change)
            for total in totals_too_large([order.pk]).values():
                raise ValidationError(f"The total would be {total:,}, more than {LARGEST_TOTAL:,}.")
        super().save_related(request, form, [], change)
        order.update_total()
        if not change:
            finish(order, form)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Write no second line when all that was asked for is a move or a note, which have their own."""
        if message or not (move_asked_for(request) or request.POST.get("note", "").strip()):
            return super().log_change(request, obj, message)
        return None

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Stay with an order that was moved, and say where it is."""
        if not move_asked_for(request):
            return super().response_change(request, obj)
        self.message_user(request, f"{obj} is {obj.status} now.", messages.SUCCESS)
        return HttpResponseRedirect(request.get_full_path())

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the order, and give back what it holds of the stock."""
        self.delete_queryset(request, Order.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete the orders, and give back what those hold that were not sent yet."""
        held = held_back(Order.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))))
        super().delete_queryset(request, queryset)
        stock.give_back(held)

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

    def has_pay_permission(self, request: HttpRequest) -> bool:
        return may_mark_paid(request.user)

    @admin.action(permissions=["pay"], description="Mark selected %(verbose_name_plural)s as paid")
    def mark_paid(self, request: HttpRequest, queryset: OrderQuerySet) -> None:
        """Mark the selected orders as paid."""
        why = (
            "it is paid already, cancelled or paid online",
            "they are paid already, cancelled or paid online",
        )
        self.act(request, queryset, partial(self.mark_paid_and_log, request), "paid", why)

    def move(self, request: HttpRequest, queryset: OrderQuerySet, status: OrderStatus) -> None:
        """Move the selected orders to this status."""
        why = ("it is as far already, or closed", "they are as far already, or closed")
        self.act(request, queryset, partial(self.move_and_log, request, status=status), status, why)

    def act(
        self,
        request: HttpRequest,
        queryset: OrderQuerySet,
        act_and_log: Callable[[Sequence[int]], Collection[int]],
        become: str,
        why_not: tuple[str, str],
    ) -> None:
        """Act on the selected orders; say how many became what they should, how many stayed, and are left.

        `why_not` are the reasons to stay of one and of many.
        """
        selected = list(queryset.values_list("pk", flat=True))
        done = reached = 0
        began = monotonic()
        for orders in batched(selected, MOVE_AT_ONCE, strict=False):
            try:
                with no_conflict("some of these orders"):
                    done += len(act_and_log(orders))
            except ValidationError as error:
                self.message_user(request, error.message, messages.ERROR)
                break
            reached += len(orders)
            if monotonic() - began > ACT_SECONDS:
                break
        if done:
            text = ngettext("%d order is %s now.", "%d orders are %s now.", done)
            self.message_user(request, text % (done, become), messages.SUCCESS)
        if stayed := reached - done:
            one, many = why_not
            text = ngettext("%d order stayed as it was: %s.", "%d orders stayed as they were: %s.", stayed)
            self.message_user(request, text % (stayed, ngettext(one, many, stayed)), messages.WARNING)
        if left := len(selected) - reached:
            text = ngettext("%d order is still to be done.", "%d orders are still to be done.", left)
            self.message_user(request, f"{text % left} Do the same again.", messages.WARNING)

    @transaction.atomic
    def move_and_log(
        self,
        request: HttpRequest,
        orders: Sequence[int],
        status: OrderStatus,
        sources: Collection[OrderStatus] | None = None,
    ) -> dict[int, OrderStatus]:
        """Move orders, and write it into the log of each; take and return what workflow.move() does."""
        moved = workflow.move(orders=orders, to=status, by=Actor.STAFF, sources=sources)
        changes = {key: MOVED.format(came_from, status) for key, came_from in moved.items()}
        log_changes(request, Order, changes)
        return moved

    @transaction.atomic
    def mark_paid_and_log(self, request: HttpRequest, orders: Sequence[int]) -> dict[int, OrderStatus]:
        """Mark orders as paid, and write it into the log of each; take and return what mark_paid() does."""
        paid = mark_paid(orders=orders)
        moved = f"{PAID} {MOVED.format(OrderStatus.PENDING, OrderStatus.PROCESSING)}"
        changes = {key: moved if status == OrderStatus.PENDING else PAID for key, status in paid.items()}
        log_changes(request, Order, changes)
        return paid

    @admin.action(permissions=["view"], description="Export selected %(verbose_name_plural)s as CSV")
    def export(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse:
        """Answer with the selected orders as a CSV file."""
        columns = {name: name for name in ("order_id", "order_date", "status", "total_amount", "customer_id")}
        of_customer = {name: f"customer__{name}" for name in ("first_name", "last_name", "email")}
        return csv_response("orders", queryset, columns | of_customer)

    @admin.action(permissions=["view"], description="Export lines and addresses of selected orders as CSV")
    def export_lines(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse:
        """Answer with the lines of the selected orders, each with its order and address."""
        return csv_of_rows("order-lines", LINE_COLUMNS, line_rows(queryset))

    @admin.action(permissions=["view"], description="Export lines and addresses of selected orders as XLSX")
    def export_lines_xlsx(self, request: HttpRequest, queryset: QuerySet) -> StreamingHttpResponse | None:
        """Answer with them as an XLSX file, if they are not too many."""
        rows = line_rows(queryset)
        return xlsx_of_rows(self, request, "order-lines", LINE_COLUMNS, rows, rows_counted(queryset))


@admin.register(OrderItem)
class OrderItemAdmin(Subtotal, ShopAdmin):
    """The lines of all orders, to look at and delete; they are added and changed in their order."""

    fields = ("order", "product", "quantity", "price_per_unit")
    list_display = ("order_item_id", "its_order", "product", "quantity", "price_per_unit", "subtotal")
    sortable_by = ("order_item_id", "its_order", "product")
    search_fields = ("product__name",)
    search_help_text = "The number of an order, or the name of a product"
    number_field = "order_id"
    restrictions = (
        kept_by_payments("its order has", "order__"),
        kept_by_invoices("its order has", "order__"),
    )
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
        """Delete the lines, and have stock and totals follow, if the totals can be stored."""
        self.lock(queryset.values("pk"))
        orders = Order.objects.filter(pk__in=set(queryset.values_list("order_id", flat=True)))
        live = [order.pk for order in orders if order.status != OrderStatus.CANCELLED]
        with stock_follows(live):
            super().delete_queryset(request, queryset)
            text = "Order {}: its total would be {:,}, more than {:,}."
            if too_large := totals_too_large([order.pk for order in orders]):
                raise ValidationError([text.format(*total, LARGEST_TOTAL) for total in too_large.items()])
        orders.update_totals()
