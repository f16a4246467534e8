"""The start page of the admin: what it says, to whom, and where its numbers lead."""

import re
from datetime import date
from decimal import Decimal
from html import unescape

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from shop.admin import start
from shop.admin.roles import ROLES
from shop.admin.start import Row, round_up, sales_context
from shop.models import Category, Customer, Job, Order, OrderItem, Payment, Product
from shop.orders.models import Delivery
from tests.admin.conftest import Clerk
from tests.support.rows import fill

pytestmark = pytest.mark.django_db

OF_THE_CALLER = {"django_session", "auth_user", "auth_permission"}
"""What any page of the admin asks, whatever it shows."""


def page_of(client: Client) -> str:
    response = client.get("/admin/")
    assert response.status_code == 200
    return response.content.decode()


def start_of(page: str) -> str:
    """What is above the tables."""
    return page.partition('<div class="start">')[2].partition('<div id="content-main">')[0]


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub("<.*?>", " ", html)).split())


def tasks_of(client: Client) -> dict[str, str]:
    """What there is to do, each with where it leads; nothing for what is in order."""
    items = re.findall(r"<li>(.*?)</li>", start_of(page_of(client)), re.S)
    hrefs = [re.search('href="(.*?)"', item) for item in items]
    return {text_of(item): unescape(href[1]) if href else "" for item, href in zip(items, hrefs, strict=True)}


def tables_asked(client: Client) -> list[str]:
    """The table of each query of the page, but for those about who calls."""
    with CaptureQueriesContext(connection) as queries:
        page_of(client)
    tables = [re.search(r'FROM \(?(?:SELECT .*? FROM )?"(\w+)"', query["sql"]) for query in queries]
    found = [table[1] if table else "" for table in tables]
    return [table for table in found if table not in OF_THE_CALLER]


EVERYTHING_ASKED = ["order", "order", "order", "payment", "product", "product", "job", "django_admin_log"]


@pytest.fixture
def busy(deborah: Customer, gloves: Product, computer: Product, home: Category) -> None:
    """Something in each number of the page, today."""
    to_pack, sent, cancelled = (
        Order.objects.create(customer=deborah, status=status, total_amount=Decimal("1234.50"))
        for status in ("processing", "shipped", "cancelled")
    )
    OrderItem.objects.create(order=sent, product=gloves, quantity=1500, price_per_unit=1)
    Payment.objects.create(order=to_pack, provider="stripe", status="paid", amount=1, currency="EUR")
    for provider, status in (("stripe", "refund_failed"), ("invoice", "refunding"), ("stripe", "refunding")):
        Payment.objects.create(order=cancelled, provider=provider, status=status, amount=1, currency="EUR")
    Product.objects.create(name="Gone", price=1, stock=0, category=home)
    Job.objects.create(task="shop.jobs.gone", arguments={}, queue="default", status="dead")
    Job.objects.create(task="shop.jobs.gone", arguments={}, queue="default", status="done")


def test_each_number_leads_to_its_list(admin_client: Client, busy: None) -> None:
    assert tasks_of(admin_client) == {
        "1 to pack": "/admin/shop/order/to_pack/",
        "1 unpaid": "/admin/shop/order/?paid=no",
        "2 payments in trouble": "/admin/shop/payment/?trouble=yes",
        "1 sold out": "/admin/shop/product/?stock=sold_out",
        "1 low on stock": "/admin/shop/product/?stock=low",
        "1 dead job": "/admin/shop/job/?status__exact=dead",
    }
    links = re.findall(r'<a href="(.*?)">(.*?)</a>', start_of(page_of(admin_client)))
    assert len(links) == 14
    for href, text in links:
        response = admin_client.get(unescape(href))
        assert response.status_code == 200, href
        rows = getattr((response.context or {}).get("cl"), "result_count", None)
        number = re.match(r"(?:<strong>)?(\d+)\b", text)
        if rows is not None and number and "product=" not in href:
            assert rows == int(number[1]), href


def test_of_one_it_says_one(admin_client: Client, busy: None) -> None:
    Payment.objects.filter(status="refund_failed").delete()
    assert {"1 payment in trouble", "1 dead job"} <= set(tasks_of(admin_client))


def test_an_empty_shop_is_quiet(admin_client: Client) -> None:
    assert set(tasks_of(admin_client).items()) == {
        (text, "")
        for text in (
            "Nothing to pack",
            "Nothing unpaid",
            "No payments in trouble",
            "Nothing sold out",
            "Nothing low on stock",
            "No dead jobs",
        )
    }
    shown = start_of(page_of(admin_client))
    assert "No orders in the last 30 days" in shown
    assert not re.search("<table|<svg|<a ", shown)


def test_what_is_beyond_counting(
    admin_client: Client, busy: None, home: Category, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "MOST", 2)
    assert "2 payments in trouble" in tasks_of(admin_client)
    fill(home, 3)
    assert "over 2 sold out" in tasks_of(admin_client)


def test_an_order_counts_on_the_day_it_has(admin_client: Client, placed: Order) -> None:
    today = timezone.localdate()
    assert placed.order_date == today
    link = f"/admin/shop/order/?from={today}&amp;to={today}"
    assert f'<th scope="row">Today</th><td class="number"><a href="{link}">1</a></td>' in page_of(
        admin_client
    )


THURSDAY = date(2026, 11, 26)


def order(customer: Customer, day: str, amount: str, status: str = "completed") -> None:
    Order.objects.create(customer=customer, order_date=day, total_amount=Decimal(amount), status=status)


def test_today_this_week_and_the_weeks_before(deborah: Customer) -> None:
    for day, amount in (
        ("2026-11-27", "1000"),  # tomorrow
        ("2026-11-26", "1"),
        ("2026-11-23", "2"),  # Monday
        ("2026-11-22", "4"),
        ("2026-11-16", "8"),
        ("2026-10-26", "16"),
        ("2026-10-25", "1000"),  # too long ago
    ):
        order(deborah, day, amount)
    order(deborah, "2026-11-26", "1234", "cancelled")
    rows = sales_context(THURSDAY, with_money=True)["periods"]
    assert [(row.when, row.orders, row.cancelled, row.revenue) for row in rows] == [
        ("Today", "2", "1", "1.00"),
        ("This week", "3", "1", "3.00"),
        ("Nov. 16 – Nov. 22", "2", "0", "12.00"),
        ("Nov. 9 – Nov. 15", "0", "0", "0.00"),
        ("Nov. 2 – Nov. 8", "0", "0", "0.00"),
        ("Oct. 26 – Nov. 1", "1", "0", "16.00"),
    ]
    assert rows[1] == Row(
        "This week",
        "3",
        "/admin/shop/order/?from=2026-11-23&to=2026-11-26",
        "1",
        "/admin/shop/order/?from=2026-11-23&to=2026-11-26&status__exact=cancelled",
        "3.00",
    )
    assert (rows[3].url, rows[3].url_of_cancelled) == ("", "")


def test_the_chart_has_cancelled_orders_apart(deborah: Customer) -> None:
    order(deborah, "2026-10-28", "100")
    order(deborah, "2026-10-29", "1000", "cancelled")
    order(deborah, "2026-11-26", "1200")
    order(deborah, "2026-11-26", "300.50", "cancelled")
    order(deborah, "2026-10-27", "9999")  # 30 days ago
    chart = sales_context(THURSDAY, with_money=True)["chart"]
    assert chart.scale == ["2,000", "1,000", "0"]
    assert chart.days == ["Oct. 28", "Nov. 26"]
    assert chart.revenue == "M0 1000V950h8V1000zM290 1000V400h8V1000z"
    assert chart.cancelled == "M10 1000V500h8V1000zM290 400V250h8V400z"
    assert len(chart.hints) == len(chart.rows) == 30
    assert chart.hints[0] == (0, "Wed, Oct. 28: 100.00, cancelled 0.00")
    assert chart.hints[-1] == (290, "Thu, Nov. 26: 1,200.00, cancelled 300.50")
    assert chart.rows[0].when == "Thu, Nov. 26"
    assert chart.text == (
        "From Oct. 28 to Nov. 26: 1,300.00, cancelled 1,300.50. The table below has each day."
    )


def test_orders_for_nothing_have_no_chart(deborah: Customer) -> None:
    order(deborah, "2026-11-26", "0")
    context = sales_context(THURSDAY, with_money=True)
    assert context["chart"] is None
    assert context["periods"][0].orders == "1"


@pytest.mark.parametrize(
    ("amount", "edge"), [("0.01", "0.01"), ("0.30", "0.5"), ("1", "1"), ("1.01", "2"), ("5001", "10000")]
)
def test_the_edge_of_the_chart_is_a_round_number(amount: str, edge: str) -> None:
    assert round_up(Decimal(amount)) == Decimal(edge)


def test_best_sellers_lead_to_the_product_and_its_orders(
    admin_client: Client, busy: None, gloves: Product
) -> None:
    shown = start_of(page_of(admin_client))
    assert f'<a href="/admin/shop/product/{gloves.pk}/change/">Elegant Marble Gloves</a>' in shown
    assert f'<a href="/admin/shop/order/?product={gloves.pk}">1,500</a>' in shown


def test_the_queries_are_the_same_at_few_and_at_many_rows(
    admin_client: Client, busy: None, deborah: Customer, gloves: Product, home: Category
) -> None:
    """Eight, but for those about the session and the user."""
    page_of(admin_client)
    assert tables_asked(admin_client) == EVERYTHING_ASKED
    fill(home, 1200)
    orders = Order.objects.bulk_create(
        Order(customer=deborah, status="processing", total_amount=10) for _ in range(1200)
    )
    OrderItem.objects.bulk_create(
        OrderItem(order=order, product=gloves, quantity=1, price_per_unit=10) for order in orders
    )
    Delivery.objects.bulk_create(Delivery(order=order, payment_provider="stripe") for order in orders)
    with CaptureQueriesContext(connection) as queries:
        assert tables_asked(admin_client) == EVERYTHING_ASKED
    assert sum("LIMIT 1001" in query["sql"] for query in queries) == 4
    assert {"over 1,000 to pack", "over 1,000 unpaid", "over 1,000 sold out"} <= set(tasks_of(admin_client))


SEES = {
    "Packing": (
        ["1 to pack", "1 sold out", "1 low on stock"],
        ["To do", "Orders", "Best sellers"],
        ["order", "order", "product", "product", "django_admin_log"],
    ),
    "Catalog": (
        ["1 sold out", "1 low on stock"],
        ["To do"],
        ["product", "django_admin_log"],
    ),
    "Service": (
        ["1 to pack", "1 unpaid", "2 payments in trouble", "1 sold out", "1 low on stock"],
        ["To do", "Orders", "Best sellers", "Revenue by day"],
        ["order", "order", "order", "payment", "product", "product", "django_admin_log"],
    ),
    "Manager": (
        ["1 to pack", "1 unpaid", "2 payments in trouble", "1 sold out", "1 low on stock", "1 dead job"],
        ["To do", "Orders", "Best sellers", "Revenue by day"],
        EVERYTHING_ASKED,
    ),
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_its_part_and_no_more_is_asked(role: str, client: Client, busy: None) -> None:
    call_command("ensure_roles")
    user = User.objects.create_user("clerk", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    tasks, headings, tables = SEES[role]
    assert list(tasks_of(client)) == tasks
    page = page_of(client)
    shown = start_of(page)
    assert re.findall("<h2 .*?>(.*?)</h2>", shown) == headings
    assert ("1,234.50" in shown) == ("Revenue by day" in headings)
    assert tables_asked(client) == tables
    assert "/admin/auth/" not in page
    for href in re.findall('href="(.*?)"', shown):
        assert client.get(unescape(href)).status_code == 200, href


def test_who_may_view_nothing_sees_no_part(clerk: Clerk, busy: None) -> None:
    client = clerk()
    assert text_of(start_of(page_of(client))) == ""
    assert tables_asked(client) == ["django_admin_log"]


def test_the_shop_stands_above_groups_and_users(admin_client: Client) -> None:
    assert re.findall(r'class="app-(\w+) module', page_of(admin_client)) == ["shop", "auth"]
    page = admin_client.get("/admin/shop/order/").content.decode()
    assert re.findall(r'class="app-(\w+) module', page) == ["shop", "auth"]
