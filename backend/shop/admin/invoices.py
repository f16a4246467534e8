"""Invoices in the admin: to look at and to print again."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from shop.admin.base import LookOnly, change_link, number_in
from shop.admin.packing import document_url
from shop.orders.models import Invoice, Order


def kept_by_invoices(who_has: str, order: str = "") -> tuple[Count, str, str]:
    """Return what forbids deleting an order that has invoices, or a line, from which `order` leads to it."""
    kept = "that the law wants kept"
    return Count(f"{order}invoices"), f"{who_has} %d invoice {kept}", f"{who_has} %d invoices {kept}"


@admin.register(Invoice)
class InvoiceAdmin(LookOnly):
    """All invoices, and what cancels them."""

    fields = (
        "its_number",
        "its_order",
        "its_invoice",
        "made_on",
        "supplied_on",
        "address",
        "net",
        "vat_rate",
        "vat",
        "gross",
        "currency",
        "seller",
        "its_document",
    )
    list_display = ("its_number", "its_order", "made_on", "gross", "currency", "its_invoice", "its_document")
    link_lookups = ("order__exact",)
    search_fields = ("number",)
    search_help_text = "The number of an invoice or of an order"
    ordering = ("-number",)

    @admin.display(description="number", ordering="number")
    def its_number(self, invoice: Invoice) -> str:
        """Return the number as it is printed."""
        return str(invoice)

    @admin.display(description="order", ordering="order")
    def its_order(self, invoice: Any) -> SafeString:
        """Link to the order."""
        return change_link(Order(pk=invoice.order_id))

    @admin.display(description="print")
    def its_document(self, invoice: Any) -> SafeString:
        """Link to what is printed of its order: this one, and what cancels it."""
        return format_html('<a href="{}">Print</a>', document_url("invoices", [invoice.order_id]))

    @admin.display(description="cancels", ordering="cancels")
    def its_invoice(self, invoice: Any) -> SafeString | str:
        """Link to the invoice that this one cancels."""
        return change_link(Invoice(pk=invoice.cancels_id)) if invoice.cancels_id else "-"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Find a number, of an invoice or of an order, by its index; one like R-000123 is an invoice's."""
        text = search_term.strip().upper()
        if not text:
            return queryset, False
        number = number_in(text.removeprefix("R-"))
        if number is None:
            return queryset.none(), False
        of_order = Q() if text.startswith("R-") else Q(order=number)
        return queryset.filter(Q(number=number) | of_order), False
