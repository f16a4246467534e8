"""An order by telephone: customer, lines, placed; once, whatever the person does with the page."""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from shop.models import Category, Customer, IdempotencyKey, Mail, Order, OrderHistory, Product
from shop.orders.books import faults
from shop.orders.models import Delivery
from tests.admin.conftest import Clerk
from tests.admin.test_actions import messages_of
from tests.admin.test_forms import ADDRESS, FormParser, change_url, errors_of, new_line, open_form
from tests.admin.test_order_page import history_of
from tests.support.races import at_once
from tests.support.rows import stock_of

URL = "/admin/shop/order/add/"
SEARCH = {"app_label": "shop", "model_name": "orderitem", "field_name": "product"}
AS_WELL = "Enter this as well, or leave all of it empty."


@pytest.fixture
def books(transactional_db: None) -> Iterator[None]:
    yield
    assert faults() == []


def form_of(client: Client, customer: Customer, *lines: tuple[Product, int], **fields: str) -> dict[str, str]:
    """Fill in the page of a new order."""
    form = open_form(client, URL) | {"customer": str(customer.pk)} | fields
    for product, quantity in lines:
        form = new_line(form, product=product.pk, quantity=quantity)
    return form


# What it makes


@pytest.mark.usefixtures("books")
def test_what_is_placed(
    admin_client: Client, ada: Customer, gloves: Product, computer: Product, settings: Settings
) -> None:
    settings.SHOP_PAYMENT = "test"  # for which the customer has no page here
    settings.DEBUG = True
    form = form_of(admin_client, ada, (gloves, 3), (computer, 2))
    form |= {"items-2-price_per_unit": "300.00"}
    assert admin_client.post(URL, form).status_code == 302
    order = Order.objects.to_pack().get()
    assert (order.customer, order.status, order.total_amount) == (ada, "pending", Decimal("1307.97"))
    delivery = Delivery.objects.values().get()
    assert delivery == {
        "order_id": order.pk,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "strasse": "Hauptstraße 1",
        "plz": "01067",
        "ort": "Dresden",
        "carrier": "",
        "tracking_number": "",
        "payment_provider": "invoice",
    }
    assert OrderHistory.objects.values_list("status", "by").get() == ("pending", "staff")
    assert (stock_of(gloves), stock_of(computer)) == (55, 0)
    mail = Mail.objects.get()
    assert (mail.kind, mail.recipients, mail.order, mail.customer) == (
        "placed",
        "ada@example.com",
        order,
        ada,
    )
    assert "2 × Handmade Wooden Computer, 300.00 each: 600.00 EUR" in mail.text
    assert "Hauptstraße 1\n01067 Dresden" in mail.text
    assert LogEntry.objects.get().get_change_message().startswith("Added.")
    assert history_of(admin_client, order) == [("Pending", "admin (staff)")]


def test_the_page_begins_with_an_empty_line(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, URL)
    assert (form["items-TOTAL_FORMS"], form["items-0-quantity"]) == ("1", "")
    page = admin_client.get(URL).content.decode()
    buttons = re.findall(r'<input type="submit" value="(.*?)"', page)
    assert buttons == ["Place order", "Place order and add another"]
    assert open_form(admin_client, change_url(order))["items-TOTAL_FORMS"] == "1"  # the one that there is


def test_an_order_has_a_line(admin_client: Client, ada: Customer) -> None:
    response = admin_client.post(URL, form_of(admin_client, ada))
    assert errors_of(response) == ["An order has at least one line."]
    assert not Order.objects.exists()
    assert not Mail.objects.exists()


# Where it goes


def test_another_address(admin_client: Client, ada: Customer, gloves: Product) -> None:
    where = {"strasse": " Am Markt 2 ", "plz": "10115", "ort": "Berlin"}
    admin_client.post(URL, form_of(admin_client, ada, (gloves, 1), **where))
    who = {"first_name": "Anne", "last_name": "Groß 🛒"}
    admin_client.post(URL, form_of(admin_client, ada, (gloves, 1), **who))
    assert list(Delivery.objects.order_by("pk").values_list("first_name", "last_name", "strasse", "ort")) == [
        ("Ada", "Lovelace", "Am Markt 2", "Berlin"),
        ("Anne", "Groß 🛒", "Hauptstraße 1", "Dresden"),
    ]
    ada.refresh_from_db()
    assert (ada.first_name, ada.strasse) == ("Ada", "Hauptstraße 1")


def test_a_customer_without_an_address(admin_client: Client, deborah: Customer, gloves: Product) -> None:
    Customer.objects.update(strasse=" ", plz="10115")
    response = admin_client.post(URL, form_of(admin_client, deborah, (gloves, 1)))
    assert errors_of(response) == [
        "The customer&#x27;s address is not complete: strasse, ort. Enter where this order goes."
    ]
    assert not Order.objects.exists()
    assert stock_of(gloves) == 58
    again = FormParser(response.content.decode()).values
    assert again["items-1-quantity"] == "1"
    assert admin_client.post(URL, again | ADDRESS).status_code == 302
    assert Delivery.objects.values_list("last_name", "ort").get() == ("Bruen", "Dresden")


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        ({"ort": "Berlin"}, [AS_WELL, AS_WELL]),
        ({"ort": "Berlin", "plz": "10115", "strasse": " \u2003"}, [AS_WELL]),
        ({"first_name": "Anne"}, [AS_WELL]),
        ({"plz": "x" * 21}, ["Ensure this value has at most 20 characters (it has 21)."]),
    ],
)
def test_half_an_address(
    admin_client: Client, ada: Customer, gloves: Product, typed: dict[str, str], errors: list[str]
) -> None:
    response = admin_client.post(URL, form_of(admin_client, ada, (gloves, 1), **typed))
    assert errors_of(response) == errors
    assert not Order.objects.exists()


# Once


def test_a_page_that_is_sent_twice_places_one_order(
    admin_client: Client, ada: Customer, jonas: Customer, gloves: Product
) -> None:
    form = form_of(admin_client, ada, (gloves, 3))
    assert admin_client.post(URL, form).status_code == 302
    order = Order.objects.get()
    admin_client.get("/admin/shop/order/")  # shows the message
    other = {"customer": str(jonas.pk)}
    for change in ({}, {"items-1-quantity": "4"}, {"order_date": "2026-01-02"}, {"_continue": "1"}, other):
        response = admin_client.post(URL, form | change)
        assert response["Location"] == "/admin/shop/order/"
        link = f'<a href="{change_url(order)}">Order {order.pk}</a>'
        assert messages_of(response)[-1] == (
            "warning",
            f"This page has placed {link} already, and no second one.",
        )
    assert Order.objects.get() == order
    assert order.items.get().quantity == 3
    assert (stock_of(gloves), Mail.objects.count(), LogEntry.objects.count()) == (55, 1, 1)


@pytest.mark.usefixtures("books")
def test_a_double_click_places_one_order(admin_client: Client, ada: Customer, gloves: Product) -> None:
    form = form_of(admin_client, ada, (gloves, 3))
    results = at_once(*[partial(admin_client.post, URL, form)] * 4)
    assert [result.status_code for result in results] == [302] * 4
    assert Order.objects.count() == 1
    assert (stock_of(gloves), Mail.objects.count()) == (55, 1)


def test_another_page_places_another_order(admin_client: Client, ada: Customer, gloves: Product) -> None:
    first = form_of(admin_client, ada, (gloves, 3))
    second = form_of(admin_client, ada, (gloves, 3))
    assert first["key"] != second["key"]
    for form in (first, second):
        assert admin_client.post(URL, form).status_code == 302
    assert Order.objects.count() == 2


def test_what_was_refused_can_be_placed_by_the_same_page(
    admin_client: Client, ada: Customer, computer: Product
) -> None:
    response = admin_client.post(URL, form_of(admin_client, ada, (computer, 3)))
    assert errors_of(response) == [
        "There is not enough in stock: Handmade Wooden Computer (3 more wanted, 2 available)."
    ]
    assert not IdempotencyKey.objects.exists()
    again = FormParser(response.content.decode()).values
    assert f'selected data-stock="2">{computer}' in response.content.decode()
    assert admin_client.post(URL, again | {"items-1-quantity": "2"}).status_code == 302
    assert stock_of(computer) == 0


def test_what_is_sent_without_a_key_is_an_order_each_time(
    admin_client: Client, ada: Customer, gloves: Product
) -> None:
    form = form_of(admin_client, ada, (gloves, 3)) | {"key": ""}
    for _ in range(2):
        assert admin_client.post(URL, form).status_code == 302
    assert Order.objects.count() == 2


@pytest.mark.parametrize("key", ["zzz", "\0", "9" * 5000])
def test_a_forged_key(admin_client: Client, ada: Customer, gloves: Product, key: str) -> None:
    form = form_of(admin_client, ada, (gloves, 3)) | {"key": key}
    response = admin_client.post(URL, form)
    assert response.status_code == 200
    assert len(errors_of(response)) == 1
    assert not Order.objects.exists()


# The stock before it is taken


def test_the_search_says_how_many_there_are(
    admin_client: Client, clerk: Clerk, gloves: Product, computer: Product
) -> None:
    url = reverse("admin:shop_order_products")
    page = admin_client.get(URL).content.decode()
    assert f'data-ajax--url="{url}"' in page
    answer = admin_client.get(url, SEARCH | {"term": "wooden"})
    text = "Handmade Wooden Computer (2 in stock)"
    assert answer.json()["results"] == [{"id": str(computer.pk), "text": text, "stock": 2}]
    assert len(admin_client.get(url, SEARCH | {"term": ""}).json()["results"]) == 2
    for forged in (
        {"model_name": "order", "field_name": "customer"},
        {"field_name": "quantity"},
        {"app_label": "x"},
    ):
        assert admin_client.get(url, SEARCH | forged).status_code == 403
    assert clerk("add_order").get(url, SEARCH).status_code == 403
    assert Client().get(url, SEARCH).status_code == 302


def test_the_search_tells_customers_apart(
    admin_client: Client, clerk: Clerk, ada: Customer, deborah: Customer
) -> None:
    url = reverse("admin:shop_order_customers")
    assert f'data-ajax--url="{url}"' in admin_client.get(URL).content.decode()
    of_customers = SEARCH | {"model_name": "order", "field_name": "customer"}
    texts = [row["text"] for row in admin_client.get(url, of_customers).json()["results"]]
    assert texts == [
        "Deborah Bruen, deborah.bruen@example.com",
        "Ada Lovelace, ada@example.com, 01067 Dresden",
    ]
    assert admin_client.get(url, SEARCH).status_code == 403
    assert clerk("add_order").get(url, of_customers).status_code == 403


def test_the_script_is_there_where_lines_take_from_the_stock(admin_client: Client, order: Order) -> None:
    script = "shop/stock.js"
    for url in (URL, change_url(order)):
        assert script in admin_client.get(url).content.decode()
    Order.objects.update(status="cancelled")
    assert script not in admin_client.get(change_url(order)).content.decode()


# Who may


def test_who_may_only_add(clerk: Clerk, ada: Customer, gloves: Product) -> None:
    seller = clerk("add_order", "add_orderitem", "view_product", "view_customer")
    form = form_of(seller, ada, (gloves, 3))
    for _ in range(2):
        assert seller.post(URL, form)["Location"] == "/admin/"
    assert Order.objects.count() == 1


def test_who_may_not_add(clerk: Clerk, ada: Customer) -> None:
    looker = clerk("view_order", "change_order", "view_orderitem", "change_orderitem")
    assert looker.get(URL).status_code == 403
    assert looker.post(URL, {"customer": str(ada.pk)}).status_code == 403


# The cost


def test_it_costs_the_same_queries_at_1_and_at_50_lines(
    admin_client: Client, ada: Customer, home: Category
) -> None:
    products = Product.objects.bulk_create(
        Product(name=str(n), price=1, stock=50, category=home) for n in range(50)
    )
    admin_client.post(URL, form_of(admin_client, ada, (products[0], 1)))
    costs = []
    for number in (1, 50):
        with CaptureQueriesContext(connection) as opening:
            form = form_of(admin_client, ada, *((product, 1) for product in products[:number]))
        with CaptureQueriesContext(connection) as placing:
            assert admin_client.post(URL, form).status_code == 302
        costs.append((len(opening), len(placing)))
    assert costs[0] == costs[1]
    assert costs[0] == (2, 40)
