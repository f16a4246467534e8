"""manage.py load_sample_data --scale: a shop of any size around the sample, always the same, or nothing."""

import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import Count, F, Max, Min, Model, Sum
from django.test import Client

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product, ProductSales
from tests import BACKEND
from tests.support.serving import OTHER_DATABASE, command_environment

LOADED_2000 = "Loaded 22 categories, 120 products, 400 customers, 2000 orders, 200 carts.\n"
MODELS: list[type[Model]] = [Category, Product, Customer, Order, OrderItem, Cart, CartItem]


def load(*arguments: str, **options: Any) -> str:
    output = StringIO()
    call_command("load_sample_data", *arguments, stdout=output, **options)
    return output.getvalue()


def counts() -> list[int]:
    return [model._default_manager.count() for model in MODELS]


def rows(of: dict[type[Model], int] | None = None) -> dict[type[Model], list[Any]]:
    """The rows of every table, or the first so many of them."""
    return {
        model: list(model._default_manager.order_by("pk").values()[: of[model] if of else None])
        for model in MODELS
    }


def empty() -> None:
    tables = ", ".join(f'"{model._meta.db_table}"' for model in MODELS)
    with connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE {tables} CASCADE")


def manage(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start manage.py on the database of the tests."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=BACKEND,
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.django_db
def test_the_sample_is_inside_to_the_letter(client: Client) -> None:
    load()
    sample = rows()
    paths = ("order/1/", "customer/1/orders/", "customer/1/cart/")
    answers = [client.get(f"/shop/api/{path}").json() for path in paths]
    empty()
    assert load(scale=2000) == LOADED_2000
    assert rows({model: len(those) for model, those in sample.items()}) == sample
    assert [client.get(f"/shop/api/{path}").json() for path in paths] == answers


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        (300, [22, 120, 100, 300, 804, 50, 115]),
        (301, [22, 120, 100, 301, 805, 50, 115]),
    ],
)
def test_the_proportions(orders: int, expected: list[int]) -> None:
    load(scale=orders)
    assert counts() == expected


@pytest.mark.slow
@pytest.mark.django_db
def test_every_total_is_the_sum_of_its_lines() -> None:
    load(scale=2000)
    assert counts() == [22, 120, 400, 2000, 5932, 200, 492]
    sums = Order.objects.annotate(sum=Sum(F("items__quantity") * F("items__price_per_unit")))
    assert sums.filter(sum=F("total_amount")).count() == 2000


@pytest.mark.slow
@pytest.mark.django_db
def test_the_same_number_gives_the_same_rows() -> None:
    load(scale=2000)
    first = rows()
    empty()
    load(scale=2000)
    assert rows() == first


@pytest.mark.slow
@pytest.mark.django_db
def test_what_sells_and_who_buys_is_uneven() -> None:
    load(scale=4000)
    assert counts() == [22, 200, 800, 4000, 11763, 400, 945]
    sold = sorted(Product.objects.annotate(lines=Count("order_items")).values_list("lines", flat=True))
    assert (sum(sold[-20:]), sum(sold), sold[100], sold[0]) == (5012, 11763, 36, 6)
    bought = sorted(Customer.objects.annotate(placed=Count("orders")).values_list("placed", flat=True))
    assert (bought.count(0), bought[400], bought[-1]) == (57, 3, 59)
    assert Product.objects.low_stock().count() == 25
    statuses = Order.objects.values_list("status").annotate(Count("pk"))
    assert dict(statuses) == {
        "completed": 3617,
        "cancelled": 232,
        "pending": 62,
        "shipped": 49,
        "processing": 40,
    }
    sizes = OrderItem.objects.values("order").annotate(lines=Count("pk")).values_list("lines", flat=True)
    assert (min(sizes), max(sizes)) == (1, 5)
    years = Order.objects.values_list("order_date__year").annotate(Count("pk"))
    assert dict(years) == {2022: 401, 2023: 829, 2024: 1188, 2025: 1582}
    dates = Order.objects.aggregate(first=Min("order_date"), last=Max("order_date"))
    assert dates == {"first": date(2022, 4, 12), "last": date(2025, 11, 26)}


@pytest.mark.slow
@pytest.mark.django_db
def test_the_ids_go_on_and_the_planner_knows_the_tables() -> None:
    load(scale=2000)
    category = Category.objects.create(category_name="New")
    product = Product.objects.create(name="New", price=1, category=category)
    customer = Customer.objects.create(first_name="A", last_name="B", email="a@b.example", password="!")
    order = Order.objects.create(customer=customer)
    item = OrderItem.objects.create(order=order, product=product, quantity=1, price_per_unit=1)
    cart = Cart.objects.create(customer=customer)
    cart_item = CartItem.objects.create(cart=cart, product=product, quantity=1)
    new = (category, product, customer, order, item, cart, cart_item)
    assert [row.pk for row in new] == [23, 121, 401, 2001, 5933, 201, 493]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples FROM pg_class "
            "WHERE oid IN ('\"order\"'::regclass, 'order_item'::regclass) ORDER BY reltuples"
        )
        assert cursor.fetchall() == [(2000,), (5932,)]


@pytest.mark.django_db
@pytest.mark.parametrize("orders", [-1, 0, 299, 700_000_001])
def test_a_size_out_of_bounds_is_one_line(orders: int) -> None:
    with pytest.raises(CommandError, match=f"^--scale must be from 300 to 700000000, not {orders}$"):
        load(scale=orders)
    assert not any(counts())


@pytest.mark.django_db
def test_a_size_that_is_no_number_is_one_line() -> None:
    with pytest.raises(CommandError, match=r"^Error: argument --scale: invalid int value: 'many'$"):
        load("--scale", "many")


@pytest.mark.django_db
def test_force_is_refused() -> None:
    with pytest.raises(CommandError, match=r"^--scale fills an empty shop: it does not go with --force$"):
        load(scale=2000, force=True)
    assert not any(counts())


@pytest.mark.django_db
def test_without_tqdm_it_says_so_and_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "shop.sample.scale", raising=False)
    with pytest.raises(CommandError, match=r"^--scale needs tqdm: install the dev dependencies$"):
        load(scale=2000)
    assert not any(counts())


@pytest.mark.django_db
def test_a_shop_with_data_is_left_alone(gloves: Product) -> None:
    assert load(scale=2000) == "The shop holds data: nothing added (--force adds the sample beside it).\n"
    assert counts() == [1, 1, 0, 0, 0, 0, 0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_copy_leaves_nothing() -> None:
    with manage("load_sample_data", "--scale", "100000") as process:
        try:
            deadline = time.monotonic() + 60
            copying = False
            with connection.cursor() as cursor:
                while not copying:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                    cursor.execute(
                        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'COPY order_item%' "
                        "AND datname = current_database())"
                    )
                    (copying,) = cursor.fetchone()
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 130
    assert not any(counts())


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_terminal_shows_the_progress_and_a_pipe_does_not() -> None:
    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (24, 80))
    process = manage("load_sample_data", "--scale", "2000", stderr=stderr)
    os.close(stderr)
    assert process.communicate(timeout=60)[0] == LOADED_2000
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "100%" in shown
    assert "2150/2150" in shown
    empty()
    assert manage("load_sample_data", "--scale", "2000").communicate(timeout=60) == (LOADED_2000, "")


@pytest.mark.slow
@pytest.mark.django_db
def test_the_sales_are_added_up_then_and_kept_again_afterwards() -> None:
    load(scale=2000)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT product_id, quantity, revenue FROM product_sales WHERE quantity > 0 ORDER BY 1"
        )
        kept = cursor.fetchall()
        lines = "SELECT product_id, sum(quantity), sum(quantity * price_per_unit) FROM order_item GROUP BY 1"
        cursor.execute(f"{lines} ORDER BY 1")
        assert kept == cursor.fetchall()
    (sold,) = (quantity for product, quantity, _ in kept if product == 1)
    OrderItem.objects.create(order_id=1, product_id=1, quantity=7, price_per_unit=1)
    sales = ProductSales.objects.get(product_id=1)
    assert (sales.main, sales.quantity) == (True, sold + 7)


def relay(listener: socket.socket) -> None:
    """Pass one client on to PostgreSQL, but read nothing for 3 s after 300 kB."""
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as ours:
        server = socket.socket(ours.family)
        server.connect(ours.getpeername())
    client, _ = listener.accept()

    def answers() -> None:
        with suppress(ConnectionError):
            while data := server.recv(65536):
                client.sendall(data)

    back = threading.Thread(target=answers)
    back.start()
    passed = 0
    with suppress(ConnectionError):
        while data := client.recv(4096):
            server.sendall(data)
            if passed < 300_000 <= passed + len(data):
                time.sleep(3)
            passed += len(data)
    server.shutdown(socket.SHUT_WR)
    back.join()
    client.close()
    server.close()


@pytest.mark.django_db
@pytest.mark.slow
def test_a_server_may_take_its_time_to_read(migrated_database: Any) -> None:
    environment = command_environment(OTHER_DATABASE)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    environment["DATABASE_HOST"], port = listener.getsockname()
    environment["DATABASE_PORT"] = str(port)
    command = [sys.executable, "manage.py", "load_sample_data", "--scale", "20000"]
    process = subprocess.Popen(
        command, cwd=BACKEND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with listener:
        relay(listener)
    out, err = process.communicate(timeout=60)
    loaded = "Loaded 22 categories, 1000 products, 4000 customers, 20000 orders, 2000 carts.\n"
    assert (process.returncode, out, err) == (0, loaded, "")
