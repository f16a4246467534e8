"""The stock follows the lines of orders that are not cancelled, whichever page of the admin writes them."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop.catalog.stock import TAKE
from shop.models import Category, Customer, Order, OrderHistory, OrderItem, Product
from tests.admin.test_actions import confirm, delete_url
from tests.admin.test_forms import ADDRESS, add_url, change_url, errors_of, new_line, open_form, save
from tests.support.races import meanwhile
from tests.support.rows import stock_of

either_way = pytest.mark.parametrize("way", ["page", "action"])
LIVE = ["pending", "processing", "shipped", "completed"]


def delete(client: Client, way: str, obj: Any) -> None:
    answer = client.post(delete_url(obj), {"post": "yes"}) if way == "page" else confirm(client, obj)
    assert answer.status_code == 302
    assert not type(obj).objects.filter(pk=obj.pk).exists()


# The order's page. The order has two gloves, and 58 are left; there are two computers.


@pytest.mark.parametrize("status", LIVE)
@pytest.mark.parametrize(
    ("change", "gloves_left", "computers_left"),
    [
        ({"items-0-quantity": "5"}, 55, 2),
        ({"items-0-quantity": "60"}, 0, 2),
        ({"items-0-quantity": "1"}, 59, 2),
        ({"items-0-price_per_unit": "1.00"}, 58, 2),
        ({"items-0-DELETE": "on"}, 60, 2),
        ({"items-0-product": "computer"}, 60, 0),
        ({"items-0-product": "computer", "items-0-quantity": "1"}, 60, 1),
    ],
)
def test_a_changed_line(
    admin_client: Client,
    order: Order,
    gloves: Product,
    computer: Product,
    status: str,
    change: dict[str, str],
    gloves_left: int,
    computers_left: int,
) -> None:
    Order.objects.update(status=status)
    form = open_form(admin_client, change_url(order)) | change
    if "items-0-product" in change:
        form["items-0-product"] = str(computer.pk)
    save(admin_client, change_url(order), form)
    assert (stock_of(gloves), stock_of(computer)) == (gloves_left, computers_left)


def test_an_added_line(admin_client: Client, order: Order, gloves: Product, computer: Product) -> None:
    form = new_line(open_form(admin_client, change_url(order)), product=computer.pk, quantity=2)
    save(admin_client, change_url(order), form)
    assert (stock_of(gloves), stock_of(computer)) == (58, 0)


def test_a_new_order(admin_client: Client, deborah: Customer, gloves: Product, computer: Product) -> None:
    form = open_form(admin_client, add_url(Order)) | {"customer": str(deborah.pk), **ADDRESS}
    for product, quantity in ((gloves, 3), (computer, 1), (gloves, 4)):
        form = new_line(form, product=product.pk, quantity=quantity)
    save(admin_client, add_url(Order), form)
    assert (stock_of(gloves), stock_of(computer)) == (51, 1)


def test_lines_of_a_cancelled_order(admin_client: Client, order: Order, gloves: Product) -> None:
    Order.objects.update(status="cancelled")
    form = open_form(admin_client, change_url(order)) | {"items-0-quantity": "500"}
    save(admin_client, change_url(order), new_line(form, product=gloves.pk, quantity=7))
    save(
        admin_client, change_url(order), open_form(admin_client, change_url(order)) | {"items-1-DELETE": "on"}
    )
    assert order.items.get().quantity == 500
    assert stock_of(gloves) == 58


def test_lines_of_an_order_that_is_cancelled_while_its_page_is_open(
    admin_client: Client, placed: Order, gloves: Product
) -> None:
    form = open_form(admin_client, change_url(placed)) | {"items-1-quantity": "50"}
    admin_client.post("/admin/shop/order/", {"action": "cancel", "_selected_action": [placed.pk]})
    save(admin_client, change_url(placed), form)
    assert stock_of(gloves) == 58
    assert placed.items.get(product=gloves).quantity == 50


def test_what_does_not_touch_the_lines(admin_client: Client, order: Order, gloves: Product) -> None:
    form = open_form(admin_client, change_url(order)) | {"order_date": "2026-01-02"}
    with CaptureQueriesContext(connection) as queries:
        save(admin_client, change_url(order), form)
    assert not [query for query in queries if "UPDATE product" in query["sql"]]
    assert stock_of(gloves) == 58


@pytest.mark.parametrize("status", ["pending", "completed"])
def test_too_little_is_a_message(
    admin_client: Client, order: Order, gloves: Product, computer: Product, status: str
) -> None:
    Order.objects.update(status=status)
    form = open_form(admin_client, change_url(order)) | {"items-0-quantity": "61", "order_date": "2026-01-02"}
    form = new_line(form, product=computer.pk, quantity=3)
    response = admin_client.post(change_url(order), form)
    assert response.status_code == 200
    assert errors_of(response) == [
        "There is not enough in stock: Elegant Marble Gloves (59 more wanted, 58 available), "
        "Handmade Wooden Computer (3 more wanted, 2 available)."
    ]
    assert (stock_of(gloves), stock_of(computer)) == (58, 2)
    assert order.items.get().quantity == 2
    order.refresh_from_db()
    assert (str(order.order_date), str(order.total_amount)) == ("2025-11-26", "471.98")


def test_too_little_for_a_new_order(admin_client: Client, deborah: Customer, computer: Product) -> None:
    """Two lines of one product want it together."""
    form = open_form(admin_client, add_url(Order)) | {"customer": str(deborah.pk), **ADDRESS}
    form = new_line(new_line(form, product=computer.pk, quantity=2), product=computer.pk, quantity=1)
    assert errors_of(admin_client.post(add_url(Order), form)) == [
        "There is not enough in stock: Handmade Wooden Computer (3 more wanted, 2 available)."
    ]
    assert not Order.objects.exists()
    assert not OrderHistory.objects.exists()
    assert stock_of(computer) == 2


def test_of_many_products_ten_are_named(admin_client: Client, order: Order, home: Category) -> None:
    form = open_form(admin_client, change_url(order))
    for n in range(12):
        product = Product.objects.create(name=f"Mug {n}", price=1, category=home)
        form = new_line(form, product=product.pk, quantity=1)
    [error] = errors_of(admin_client.post(change_url(order), form))
    assert error.startswith("There is not enough in stock: Mug 0 (1 more wanted, 0 available), Mug 1 (")
    assert error.endswith(", Mug 9 (1 more wanted, 0 available) and 2 more.")


def test_more_than_a_column_can_hold(admin_client: Client, order: Order, gloves: Product) -> None:
    form = open_form(admin_client, change_url(order))
    for _ in range(2):
        form = new_line(form, product=gloves.pk, quantity=2**31 - 1, price_per_unit="0")
    assert errors_of(admin_client.post(change_url(order), form)) == [
        "There is not enough in stock: Elegant Marble Gloves (4294967294 more wanted, 58 available)."
    ]


@pytest.mark.parametrize("way", ["line", "cancel"])
def test_more_comes_back_than_a_column_can_hold(
    admin_client: Client, order: Order, gloves: Product, way: str
) -> None:
    """Which no shop sells; psql may have stored it."""
    Order.objects.update(status="pending")
    OrderItem.objects.update(quantity=2**31 - 1, price_per_unit=0)
    form = open_form(admin_client, change_url(order))
    form |= {"items-0-DELETE": "on"} if way == "line" else {"_cancel": "Cancel"}
    save(admin_client, change_url(order), form)
    assert stock_of(gloves) == 2**31 - 1


def test_a_save_costs_the_same_queries_at_1_and_at_50_lines(
    admin_client: Client, order: Order, home: Category
) -> None:
    products = Product.objects.bulk_create(
        Product(name=str(n), price=1, stock=5, category=home) for n in range(50)
    )
    costs = []
    for number in (1, 50):
        order.items.all().delete()
        OrderItem.objects.bulk_create(
            OrderItem(order=order, product=product, quantity=1, price_per_unit=1)
            for product in products[:number]
        )
        form = open_form(admin_client, change_url(order))
        form |= {f"items-{n}-quantity": "3" for n in range(number)}
        with CaptureQueriesContext(connection) as queries:
            save(admin_client, change_url(order), form)
        costs.append(len(queries))
        assert sum(f"EXECUTE {TAKE.name}" in query["sql"] for query in queries) == 1
    assert costs == [37, 37]
    assert set(Product.objects.filter(pk__in=[product.pk for product in products]).values_list("stock")) == {
        (3,),
        (1,),
    }


# Lines on their own


@either_way
@pytest.mark.parametrize(("status", "left"), [*((status, 60) for status in LIVE), ("cancelled", 58)])
def test_a_deleted_line(
    admin_client: Client, order: Order, gloves: Product, way: str, status: str, left: int
) -> None:
    Order.objects.update(status=status)
    delete(admin_client, way, order.items.get())
    assert stock_of(gloves) == left


def test_deleted_lines_of_several_orders(
    admin_client: Client, order: Order, gloves: Product, computer: Product
) -> None:
    cancelled = Order.objects.create(customer=order.customer, status="cancelled")
    pending = Order.objects.create(customer=order.customer)
    for parent in (cancelled, pending):
        for product, quantity in ((gloves, 3), (computer, 4)):
            parent.items.create(product=product, quantity=quantity, price_per_unit=1)
    stays = pending.items.get(product=gloves)
    confirm(admin_client, *OrderItem.objects.exclude(pk=stays.pk))
    assert (stock_of(gloves), stock_of(computer)) == (60, 6)
    assert OrderItem.objects.get() == stays


# Whole orders


@either_way
@pytest.mark.parametrize(
    ("status", "left"),
    [("pending", 60), ("processing", 60), ("shipped", 58), ("completed", 58), ("cancelled", 58)],
)
def test_a_deleted_order_gives_back_what_was_not_sent(
    admin_client: Client, order: Order, gloves: Product, way: str, status: str, left: int
) -> None:
    Order.objects.update(status=status)
    delete(admin_client, way, order)
    assert stock_of(gloves) == left


def test_deleted_orders_give_back_together(
    admin_client: Client, deborah: Customer, gloves: Product, computer: Product
) -> None:
    orders = []
    for status in (*LIVE, "cancelled"):
        orders.append(Order.objects.create(customer=deborah, status=status))
        for product in (computer, gloves):
            orders[-1].items.create(product=product, quantity=4, price_per_unit=1)
    with CaptureQueriesContext(connection) as queries:
        assert confirm(admin_client, *orders).status_code == 302
    assert (stock_of(gloves), stock_of(computer)) == (66, 10)
    assert sum(f"EXECUTE {TAKE.name}" in query["sql"] for query in queries) == 1


@pytest.mark.django_db(transaction=True)
def test_an_order_that_comes_meanwhile_is_none_of_those_deleted(
    admin_client: Client, order: Order, deborah: Customer
) -> None:
    """All that a search finds are deleted, but for what nobody has counted and locked."""
    response = meanwhile(
        f'SELECT FROM "order" WHERE order_id = {order.pk} FOR UPDATE',
        lambda: delete_all(admin_client, f"/admin/shop/order/?q={deborah.last_name}", order.pk),
        f'INSERT INTO "order" (customer_id) VALUES ({deborah.pk})',
    )
    assert response.status_code == 302
    assert [left.pk for left in Order.objects.all()] != [order.pk]
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_line_that_comes_meanwhile_is_none_of_those_deleted(
    admin_client: Client, order: Order, gloves: Product, home: Category
) -> None:
    line = order.items.get(product=gloves)
    response = meanwhile(
        f'SELECT FROM "order" WHERE order_id = {order.pk} FOR UPDATE',
        lambda: delete_all(admin_client, f"/admin/shop/orderitem/?q={gloves.name}", line.pk),
        "INSERT INTO order_item (order_id, product_id, quantity, price_per_unit) "
        f"VALUES ({order.pk}, {gloves.pk}, 1, 7)",
    )
    assert response.status_code == 302
    assert order.items.get(product=gloves).price_per_unit == 7


def delete_all(client: Client, url: str, selected: int) -> Any:
    """Say yes to deleting all that the list shows."""
    fields = {"action": "delete_selected", "select_across": "1", "post": "yes", "index": "0"}
    return client.post(url, fields | {"_selected_action": str(selected)})
