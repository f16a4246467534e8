"""Packing: the orders that are to go out, what is printed for them, and that they went."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import ngettext

from shop.admin.base import log_changes, no_conflict
from shop.admin.forms import delivery_field
from shop.admin.order_page import MOVED
from shop.orders.invoices import make_invoices, why_not
from shop.orders.models import Invoice, Order, OrderItem, OrderStatus
from shop.orders.packing import Parcel, Sent, ship, to_fetch

ON_A_PAGE = 50

LISTED = 1_000
"""How many orders are in the list: to look at each that is to be packed would take long, and help nobody."""

PRINTED_AT_ONCE = 200
"""How many orders can be printed in one go: their numbers are in the address of the document."""

OTHERS_CHANGE = "some of these orders, or makes invoices,"


def named(name: str) -> dict[str, str]:
    """Return what names a field that stands in a table, to those who see it and to those who hear it."""
    return {"aria-label": name, "placeholder": name}


class ParcelForm(forms.Form):
    """How an order is sent, and what it was when its row was shown."""

    carrier = delivery_field("carrier", AdminTextInputWidget(named("Carrier")))
    tracking_number = delivery_field("tracking_number", AdminTextInputWidget(named("Tracking number")))
    seen = forms.CharField(widget=forms.HiddenInput)
    seen_carrier = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    seen_tracking_number = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)


def packing_urls(orders: ModelAdmin[Order]) -> list[Any]:
    """Return the addresses of the list and of what is printed."""
    views = {"to_pack": to_pack, "documents": documents}
    return [
        path(f"{name}/", orders.admin_site.admin_view(partial(view, orders)), name=f"shop_order_{name}")
        for name, view in views.items()
    ]


def to_pack(orders: ModelAdmin[Order], request: HttpRequest) -> HttpResponse:
    """Show the orders to be packed, the oldest first; POST ships those that are selected."""
    if not orders.has_view_permission(request):
        raise PermissionDenied
    if request.method == "POST":
        if not orders.has_change_permission(request):
            raise PermissionDenied
        selected = selected_in(request.POST.getlist("orders"))
        entered = {key: ParcelForm(request.POST, prefix=str(key)) for key in selected}
        if not selected:
            orders.message_user(request, "Select the orders that went out.", messages.WARNING)
        elif all(form.is_valid() for form in entered.values()):
            ship_and_tell(orders, request, entered)
            return HttpResponseRedirect(request.get_full_path())
        else:
            orders.message_user(request, "Correct what is marked. Nothing was shipped.", messages.ERROR)
    # The keys alone come out of an index, however many orders were done since the oldest of these.
    keys = Order.objects.to_pack().order_by("order_date", "order_id").values_list("pk", flat=True)
    page = Paginator(keys[:LISTED], ON_A_PAGE).get_page(request.GET.get("p"))
    context = {
        **orders.admin_site.each_context(request),
        "opts": orders.opts,
        "title": "Orders to pack",
        "page": page,
        "is_cut": page.paginator.count == LISTED,
        "rows": rows_of(list(page), request.POST),
        "selected": request.POST.getlist("orders"),
        "all_selected": "all" in request.GET,
        "may_change": orders.has_change_permission(request),
    }
    return TemplateResponse(request, "admin/shop/order/to_pack.html", context)


def rows_of(keys: Sequence[int], entered: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the list shows of these orders, with what was entered on the page before."""
    lines = OrderItem.objects.by_order(keys)
    rows = []
    for order in in_order(keys):
        delivery: Any = getattr(order, "delivery", None)
        initial = {"seen": order.status}
        if delivery:
            initial |= {
                "carrier": delivery.carrier,
                "tracking_number": delivery.tracking_number,
                "seen_carrier": delivery.carrier,
                "seen_tracking_number": delivery.tracking_number,
            }
        data = entered if f"{order.pk}-seen" in entered else None
        form = ParcelForm(data, prefix=str(order.pk), initial=initial)
        rows.append(
            {
                "order": order,
                "key": str(order.pk),
                "lines": lines[order.pk],
                "form": form,
            }
        )
    return rows


def in_order(keys: Sequence[int]) -> list[Order]:
    """Return the orders of these keys that there are, in their order, with their recipients."""
    found = Order.objects.select_related("customer", "delivery").in_bulk(keys)
    return [found[key] for key in keys if key in found]


def selected_in(values: Iterable[str]) -> list[int]:
    """Return the keys of orders that a page sent; no such keys are a bad request."""
    try:
        return list(dict.fromkeys(int(Order._meta.pk.clean(value, None)) for value in values))
    except ValidationError as error:
        raise BadRequest(error.messages) from error


def ship_and_tell(orders: ModelAdmin[Order], request: HttpRequest, entered: Mapping[int, ParcelForm]) -> None:
    """Ship the selected orders, and say how many went, and which stayed and why."""
    try:
        with no_conflict(OTHERS_CHANGE):
            came_from, stayed = ship_and_log(request, entered)
    except ValidationError as error:
        orders.message_user(request, error.message, messages.ERROR)
        return
    if came_from:
        text = ngettext("%d order is shipped now.", "%d orders are shipped now.", len(came_from))
        orders.message_user(request, text % len(came_from), messages.SUCCESS)
    by_reason = defaultdict(list)
    for key, reason in stayed.items():
        by_reason[reason].append(str(key))
    for reason, keys in by_reason.items():
        text = ngettext("Order %s stayed as it was: %s.", "Orders %s stayed as they were: %s.", len(keys))
        orders.message_user(request, text % (", ".join(keys), reason), messages.WARNING)


@transaction.atomic
def ship_and_log(request: HttpRequest, entered: Mapping[int, ParcelForm]) -> Sent:
    """Ship orders, and write it into the log of each; return what ship() does."""
    parcels = [Parcel(order_id=key, **form.cleaned_data) for key, form in entered.items()]
    sent = ship(parcels)
    # Not how they went: the log keeps for ever what old deliveries forget.
    changes = {key: MOVED.format(status, OrderStatus.SHIPPED) for key, status in sent.came_from.items()}
    log_changes(request, Order, changes)
    return sent


def documents(orders: ModelAdmin[Order], request: HttpRequest) -> HttpResponse:
    """Show a document of these orders, to be printed; POST leads there, and makes invoices before."""
    sent = request.POST if request.method == "POST" else request.GET
    document = sent.get("document", "")
    if document not in DOCUMENTS:
        raise Http404
    if not may_print(orders, request, document):
        raise PermissionDenied
    selected = selected_in(key for keys in sent.getlist("orders") for key in keys.split(","))
    problem = ""
    if len(selected) > PRINTED_AT_ONCE:
        problem = f"More than {PRINTED_AT_ONCE} orders are selected: print fewer at once."
    elif request.method == "POST" and not selected:
        problem = "Select the orders to print."
    if problem:
        orders.message_user(request, problem, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:shop_order_to_pack"))
    if request.method != "POST":
        return DOCUMENTS[document](request, selected)
    if document == "invoices":
        try:
            with no_conflict(OTHERS_CHANGE):
                make_and_log(request, selected)
        except ValidationError as error:
            orders.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:shop_order_to_pack"))
    return HttpResponseRedirect(document_url(document, selected))


def may_print(orders: ModelAdmin[Order], request: HttpRequest, document: str) -> bool:
    """Tell whether the user may look at this document, and, with POST, make the invoices that are missing."""
    if document != "invoices":
        return orders.has_view_permission(request)
    may_make = request.method != "POST" or orders.has_change_permission(request)
    return request.user.has_perm("shop.view_invoice") and may_make


@transaction.atomic
def make_and_log(request: HttpRequest, selected: Sequence[int]) -> None:
    """Make the invoices that are missing, and write it into the log of their orders."""
    made = make_invoices(orders=selected)
    log_changes(request, Order, {invoice.order_id: f"Made invoice {invoice}." for invoice in made})


def document_url(document: str, orders: Iterable[int]) -> str:
    """Return the address of a document for these orders."""
    query = {"document": document, "orders": ",".join(map(str, orders))}
    return f"{reverse('admin:shop_order_documents')}?{urlencode(query, safe=',')}"


def packing_list(request: HttpRequest, selected: Sequence[int]) -> HttpResponse:
    """Show one list for all: what to fetch, then what goes into each parcel."""
    context = {"parcels": parcels_of(selected), "products": to_fetch(selected)}
    return TemplateResponse(request, "shop/documents/packing_list.html", context)


def delivery_notes(request: HttpRequest, selected: Sequence[int]) -> HttpResponse:
    """Show a page for each parcel, that goes into it."""
    context = {"parcels": parcels_of(selected), "seller": settings.SHOP_SELLER}
    return TemplateResponse(request, "shop/documents/delivery_notes.html", context)


def parcels_of(selected: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is printed for each of these orders; without any there is no such page."""
    lines = OrderItem.objects.by_order(selected)
    parcels = [{"order": order, "lines": lines[order.pk]} for order in in_order(selected)]
    if not parcels:
        raise Http404
    return parcels


def invoices(request: HttpRequest, selected: Sequence[int]) -> HttpResponse:
    """Show the invoices of these orders and what cancels them, and say which have none and why."""
    found = list(Invoice.objects.filter(order__in=selected).select_related("cancels").order_by("number"))
    context = {"invoices": found, "reasons": why_not(selected)}
    if not found and not context["reasons"]:
        raise Http404
    return TemplateResponse(request, "shop/documents/invoices.html", context)


DOCUMENTS = {"packing_list": packing_list, "delivery_notes": delivery_notes, "invoices": invoices}
