"""Orders and carts of many lines: what they cost, and how many they may be."""

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop.admin.base import LineInline
from shop.admin.forms import MOST_IN_PAGE
from shop.models import Cart, CartItem, Category, Order, OrderItem, Product
from tests.admin.test_forms import FormParser, change_url, errors_of, new_line, open_form, save

both = pytest.mark.parametrize("name", ["order", "cart"])


def fill(parent: Any, category: Category, number: int) -> None:
    """Give an order or a cart so many lines, each of a product of its own."""
    products = Product.objects.bulk_create(
        Product(name=f"Mug {n}", price=1, stock=9, category=category) for n in range(number)
    )
    parent.items.all().delete()
    if isinstance(parent, Order):
        OrderItem.objects.bulk_create(
            OrderItem(order=parent, product=product, quantity=1, price_per_unit=1) for product in products
        )
    else:
        CartItem.objects.bulk_create(
            CartItem(cart=parent, product=product, quantity=1) for product in products
        )


def changes(parent: Any, form: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return a form as different people would send it."""
    lines = range(int(form["items-INITIAL_FORMS"]))
    products = [form[f"items-{n}-product"] for n in lines]
    return {
        "nothing": {},
        "quantities": {f"items-{n}-quantity": "2" for n in lines},
        "products": {f"items-{n}-product": products[n - 1] for n in lines},
        "wrong": {f"items-{n}-quantity": "0" for n in lines},
        "all deleted": {f"items-{n}-DELETE": "on" for n in lines},
    }


@pytest.mark.slow
@both
def test_a_page_costs_the_same_queries_at_2_and_at_40_lines(
    admin_client: Client, order: Order, cart: Cart, home: Category, name: str
) -> None:
    parent: Any = {"order": order, "cart": cart}[name]
    costs: list[dict[str, int]] = []
    for number in (2, 40):
        cost = {}
        for what in ("nothing", "quantities", "products", "wrong", "all deleted"):
            fill(parent, home, number)
            with CaptureQueriesContext(connection) as queries:
                form = open_form(admin_client, change_url(parent))
            cost["opening"] = len(queries)
            with CaptureQueriesContext(connection) as queries:
                admin_client.post(change_url(parent), form | changes(parent, form)[what])
            cost[what] = len(queries)
        costs.append(cost)
    assert costs[0] == costs[1]
    assert max(costs[0].values()) <= 37, costs


def test_new_lines_cost_the_same_queries_whatever_their_number(
    admin_client: Client, order: Order, home: Category
) -> None:
    products = [Product.objects.create(name=str(n), price=1, stock=9, category=home) for n in range(20)]
    costs = []
    for number in (1, 20):
        form = open_form(admin_client, change_url(order))
        for product in products[:number]:
            form = new_line(form, product=product.pk, quantity=1, price_per_unit="")
        with CaptureQueriesContext(connection) as queries:
            save(admin_client, change_url(order), form)
        costs.append(len(queries))
    assert costs[0] == costs[1]
    order.refresh_from_db()
    assert order.total_amount == Decimal("471.98") + 21


@pytest.mark.slow
def test_as_many_lines_as_allowed_can_be_saved(admin_client: Client, order: Order, home: Category) -> None:
    """All of them changed and ticked to be deleted, which makes the most fields."""
    fill(order, home, MOST_IN_PAGE)
    names = ("order", "product", "initial", "quantity", "initial", "price_per_unit", "initial", "DELETE")
    assert MOST_IN_PAGE * (len(names) + 1) < settings.DATA_UPLOAD_MAX_NUMBER_FIELDS - 100
    form = {"customer": str(order.customer_id), "order_date": "2025-11-26"}
    form |= {f"initial-{name}": value for name, value in form.items()} | {"order_date": "2025-11-27"}
    form |= {"items-TOTAL_FORMS": str(MOST_IN_PAGE), "items-INITIAL_FORMS": str(MOST_IN_PAGE)}
    for n, line in enumerate(order.items.order_by("pk")):
        cells = {"order_item_id": line.pk, "order": order.pk, "product": line.product_id, "DELETE": "on"}
        form |= {f"items-{n}-{name}": str(value) for name, value in cells.items()}
        for name in ("product", "quantity", "price_per_unit"):
            value = line.product_id if name == "product" else getattr(line, name)
            form |= {f"items-{n}-{name}": str(value), f"initial-items-{n}-{name}": str(value)}
    save(admin_client, change_url(order), form)
    order.refresh_from_db()
    assert (str(order.order_date), str(order.total_amount), order.items.count()) == ("2025-11-27", "0.00", 0)


@both
def test_one_line_too_many_is_said_before_anything_is_lost(
    admin_client: Client,
    order: Order,
    cart: Cart,
    home: Category,
    gloves: Product,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    parent: Any = {"order": order, "cart": cart}[name]
    assert LineInline.max_num == MOST_IN_PAGE
    monkeypatch.setattr(LineInline, "max_num", 3)
    fill(parent, home, 3)
    form = new_line(open_form(admin_client, change_url(parent)), product=gloves.pk, quantity=7)
    form |= {"items-0-quantity": "5"}
    response = admin_client.post(change_url(parent), form)
    assert errors_of(response) == ["There may be at most 3 lines here."]
    values = FormParser(response.content.decode()).values
    assert (values["items-0-quantity"], values["items-3-quantity"]) == ("5", "7")
    save(admin_client, change_url(parent), values | {"items-1-DELETE": "on"})
    assert list(parent.items.order_by("pk").values_list("product__name", "quantity")) == [
        ("Mug 0", 5),
        ("Mug 2", 1),
        ("Elegant Marble Gloves", 7),
    ]


@both
def test_a_page_leaves_out_lines_that_are_too_many(
    admin_client: Client, order: Order, cart: Cart, home: Category, name: str
) -> None:
    parent: Any = {"order": order, "cart": cart}[name]
    fill(parent, home, 1)
    with_line = open_form(admin_client, change_url(parent)) | {"items-0-quantity": "5"}
    fill(parent, home, MOST_IN_PAGE + 1)
    text = f"The {name} items are more than the 1000 that fit here. They have a page of their own."

    response = admin_client.post(change_url(parent), with_line)
    assert errors_of(response) == [text]
    assert not parent.items.exclude(quantity=1).exists()

    page = admin_client.get(change_url(parent)).content.decode()
    assert page.count(text) == 1
    form = FormParser(page).values
    assert "items-TOTAL_FORMS" not in form
    save(admin_client, change_url(parent), form)
    assert parent.items.count() == MOST_IN_PAGE + 1
    if name == "order":
        order.refresh_from_db()
        assert order.total_amount == MOST_IN_PAGE + 1
