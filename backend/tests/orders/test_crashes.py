"""Whatever dies in the middle of a checkout: the client asks again with its key, and there is one order."""

import http.client
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db import close_old_connections, connection
from django.test import Client

from shop.models import Cart, CartItem, Customer, IdempotencyKey, Order, Product
from shop.orders.books import faults
from tests import ROOT
from tests.support.calling import Caller, bearer
from tests.support.races import session, wait_for_waiters, wait_until
from tests.support.serving import Answer, Shop, serving
from tests.webshop.test_outage import database
from webshop.postgres import DATABASE, USER

BODY = {"expected_total": "1446.67"}


# The connection ---------------------------------------------------------------------------------------------


@contextmanager
def cut_after(statement: int) -> Iterator[list[str]]:
    """End this thread's connection on the server once so many statements are through; yield those."""
    statements: list[str] = []
    with session() as other:

        def cut() -> None:
            if len(statements) == statement and (driver := connection.connection):
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [driver.info.backend_pid])

        def run(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            result = execute(sql, *rest)
            statements.append(sql)
            cut()
            return result

        connection.ensure_connection()
        cut()
        with connection.execute_wrapper(run):
            yield statements


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_connection_ends_at_each_statement(ada: Customer, computer: Product, gloves: Product) -> None:
    Product.objects.update(stock=1000)
    buyer = Caller(Client(), bearer(ada))
    cart = Cart.objects.create(customer=ada)
    number, orders = 1, 0  # who calls is asked again on a new connection
    while True:
        cart.items.create(product=computer, quantity=2)
        cart.items.create(product=gloves, quantity=3)
        path, key = f"customer/{ada.pk}/orders/", f"after {number}"
        with cut_after(number) as statements:
            answer = buyer.post(path, BODY, Idempotency_Key=key)
        if answer.status_code == 201:
            break
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), number
        assert answer.json() == {"error": "The database is not available"}
        close_old_connections()  # as the next request does
        assert Order.objects.count() == orders
        assert cart.items.count() == 2
        orders += 1
        answer = buyer.post(path, BODY, Idempotency_Key=key)
        assert answer.status_code == 201
        assert "Idempotent-Replayed" not in answer.headers
        assert buyer.post(path, BODY, Idempotency_Key=key).content == answer.content
        assert Order.objects.count() == IdempotencyKey.objects.count() == orders
        assert not CartItem.objects.exists()
        assert set(Product.objects.values_list("stock", flat=True)) == {1000 - 2 * orders, 1000 - 3 * orders}
        number += 1
    assert number == len(statements) + 1  # after each, the last of which is before the commit
    assert number > 10
    assert faults() == []


# The processes ----------------------------------------------------------------------------------------------

# While the test holds this lock, a checkout that has done all but its commit waits in it.
HOLD_COMMIT = """
CREATE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON idempotency_key DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hold_commit()
"""

POINTS = {
    "the customer": "SELECT FROM customer FOR UPDATE",
    "the cart": "SELECT FROM cart FOR UPDATE",
    "the lines": "SELECT FROM cart_item FOR UPDATE",
    "the stock": "SELECT FROM product FOR UPDATE",
    "the commit": "SELECT pg_advisory_xact_lock(1)",
}
"""Where a checkout stands still, with what makes it wait there."""


def post(shop: Shop, path: str, headers: dict[str, str], body: Any) -> Answer:
    return shop.post(
        f"/shop/api/{path}", json.dumps(body).encode(), **headers, **{"Content-Type": "application/json"}
    )


def lose(ask: Callable[[], Answer], waiting: Callable[[], None], kill: Callable[[], None]) -> None:
    """Ask, and once the checkout waits kill somebody, so that no good answer comes.

    A busy machine may not let the shop connect in time: then it is asked again, as clients do after a 503.
    """
    answers: list[Answer] = []
    killed = threading.Event()

    def run() -> None:
        with suppress(http.client.HTTPException, OSError):
            while not killed.is_set() and all(answer.status == 503 for answer in answers):
                answers.append(ask())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        waiting()
    finally:
        killed.set()
        kill()
        thread.join()
        assert {answer.status for answer in answers} <= {503}, answers


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_server(ada: Customer, computer: Product, gloves: Product, tmp_path: Path) -> None:
    """What it had asked for goes on in PostgreSQL: an order that was about to be committed is placed."""
    Product.objects.update(stock=1000)
    cart = Cart.objects.create(customer=ada)
    path, headers = f"customer/{ada.pk}/orders/", bearer(ada)
    with connection.cursor() as cursor, ExitStack() as clean:
        cursor.execute(HOLD_COMMIT)
        clean.callback(cursor.execute, "DROP FUNCTION hold_commit CASCADE")
        shop = clean.enter_context(serving(tmp_path, "--workers=1"))
        for orders, (point, hold) in enumerate(POINTS.items(), 1):
            cart.items.create(product=computer, quantity=2)
            cart.items.create(product=gloves, quantity=3)

            ask = partial(post, shop, path, headers | {"Idempotency-Key": point}, BODY)
            with session() as other:
                other.execute(hold)
                (worker,) = shop.workers(1)
                lose(ask, partial(wait_for_waiters, 1), partial(os.kill, worker, signal.SIGKILL))
            wait_until(nobody_is_in_a_transaction)
            assert (Order.objects.count() == orders) is (point == "the commit")
            answer = ask()
            assert answer.status == 201
            assert ("Idempotent-Replayed" in answer.headers) is (point == "the commit")
            assert Order.objects.count() == orders
            assert not CartItem.objects.exists()
            stock = set(Product.objects.values_list("stock", flat=True))
            assert stock == {1000 - 2 * orders, 1000 - 3 * orders}
    assert faults() == []


def nobody_is_in_a_transaction() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        )
        return bool(cursor.fetchone()[0])


ADA = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "password": "correct horse battery",
    "strasse": "Hauptstraße 1",
    "plz": "01067",
    "ort": "Dresden",
}


@contextmanager
def psql(host: Path) -> Iterator[Any]:
    """A cursor in a transaction."""
    with closing(psycopg2.connect(host=host, dbname=DATABASE, user=USER)) as other, other.cursor() as cursor:
        yield cursor


def is_back(host: Path) -> bool:
    """Tell whether PostgreSQL answers, and that there is no order."""
    with suppress(psycopg2.OperationalError), psql(host) as cursor:
        cursor.execute('SELECT count(*) FROM "order"')
        assert cursor.fetchone() == (0,)
        return True
    return False


def is_cut(cursor: Any) -> bool:
    try:
        cursor.execute("SELECT")
    except psycopg2.Error:
        return True
    return False


def waiting_backend(host: Path) -> int | None:
    with psql(host) as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        row = cursor.fetchone()
        return int(row[0]) if row else None


@pytest.mark.slow
def test_a_killed_postgresql(tmp_path: Path) -> None:
    """It comes back, in which all its other sessions end as well, without anything of the checkout."""
    host = tmp_path / "socket"
    variables = {
        "DATABASE_HOST": str(host),
        "DATABASE_NAME": DATABASE,
        "DATABASE_USERNAME": USER,
        "DATABASE_PORT": "5432",
        "DATABASE_PASSWORD": "",
    }
    with ExitStack() as stack:
        server = stack.enter_context(database(tmp_path))
        with psql(host) as cursor:
            cursor.execute((ROOT / "01_create_tables.sql").read_text())
            cursor.execute(HOLD_COMMIT)
            cursor.execute(
                "INSERT INTO category (category_name) VALUES ('C'); INSERT INTO product "
                "(name, price, stock, category_id) VALUES ('A', 369.35, 2, 1), ('B', 235.99, 3, 1)"
            )
            cursor.connection.commit()
        shop = stack.enter_context(serving(tmp_path, "--workers=1", **variables))
        assert post(shop, "customer/", {}, ADA).status == 201
        signed_in = post(shop, "token/", {}, {name: ADA[name] for name in ("email", "password")})
        headers = {"Authorization": f"Bearer {json.loads(signed_in.body)['access']}"}
        for product_id, quantity in ((1, 2), (2, 3)):
            line = {"product_id": product_id, "quantity": quantity}
            assert post(shop, "customer/1/cart/items/", headers, line).status == 201

        def ask() -> Answer:
            return post(shop, "customer/1/orders/", headers | {"Idempotency-Key": "one"}, BODY)

        def wait() -> None:
            wait_until(lambda: waiting_backend(host) is not None)

        def kill_backend() -> None:
            os.kill(waiting_backend(host) or 0, signal.SIGKILL)

        for point in ("the stock", "the commit"):
            with psql(host) as other:
                other.execute(POINTS[point])
                lose(ask, wait, kill_backend)
                wait_until(partial(is_cut, other))
            wait_until(partial(is_back, host))
        with psql(host) as other:
            other.execute(POINTS["the commit"])
            lose(ask, wait, server.process.kill)
        stack.enter_context(database(tmp_path))
        wait_until(partial(is_back, host))
        answers: list[Answer] = []

        def is_answered() -> bool:
            """A thread of the server may only now find that its connection is gone."""
            answers.append(ask())
            assert answers[-1].status in (201, 503)
            return [answer.status for answer in answers].count(201) == 2

        wait_until(is_answered)
        first, again = (answer for answer in answers if answer.status == 201)
        assert again.body == first.body
        assert "Idempotent-Replayed" in again.headers
        assert "Idempotent-Replayed" not in first.headers
        with psql(host) as cursor:
            cursor.execute(
                'SELECT (SELECT count(*) FROM "order"), (SELECT count(*) FROM cart_item), '
                "(SELECT array_agg(stock) FROM product), (SELECT sum(quantity) FROM product_sales)"
            )
            assert cursor.fetchone() == (1, 0, [0, 0], 5)
