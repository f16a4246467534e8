"""What the list of orders is filtered by, and what is found adds up to."""

import re
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from itertools import product as combinations
from urllib.parse import parse_qs

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from shop.models import Category, Customer, Order, Payment, Product
from tests.admin.conftest import Clerk
from tests.admin.test_admin import NONSENSE, keys_of
from tests.admin.test_forms import errors_of

LIST = "/admin/shop/order/"


@pytest.fixture
def orders(deborah: Customer, gloves: Product, computer: Product) -> dict[str, int]:
    """Four orders of Deborah's, by what is in them, on four days."""
    today = timezone.localdate()
    made = {}
    for days, name, products in (
        (0, "gloves", [gloves]),
        (6, "computer", [computer]),
        (7, "both", [gloves, computer]),
        (400, "nothing", []),
    ):
        total = sum(product.price for product in products)
        order = Order.objects.create(
            customer=deborah, order_date=today - timedelta(days=days), total_amount=total
        )
        for product in products:
            # Two lines of it are one order.
            for _ in range(2):
                order.items.create(product=product, quantity=1, price_per_unit=product.price)
        made[name] = order.pk
    return made


def found(client: Client, orders: dict[str, int], **parameters: str | int) -> list[str]:
    """Return which of the orders a list shows."""
    names = {key: name for name, key in orders.items()}
    return [names[int(str(key))] for key in keys_of(client, Order, **parameters)]


def links(client: Client, url: str = LIST) -> dict[str, str]:
    """Return where the links among the filters lead, by their labels."""
    page = client.get(url).content.decode().partition('id="changelist-filter"')[2]
    return {label: unescape(href) for href, label in re.findall(r'<a href="([^"]*)">([^<]*)</a>', page)}


def total(client: Client, **parameters: str | int) -> str:
    page = client.get(LIST, parameters).content.decode()
    text = re.search(r'<p class="total">(.*?)</p>', page)
    return text[1] if text else ""


# Days


def test_days(admin_client: Client, orders: dict[str, int]) -> None:
    today = timezone.localdate()
    week = str(today - timedelta(days=6))
    assert found(admin_client, orders, **{"from": str(today)}) == ["gloves"]
    assert found(admin_client, orders, **{"from": week}) == ["gloves", "computer"]
    assert found(admin_client, orders, to=week) == ["computer", "both", "nothing"]
    assert found(admin_client, orders, **{"from": week, "to": week}) == ["computer"]
    assert found(admin_client, orders, **{"from": "", "to": ""}) == list(orders)
    assert found(admin_client, orders, **{"from": str(today), "to": week}) == []


def test_days_by_a_click(admin_client: Client, orders: dict[str, int]) -> None:
    today = timezone.localdate()
    there = links(admin_client, f"{LIST}?q=bruen&p=1")
    for label, first in (
        ("Today", today),
        ("Last 7 days", today - timedelta(days=6)),
        ("This month", today.replace(day=1)),
    ):
        query = parse_qs(there[label].removeprefix("?"))
        assert query == {"from": [str(first)], "to": [str(today)], "q": ["bruen"]}
        page = admin_client.get(LIST + there[label]).content.decode()
        assert f'<li class="selected"><a href="{there[label].replace("&", "&amp;")}">{label}</a>' in page
        for name, day in (("from", first), ("to", today)):
            assert re.search(f'<input type="date" name="{name}" value="{day}"', page)


def test_the_first_and_the_last_day_of_all(admin_client: Client, orders: dict[str, int]) -> None:
    Order.objects.filter(pk=orders["nothing"]).update(order_date=date.max)
    assert found(admin_client, orders, **{"from": "9999-12-31"}) == ["nothing"]
    assert found(admin_client, orders, **{"from": "0001-01-01", "to": "9999-12-31"})[0] == "nothing"


@pytest.mark.parametrize(
    "day", ["2025-02-30", "10000-01-01", "NaN", "01.02.2025", "0000-00-00", "now", "1" * 5000, "²"]
)
@pytest.mark.parametrize("name", ["from", "to"])
def test_a_day_that_is_none(admin_client: Client, orders: dict[str, int], name: str, day: str) -> None:
    response = admin_client.get(LIST, {name: day})
    assert errors_of(response) == ["Enter a valid date."]
    assert found(admin_client, orders, **{name: day}) == []


# Products and categories


def test_products_by_their_number(
    admin_client: Client, orders: dict[str, int], gloves: Product, home: Category
) -> None:
    for number in (str(gloves.pk), f"#{gloves.pk}", f" {gloves.pk} "):
        assert found(admin_client, orders, product=number) == ["gloves", "both"]
    page = admin_client.get(LIST, {"product": gloves.pk}).content.decode()
    assert "<p>Elegant Marble Gloves</p>" in page
    mug = Product.objects.create(name="Mug", price=1, category=home)
    assert found(admin_client, orders, product=mug.pk) == []


@pytest.mark.parametrize("number", ["0", "-1", "1" * 30, "9" * 5000, "abc", "NaN", "1e3", "##1", "²"])
def test_a_product_that_is_none(admin_client: Client, orders: dict[str, int], number: str) -> None:
    assert errors_of(admin_client.get(LIST, {"product": number})) == ["No product has this number."]
    assert found(admin_client, orders, product=number) == []


def test_categories(
    admin_client: Client, orders: dict[str, int], home: Category, electronics: Category, garden: Category
) -> None:
    assert found(admin_client, orders, category=home.pk) == ["gloves", "both"]
    assert found(admin_client, orders, category=electronics.pk) == ["computer", "both"]
    assert found(admin_client, orders, category=garden.pk) == []
    page = admin_client.get(LIST, {"category": home.pk}).content.decode()
    options = re.findall(
        r'<option value="(\d*)"( selected)?>(\w+)</option>', page.partition("By category")[2]
    )
    assert options == [
        ("", "", "Any"),
        (str(electronics.pk), "", "Electronics"),
        (str(garden.pk), "", "Garden"),
        (str(home.pk), " selected", "Home"),
    ]


@pytest.mark.parametrize("key", ["0", "1" * 30, "9" * 5000, "abc"])
def test_a_category_that_is_none(admin_client: Client, orders: dict[str, int], key: str) -> None:
    text = "Select a valid choice. That choice is not one of the available choices."
    assert errors_of(admin_client.get(LIST, {"category": key})) == [text]
    assert found(admin_client, orders, category=key) == []


# Paid, and all together


def test_paid(admin_client: Client, orders: dict[str, int]) -> None:
    for name, status in (
        ("gloves", "paid"),
        ("computer", "open"),
        ("both", "disputed"),
        ("nothing", "failed"),
    ):
        Payment.objects.create(
            order_id=orders[name], provider="test", status=status, amount=1, currency="EUR"
        )
    assert found(admin_client, orders, paid="yes") == ["gloves", "both"]
    assert found(admin_client, orders, paid="no") == ["computer", "nothing"]
    assert found(admin_client, orders, paid="zzz") == []
    Order.objects.filter(pk=orders["computer"]).update(status="completed")
    Order.objects.filter(pk=orders["nothing"]).update(status="cancelled")
    assert found(admin_client, orders, paid="no") == []


def test_filters_meet(
    admin_client: Client, orders: dict[str, int], gloves: Product, home: Category, deborah: Customer
) -> None:
    """A form keeps what else the list is filtered, searched and sorted by; the page does not stay."""
    today = str(timezone.localdate())
    Order.objects.filter(pk=orders["both"]).update(status="shipped")
    asked: dict[str, str | int] = {"product": gloves.pk, "category": home.pk}
    asked |= {"status__exact": "pending", "paid": "no", "to": today}
    assert found(admin_client, orders, customer__exact=deborah.pk, **asked) == ["gloves"]
    page = admin_client.get(LIST, {**asked, "q": "bruen", "o": "1", "p": "1"}).content.decode()
    form = page.partition("By product")[2].partition("</form>")[0]
    assert re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)"', form) == [
        ("category", str(home.pk)),
        ("status__exact", "pending"),
        ("paid", "no"),
        ("to", today),
        ("q", "bruen"),
        ("o", "1"),
    ]


def test_an_action_meets_what_is_found_alone(
    admin_client: Client, orders: dict[str, int], gloves: Product
) -> None:
    """If a value is refused, that is nothing."""
    selection = {"action": "ship", "select_across": "1", "index": "0", "_selected_action": orders["nothing"]}
    for query in ("from=2025-02-30", "product=0", f"product={gloves.pk}"):
        assert admin_client.post(f"{LIST}?{query}", selection).status_code == 302
    shipped = Order.objects.filter(status="shipped").values_list("pk", flat=True)
    assert sorted(shipped) == [orders["gloves"], orders["both"]]


def test_what_stands_in_the_url_is_text(admin_client: Client, orders: dict[str, int]) -> None:
    bad = '"><script>alert(1)</script>'
    parameters = dict.fromkeys(("from", "to", "product", "category", "paid", "q", "status__exact"), bad)
    page = admin_client.get(LIST, parameters).content.decode()
    assert "<script>alert(1)" not in page


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_nonsense(admin_client: Client, orders: dict[str, int]) -> None:
    for name, value in combinations(("from", "to", "product", "category", "paid"), NONSENSE):
        assert admin_client.get(LIST, {name: value}).status_code in (200, 400), (name, value)


# What it adds up to


def test_the_total_of_what_is_found(admin_client: Client, orders: dict[str, int], gloves: Product) -> None:
    assert total(admin_client) == ""
    assert total(admin_client, product=gloves.pk) == "2 orders, 841.33 in all"
    assert total(admin_client, product=gloves.pk, to=str(timezone.localdate() - timedelta(days=1))) == (
        "1 order, 605.34 in all"
    )
    assert total(admin_client, status__exact="cancelled") == "0 orders, 0.00 in all"
    assert total(admin_client, product="0") == "0 orders, 0.00 in all"
    Order.objects.filter(pk=orders["nothing"]).update(total_amount=Decimal("1234567.50"))
    assert total(admin_client, q=f"#{orders['nothing']}") == "1 order, 1,234,567.50 in all"


def test_the_total_costs_no_query_of_its_own(
    admin_client: Client,
    orders: dict[str, int],
    gloves: Product,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    """What is found is counted and added up once, however much it is."""
    costs = []
    for turn in range(2):
        with django_assert_max_num_queries(8) as queries:
            admin_client.get(f"{LIST}?product={gloves.pk}&paid=no&from=2020-01-01")
        assert sum("COUNT(" in query["sql"] for query in queries) == 1
        costs.append(len(queries))
        for number in range(50):
            customer = Customer.objects.create(
                first_name="Ann", last_name="Lee", email=f"{turn}-{number}@example.com"
            )
            order = Order.objects.create(customer=customer)
            order.items.create(product=gloves, quantity=1, price_per_unit=1)
            Category.objects.create(category_name=f"Category {turn}-{number}")
    assert costs[0] == costs[1]


def test_viewers_filter_too(clerk: Clerk, orders: dict[str, int], gloves: Product) -> None:
    assert found(clerk("view_order"), orders, product=gloves.pk) == ["gloves", "both"]


@pytest.mark.parametrize("term", ["{}", "#{}", " {} ", " #{}"])
def test_a_number_is_found_as_it_is_typed(
    admin_client: Client, orders: dict[str, int], gloves: Product, term: str
) -> None:
    assert found(admin_client, orders, q=term.format(orders["both"])) == ["both"]
    assert keys_of(admin_client, Product, q=term.format(gloves.pk)) == [gloves.pk]
    names = {"app_label": "shop", "model_name": "orderitem", "field_name": "product"}
    results = admin_client.get("/admin/autocomplete/", names | {"term": term.format(gloves.pk)}).json()
    assert [result["text"] for result in results["results"]] == ["Elegant Marble Gloves"]
