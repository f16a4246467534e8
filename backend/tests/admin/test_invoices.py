"""Invoices in the admin: to look at; what has one is kept."""

import re

import pytest
from django.test import Client

from shop.admin.packing import document_url
from shop.models import Invoice, Order, OrderItem, OrderStatus
from shop.orders.invoices import make_invoices
from shop.orders.models import Actor
from shop.orders.workflow import move
from tests.admin.conftest import Clerk
from tests.admin.test_actions import delete_url
from tests.admin.test_admin import keys_of, list_of, page_url
from tests.admin.test_forms import change_url, open_form, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def cancelled(placed: Order) -> Order:
    """Ada's order, with the invoices 1 and 2, of which the second cancels the first."""
    make_invoices(orders=[placed.pk])
    move(orders=[placed.pk], to=OrderStatus.CANCELLED, by=Actor.STAFF)
    return placed


def test_the_list_and_the_page(admin_client: Client, cancelled: Order) -> None:
    (second, first) = list_of(admin_client, Invoice)
    assert [*first[:2], *first[3:]] == ["R-000001", f"Order {cancelled.pk}", "1446.67", "EUR", "-", "Print"]
    assert [*second[:2], *second[3:]] == [
        "R-000002",
        f"Order {cancelled.pk}",
        "-1446.67",
        "EUR",
        "R-000001",
        "Print",
    ]
    page = admin_client.get(page_url(Invoice, "change", 2)).content.decode()
    assert f'<a href="/admin/shop/order/{cancelled.pk}/change/">' in page
    assert '<a href="/admin/shop/invoice/1/change/">R-000001</a>' in page
    assert "Hauptstraße 1" in page


def test_invoices_are_found(admin_client: Client, cancelled: Order) -> None:
    for term in ("R-000001", "r-1", " R-1 "):
        assert keys_of(admin_client, Invoice, q=term) == [1]
    for term in (str(cancelled.pk), f"#{cancelled.pk}"):
        assert set(keys_of(admin_client, Invoice, q=term)) >= {1, 2}
    assert keys_of(admin_client, Invoice, order__exact=cancelled.pk) == [2, 1]
    for term in ("R-7", "Ada", "R-", "-1", "9" * 30, "9" * 12):
        assert keys_of(admin_client, Invoice, q=term) == []
    assert keys_of(admin_client, Invoice, q="") == [2, 1]


def test_nobody_adds_changes_or_deletes_one(admin_client: Client, cancelled: Order) -> None:
    for url in (page_url(Invoice, "add"), page_url(Invoice, "delete", 1)):
        assert admin_client.post(url).status_code == 403
    assert admin_client.post(page_url(Invoice, "change", 1), {"address": ""}).status_code == 403


def test_who_may_see_them(clerk: Clerk, cancelled: Order) -> None:
    client = clerk("view_invoice")
    assert client.get(page_url(Invoice, "changelist")).status_code == 200
    assert client.get(page_url(Invoice, "change", 1)).status_code == 200
    printed = client.get(document_url("invoices", [cancelled.pk]))
    assert re.findall("<h1>(.*?)<", printed.content.decode()) == [
        "Invoice R-000001",
        "Cancellation R-000002 of invoice R-000001",
    ]
    assert client.get(document_url("delivery_notes", [cancelled.pk])).status_code == 403


def test_who_may_not(clerk: Clerk, cancelled: Order) -> None:
    client = clerk("view_order")
    assert client.get(page_url(Invoice, "changelist")).status_code == 403
    assert client.get(document_url("invoices", [cancelled.pk])).status_code == 403


def test_what_has_an_invoice_is_kept(admin_client: Client, cancelled: Order) -> None:
    kept = "2 invoices that the law wants kept"
    line = OrderItem.objects.earliest("pk")
    for row, reason in (
        (cancelled, f"Order {cancelled.pk}: has {kept}"),
        (line, f"{line}: its order has {kept}"),
    ):
        page = admin_client.post(delete_url(row), {"post": "yes"})
        assert page.status_code == 200
        assert reason in page.content.decode()
    assert OrderItem.objects.count() == 2


def test_lines_stay(admin_client: Client, placed: Order) -> None:
    form = open_form(admin_client, change_url(placed))
    make_invoices(orders=[placed.pk])
    form["items-0-quantity"] = "1"
    assert refused(admin_client, change_url(placed), form) == [
        "The lines cannot change: the order has the invoice R-000001."
    ]
    placed.refresh_from_db()
    assert str(placed.total_amount) == "1446.67"
