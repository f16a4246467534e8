"""The list of orders to pack, what is printed of it, and that they went out."""

import base64
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from shop.models import Customer, Delivery, Invoice, Mail, Order, OrderItem, Payment, Product
from shop.orders.books import faults
from shop.orders.invoices import TAKE_TURNS, make_invoices
from shop.orders.models import Actor
from shop.orders.workflow import move
from tests.admin.conftest import Clerk
from tests.admin.test_actions import messages_of
from tests.admin.test_forms import change_url, open_form
from tests.admin.test_order_page import history_of
from tests.support.races import meanwhile, session

pytestmark = pytest.mark.django_db

URL = "/admin/shop/order/to_pack/"
DOCUMENTS = "/admin/shop/order/documents/"


@pytest.fixture
def own(ada: Customer, gloves: Product) -> Order:
    """An order of staff's, older than the others, which has no delivery."""
    order = Order.objects.create(customer=ada, order_date=date(2026, 1, 2), status="processing")
    OrderItem.objects.create(order=order, product=gloves, quantity=4, price_per_unit=gloves.price)
    order.update_total()
    return order


def rows_of(page: Any) -> list[list[str]]:
    """Return the text of the cells of a page's tables, a line for each line."""
    cells = re.findall(r"<tr[^>]*>(.*?)</tr>", page.content.decode().rpartition("<main")[2], re.S)
    text = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in cells]
    return [
        [unescape(re.sub(r"<.*?>", "", re.sub("<br ?/?>", "\n", cell))).strip() for cell in row]
        for row in text
    ]


def sent(client: Client, *orders: Order, url: str = URL, **fields: str) -> dict[str, Any]:
    """Return what the page sends if these are selected; `fields` are of the first one."""
    form: dict[str, Any] = open_form(client, url)
    form["orders"] = [str(order.pk) for order in orders]
    return form | {f"{orders[0].pk}-{name}": text for name, text in fields.items()}


# The list


def test_the_list(admin_client: Client, placed: Order, own: Order, order: Order) -> None:
    Order.objects.filter(pk=placed.pk).update(order_date=date(2026, 11, 24))
    page = admin_client.get(URL)
    to = "Ada Lovelace\nHauptstraße 1\n01067 Dresden"
    none = "None is kept: the order was not placed in the shop."
    assert rows_of(page)[1:] == [
        ["", str(own.pk), "Jan. 2, 2026", "Processing", to, "4 × Elegant Marble Gloves", none],
        [
            "",
            str(placed.pk),
            "Nov. 24, 2026",
            "Pending",
            to,
            "2 × Handmade Wooden Computer\n3 × Elegant Marble Gloves",
            "",
        ],
    ]
    assert "2 orders, the oldest first" in page.content.decode()
    assert f'href="{URL}">To pack</a>' in admin_client.get("/admin/shop/order/").content.decode()


def test_an_empty_list(admin_client: Client, order: Order) -> None:
    assert "There is nothing to pack." in admin_client.get(URL).content.decode()


def test_the_address_is_the_deliverys(admin_client: Client, placed: Order) -> None:
    Delivery.objects.update(last_name="<b>King</b>", strasse="Elsewhere 2")
    assert rows_of(admin_client.get(URL))[1][4] == "Ada <b>King</b>\nElsewhere 2\n01067 Dresden"


def test_all_on_a_page_are_selected_by_a_link(admin_client: Client, placed: Order, own: Order) -> None:
    box = '<input type="checkbox" name="orders" value="{}" aria-label="Select order {}"{}>'
    for url, checked in ((URL, ""), (f"{URL}?p=1&all", " checked")):
        page = admin_client.get(url).content.decode()
        for order in (placed, own):
            assert box.format(order.pk, order.pk, checked) in page
    assert '<a href="?p=1&amp;all">Select all on this page</a>' in page


def test_pages_in_a_fixed_number_of_queries(
    admin_client: Client, ada: Customer, gloves: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def add(number: int) -> None:
        orders = Order.objects.bulk_create(Order(customer=ada, status="processing") for _ in range(number))
        OrderItem.objects.bulk_create(
            OrderItem(order=order, product=gloves, quantity=1, price_per_unit=1) for order in orders
        )

    add(1)
    admin_client.get(URL)
    with django_assert_num_queries(6):  # session, user, count, keys, orders, lines
        admin_client.get(URL)
    add(50)
    with django_assert_num_queries(6):
        page = admin_client.get(URL)
    assert len(rows_of(page)) == 51
    assert "Page 1 of 2" in page.content.decode()
    assert '<a href="?p=2">Next</a>' in page.content.decode()
    last = admin_client.get(URL, {"p": "2"})
    assert rows_of(last)[1][1] == str(Order.objects.latest("pk").pk)
    assert admin_client.get(URL, {"p": "x"}).status_code == 200


def test_of_very_many_the_list_has_the_oldest(
    admin_client: Client, ada: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    orders = Order.objects.bulk_create(Order(customer=ada, status="processing") for _ in range(1001))
    with django_assert_num_queries(6) as queries:
        page = admin_client.get(URL, {"p": "99"})
    assert "The 1000 oldest orders" in page.content.decode()
    assert "Page 20 of 20" in page.content.decode()
    assert rows_of(page)[-1][1] == str(orders[999].pk)
    (counted,) = (query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"])
    assert counted.endswith("LIMIT 1000) subquery")


# Shipping


@pytest.mark.django_db(transaction=True)
def test_several_are_shipped(admin_client: Client, placed: Order, own: Order, admin_user: Any) -> None:
    form = sent(admin_client, placed, own, carrier=" DHL ", tracking_number="JJD1")
    assert messages_of(admin_client.post(URL, form)) == [("success", "2 orders are shipped now.")]
    assert set(Order.objects.values_list("status", flat=True)) == {"shipped"}
    delivery = Delivery.objects.get()
    assert (delivery.order_id, delivery.carrier, delivery.tracking_number) == (placed.pk, "DHL", "JJD1")
    assert "JJD1" in Mail.objects.get(order=placed, kind="shipped").text
    assert dict(LogEntry.objects.values_list("object_id", "change_message")) == {
        str(placed.pk): "Changed Status from pending to shipped.",
        str(own.pk): "Changed Status from processing to shipped.",
    }
    assert faults() == []


def test_the_order_tells_once_that_it_was_shipped_and_by_whom(admin_client: Client, placed: Order) -> None:
    admin_client.post(URL, sent(admin_client, placed, carrier="DHL", tracking_number="JJD1"))
    assert history_of(admin_client, placed) == [("Pending", "customer"), ("Shipped", "admin (staff)")]


def test_who_is_not_selected_stays(admin_client: Client, placed: Order, own: Order) -> None:
    form = sent(admin_client, own) | {f"{placed.pk}-carrier": "DHL"}
    assert messages_of(admin_client.post(URL, form)) == [("success", "1 order is shipped now.")]
    placed.refresh_from_db()
    assert (placed.status, Delivery.objects.get().carrier) == ("pending", "")


def test_nobody_is_selected(admin_client: Client, placed: Order) -> None:
    """What was typed stays."""
    form = sent(admin_client, placed, carrier="DHL")
    page = admin_client.post(URL, form | {"orders": []}).content.decode()
    assert "Select the orders that went out." in page
    assert 'value="DHL"' in page
    assert Order.objects.get().status == "pending"


@pytest.mark.parametrize("status", ["processing", "shipped", "cancelled"])
def test_an_order_that_was_moved_meanwhile_stays(
    admin_client: Client, placed: Order, own: Order, status: Any
) -> None:
    form = sent(admin_client, placed, own, carrier="DHL")
    move(orders=[placed.pk], to=status, by=Actor.CUSTOMER)
    assert messages_of(admin_client.post(URL, form)) == [
        ("success", "1 order is shipped now."),
        ("warning", f"Order {placed.pk} stayed as it was: it is {status} now."),
    ]
    placed.refresh_from_db()
    assert (placed.status, Delivery.objects.get().carrier) == (status, "")


def test_what_stayed_and_why(admin_client: Client, placed: Order, own: Order) -> None:
    form = sent(admin_client, placed, own, carrier="DHL")
    form["orders"].append("0")
    form |= {"0-seen": "pending"}
    Delivery.objects.update(carrier="UPS")
    Payment.objects.create(order=own, provider="stripe", status="disputed", amount=1, currency="EUR")
    assert messages_of(admin_client.post(URL, form)) == [
        (
            "warning",
            f"Order {own.pk} stayed as it was: it is not paid, or its payment is disputed or refunded.",
        ),
        ("warning", "Order 0 stayed as it was: it is gone."),
        ("warning", f"Order {placed.pk} stayed as it was: somebody else wrote how it is sent."),
    ]
    assert Delivery.objects.get().carrier == "UPS"
    assert not LogEntry.objects.exists()
    assert set(Order.objects.values_list("status", flat=True)) == {"pending", "processing"}


def test_what_is_too_long_is_marked_and_nothing_is_shipped(
    admin_client: Client, placed: Order, own: Order
) -> None:
    form = sent(admin_client, placed, own, carrier="x" * 51, tracking_number="JJD1")
    page = admin_client.post(URL, form)
    assert page.status_code == 200
    text = page.content.decode()
    assert "Correct what is marked. Nothing was shipped." in text
    assert "Ensure this value has at most 50 characters (it has 51)." in text
    assert 'value="JJD1"' in text
    assert f'value="{own.pk}" aria-label="Select order {own.pk}" checked' in text
    assert set(Order.objects.values_list("status", flat=True)) == {"pending", "processing"}
    assert admin_client.post(URL, form | {f"{placed.pk}-carrier": "a\0"}).status_code == 200


@pytest.mark.parametrize("key", ["x", "", "9" * 20, "-1\0"])
@pytest.mark.parametrize("url", [URL, f"{DOCUMENTS}?"])
def test_what_is_no_order_is_a_bad_request(admin_client: Client, url: str, key: str) -> None:
    assert admin_client.post(url, {"orders": key, "document": "packing_list"}).status_code == 400


def test_many_are_shipped_in_a_fixed_number_of_queries(
    admin_client: Client, ada: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in (1, 30):
        orders = Order.objects.bulk_create(Order(customer=ada, status="pending") for _ in range(number))
        Delivery.objects.bulk_create(Delivery(order=order) for order in orders)
        form = sent(admin_client, *orders)
        admin_client.post(URL, form | {"orders": []})
        with django_assert_num_queries(19):
            messages = messages_of(admin_client.post(URL, form))
        assert f"{number} order" in messages[-1][1]


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_a_colleague_and_sees_what_they_did(admin_client: Client, placed: Order) -> None:
    form = sent(admin_client, placed)
    lock = f"UPDATE \"order\" SET status = 'processing' WHERE order_id = {placed.pk}"
    answer = meanwhile(lock, lambda: messages_of(admin_client.post(URL, form)))
    assert answer == [("warning", f"Order {placed.pk} stayed as it was: it is processing now.")]


@pytest.mark.django_db(transaction=True)
def test_it_does_not_wait_for_long(admin_client: Client, placed: Order) -> None:
    """Whatever is held, the page says so."""
    form = sent(admin_client, placed)
    invoices = {"orders": [placed.pk], "document": "invoices"}
    lock = f'SELECT FROM "order" WHERE order_id = {placed.pk} FOR UPDATE'
    text = "Somebody else is changing some of these orders, or makes invoices, at this moment. Try again."
    with session() as other, connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
        try:
            for held, url, sent_form in (
                (TAKE_TURNS, DOCUMENTS, invoices),
                (lock, DOCUMENTS, invoices),
                (lock, URL, form),
            ):
                other.execute(held)
                answer = admin_client.post(url, sent_form)
                assert (answer.status_code, answer.headers["Location"]) == (302, URL)
                assert messages_of(answer)[-1] == ("error", text)
                other.connection.rollback()
        finally:
            cursor.execute("RESET lock_timeout")
    assert not Invoice.objects.exists()
    assert Order.objects.get().status == "pending"


def test_who_may_only_look(clerk: Clerk, placed: Order) -> None:
    client = clerk("view_order")
    page = client.get(URL).content.decode()
    assert f">{placed.pk}</a>" in page
    for word in ("Mark as shipped", "Carrier", "Invoices", "-seen"):
        assert word not in page
    assert "Delivery notes" in page
    assert client.post(URL, {"orders": placed.pk, f"{placed.pk}-seen": "pending"}).status_code == 403
    printed = {"orders": str(placed.pk), "document": "delivery_notes"}
    assert client.post(DOCUMENTS, printed).status_code == 302
    assert client.post(DOCUMENTS, printed | {"document": "invoices"}).status_code == 403
    assert not Invoice.objects.exists()
    assert "Delivery note</a>" in client.get(change_url(placed)).content.decode()


def test_who_may_not_view_invoices_neither_prints_nor_makes_them(clerk: Clerk, placed: Order) -> None:
    client = clerk("view_order", "change_order")
    document = {"orders": str(placed.pk), "document": "invoices"}
    for there in (False, True):
        assert client.get(DOCUMENTS, document).status_code == 403
        assert client.post(DOCUMENTS, document).status_code == 403
        for url in (URL, change_url(placed)):
            page = client.get(url).content.decode()
            assert "Deliver" in page
            assert not re.search("Invoice<|Invoices<|invoice<", page)
        assert Invoice.objects.exists() == there
        make_invoices(orders=[placed.pk])


def test_who_may_not_change_orders_makes_no_invoice(clerk: Clerk, placed: Order) -> None:
    client = clerk("view_order", "view_invoice")
    document = {"orders": str(placed.pk), "document": "invoices"}
    assert client.post(DOCUMENTS, document).status_code == 403
    page = client.get(DOCUMENTS, document).content.decode()
    assert f"Order {placed.pk} has no invoice: it is not made yet." in page
    assert not Invoice.objects.exists()
    assert "Make the invoice" not in client.get(change_url(placed)).content.decode()
    make_invoices(orders=[placed.pk])
    assert ">Invoice</a>" in client.get(change_url(placed)).content.decode()


def test_who_may_not_even_look(clerk: Clerk, placed: Order) -> None:
    client = clerk("view_product", "view_invoice")
    assert client.get(URL).status_code == 403
    assert client.get(DOCUMENTS, {"orders": str(placed.pk), "document": "packing_list"}).status_code == 403


def test_it_asks_for_a_token(admin_user: Any, placed: Order) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    for url in (URL, DOCUMENTS):
        assert client.post(url, {"orders": placed.pk, "document": "invoices"}).status_code == 403


# What is printed


def printed(client: Client, document: str, *orders: Order) -> Any:
    """Press the button, and return the page to which it leads."""
    answer = client.post(DOCUMENTS, {"document": document, "orders": [order.pk for order in orders]})
    assert answer.status_code == 302
    page = client.get(answer.headers["Location"])
    assert page.status_code == 200
    assert "<script" not in page.content.decode()
    assert "style=" not in page.content.decode()
    return page


def test_the_packing_list(
    admin_client: Client, placed: Order, own: Order, computer: Product, gloves: Product
) -> None:
    page = printed(admin_client, "packing_list", placed, own)
    head = ["Product", "Name", "Quantity"]
    products = {computer.pk: computer.name, gloves.pk: gloves.name}
    to_fetch = {computer.pk: "2", gloves.pk: "7"}
    assert rows_of(page) == [
        head,
        *([str(key), products[key], to_fetch[key]] for key in sorted(products)),
        head,
        [str(computer.pk), computer.name, "2"],
        [str(gloves.pk), gloves.name, "3"],
        head,
        [str(gloves.pk), gloves.name, "4"],
    ]
    headings = re.findall("<h2>(.*?)</h2>", page.content.decode())
    assert headings == ["To fetch", f"Order {placed.pk}", f"Order {own.pk}"]


def test_delivery_notes(
    admin_client: Client, placed: Order, own: Order, gloves: Product, settings: Settings
) -> None:
    settings.SHOP_SELLER = "Webshop GmbH"
    Delivery.objects.update(carrier="DHL", tracking_number="JJD1")
    page = printed(admin_client, "delivery_notes", own, placed).content.decode()
    first, second = re.findall(r"<article>(.*?)</article>", page, re.S)
    assert re.findall("<dd>(.*?)</dd>", first) == [str(own.pk), "2026-01-02"]
    assert re.findall("<dd>(.*?)</dd>", second)[2:] == ["DHL", "JJD1"]
    for text in ("Webshop GmbH", "Ada Lovelace\nHauptstraße 1\n01067 Dresden", gloves.name):
        assert text in first
        assert text in second
    assert "235.99" not in page


def test_invoices(
    admin_client: Client, placed: Order, own: Order, order: Order, computer: Product, gloves: Product
) -> None:
    page = printed(admin_client, "invoices", placed, order, own)
    assert f"Order {order.pk} has no invoice: its address is not complete." in page.content.decode()
    first, second = sorted([placed, own], key=lambda one: one.pk)
    assert list(Invoice.objects.order_by("number").values_list("order_id", flat=True)) == [
        first.pk,
        second.pk,
    ]
    assert re.findall("<h1>(.*?)</h1>", page.content.decode()) == ["Invoice R-000001", "Invoice R-000002"]
    lines = rows_of(page)
    head = ["Product", "Name", "Quantity", "Price", "EUR"]
    bill = {
        placed: [
            head,
            [str(computer.pk), computer.name, "2", "369.35", "738.70"],
            [str(gloves.pk), gloves.name, "3", "235.99", "707.97"],
            ["Net", "1215.69"],
            ["VAT 19 %", "230.98"],
            ["Total", "1446.67 EUR"],
        ],
        own: [
            head,
            [str(gloves.pk), gloves.name, "4", "235.99", "943.96"],
            ["Net", "793.24"],
            ["VAT 19 %", "150.72"],
            ["Total", "943.96 EUR"],
        ],
    }
    assert lines == [*bill[first], *bill[second]]


def test_the_order_tells_who_made_its_invoice(admin_client: Client, placed: Order) -> None:
    for _ in range(2):
        printed(admin_client, "invoices", placed)
        assert history_of(admin_client, placed) == [
            ("Pending", "customer"),
            ("Made invoice R-000001.", "admin"),
        ]


def test_an_invoice_is_printed_again_as_it_was(
    admin_client: Client, placed: Order, gloves: Product, settings: Settings
) -> None:
    before = printed(admin_client, "invoices", placed).content
    gloves.name = "Another"
    gloves.save()
    Delivery.objects.update(last_name="King")
    Order.objects.update(order_date=date(2020, 1, 1))
    settings.SHOP_SELLER, settings.SHOP_CURRENCY, settings.SHOP_VAT_RATE = "Another", "CHF", 7
    assert printed(admin_client, "invoices", placed).content == before
    assert Invoice.objects.count() == 1


def test_a_cancelled_one_is_printed_with_what_cancels_it(admin_client: Client, placed: Order) -> None:
    make_invoices(orders=[placed.pk])
    move(orders=[placed.pk], to="cancelled", by=Actor.STAFF)  # type: ignore[arg-type]
    page = printed(admin_client, "invoices", placed)
    titles = ["Invoice R-000001", "Cancellation R-000002 of invoice R-000001"]
    assert re.findall("<h1>(.*?)</h1>", page.content.decode()) == titles
    assert rows_of(page)[-1] == ["Total", "-1446.67 EUR"]
    assert rows_of(page)[7][2:] == ["-2", "369.35", "-738.70"]


def test_the_pages_of_orders_and_invoices_lead_there(admin_client: Client, placed: Order) -> None:
    url = f"{DOCUMENTS}?document=invoices&amp;orders={placed.pk}"
    page = admin_client.get(change_url(placed)).content.decode()
    assert "Make the invoice</button>" in page
    assert url not in page
    make_invoices(orders=[placed.pk])
    page = admin_client.get(change_url(placed)).content.decode()
    assert "Make the invoice" not in page
    assert url in page
    assert url in admin_client.get("/admin/shop/invoice/").content.decode()
    assert url in admin_client.get("/admin/shop/invoice/1/change/").content.decode()


@pytest.mark.parametrize("document", ["packing_list", "delivery_notes", "invoices"])
def test_documents_cost_the_same_for_many(
    admin_client: Client,
    placed: Order,
    own: Order,
    document: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_invoices(orders=[placed.pk, own.pk])
    queries = {"packing_list": 5, "delivery_notes": 4, "invoices": 5}[document]
    for keys in (f"{own.pk}", f"{own.pk},{placed.pk}"):
        with django_assert_num_queries(queries):
            admin_client.get(DOCUMENTS, {"document": document, "orders": keys})


def test_what_cannot_be_printed(admin_client: Client, placed: Order) -> None:
    for document in ("packing_list", "delivery_notes", "invoices", "letter"):
        assert admin_client.get(DOCUMENTS, {"document": document, "orders": "0"}).status_code == 404
        assert admin_client.get(DOCUMENTS, {"document": document}).status_code == 404
    for orders, text in (
        ([], "Select the orders to print."),
        (range(1, 202), "More than 200 orders are selected: print fewer at once."),
    ):
        answer = admin_client.post(DOCUMENTS, {"document": "invoices", "orders": list(orders)})
        assert (answer.status_code, answer.headers["Location"]) == (302, URL)
        assert messages_of(answer)[-1] == ("warning", text)
    keys = ",".join(map(str, range(placed.pk, placed.pk + 201)))
    for document in ("packing_list", "delivery_notes", "invoices"):
        answer = admin_client.get(DOCUMENTS, {"document": document, "orders": keys})
        assert (answer.status_code, answer.headers["Location"]) == (302, URL)
    assert not Invoice.objects.exists()


# In a browser


def pages_of(browser: Chrome) -> int:
    """Return how many pages the document has that a browser shows."""
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    return len(re.findall(rb"/Type /Page\b", pdf))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_orders_are_packed_in_a_browser(
    browser: Chrome,
    signed_in: LiveServer,
    find: Callable[[str], WebElement],
    placed: Order,
    own: Order,
    gloves: Product,
) -> None:
    """Each delivery note and invoice has a page of its own, and goes on if it is long."""
    url = f"{signed_in}{URL}"
    main, before = browser.current_window_handle, set(browser.window_handles)

    def press(document: str) -> int:
        browser.get(url)
        find("a[href$=all]").click()
        find(f"button[value={document}]").click()
        (window,) = set(browser.window_handles) - before
        browser.switch_to.window(window)
        find("main")
        pages = pages_of(browser)
        browser.close()
        browser.switch_to.window(main)
        return pages

    assert [press("packing_list"), press("delivery_notes")] == [1, 2]
    OrderItem.objects.bulk_create(
        OrderItem(order=own, product=gloves, quantity=1, price_per_unit=Decimal(1)) for _ in range(60)
    )
    own.update_total()
    assert press("delivery_notes") > 2
    assert press("invoices") > 2
    browser.get(url)
    find(f"input[value='{placed.pk}']").click()
    find(f"#id_{placed.pk}-carrier").send_keys("DHL")
    find(f"#id_{placed.pk}-tracking_number").send_keys("JJD1", Keys.ENTER)  # as a scanner does
    find("input[value='Mark as shipped']").click()
    assert find(".messagelist .success").text == "1 order is shipped now."
    delivery = Delivery.objects.get()
    assert (delivery.carrier, delivery.tracking_number) == ("DHL", "JJD1")
    rows = browser.find_elements(By.CSS_SELECTOR, "#to_pack tbody tr")
    assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == [str(own.pk)]
