"""`reconcile_product_sales`: wrong totals become right, while others sell, and one line says what changed."""

import random
import threading
from collections.abc import Callable
from decimal import Decimal

import psycopg2
import pytest
from django.core.management import call_command
from django.db import connections

from shop.models import OrderItem, ProductSales
from shop.orders.sales import Difference, differences, reconcile
from tests.catalog.test_product_sales import SELL, assert_exact, session, shop, sql, stage

__all__ = ["shop", "stage"]  # fixtures


def without_triggers(*statements: str) -> None:
    sql("SET session_replication_role = replica")
    for statement in statements:
        sql(statement)
    sql("SET session_replication_role = origin")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    def run() -> str:
        call_command("reconcile_product_sales")
        return capsys.readouterr().out

    return run


NOTHING = "product_sales is what the order lines add up to: nothing changed.\n"


def test_right_totals_are_left_alone(shop: None, command: Callable[[], str]) -> None:
    before = sql("SELECT * FROM product_sales")
    assert command() == NOTHING
    assert sql("SELECT * FROM product_sales") == before


def test_whatever_is_wrong_becomes_right(shop: None, command: Callable[[], str]) -> None:
    sql("INSERT INTO product (product_id, name, price, category_id) VALUES (900, 'Unsold', 1, 1)")
    without_triggers(
        "UPDATE order_item SET quantity = quantity + 2 WHERE order_item_id = "
        "(SELECT min(order_item_id) FROM order_item WHERE product_id = 1)",
        "UPDATE product_sales SET revenue = revenue - 0.5 WHERE product_id = 2",
        "DELETE FROM product_sales WHERE product_id = 900",
        "INSERT INTO product_sales (product_id, main, quantity, revenue) VALUES (901, true, 7, 8)",
    )
    [(price,)] = sql(
        "SELECT price_per_unit FROM order_item WHERE product_id = 1 ORDER BY order_item_id LIMIT 1"
    )
    assert differences() == [
        Difference(1, 2, 2 * price),
        Difference(2, 0, Decimal("0.50")),
        Difference(900, 0, Decimal(0)),
        Difference(901, -7, Decimal(-8)),
    ]
    revenue = 2 * price + Decimal("0.50") - 8
    assert command() == (
        f"product_sales corrected for product 1, 2, 900, 901: -5 units, {revenue:+.2f} revenue.\n"
    )
    assert_exact()
    assert not ProductSales.objects.filter(main=False).exists()
    assert list(ProductSales.objects.filter(product_id=900).values_list("main", "quantity")) == [(True, 0)]
    assert command() == NOTHING


def test_many_products_are_one_line(shop: None, command: Callable[[], str]) -> None:
    without_triggers("UPDATE product_sales SET quantity = quantity - 1")
    assert command() == (
        "product_sales corrected for product 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 110 more: "
        "+120 units, +0.00 revenue.\n"
    )
    assert_exact()


def test_afterwards_nobody_else_writes_the_totals(shop: None) -> None:
    without_triggers("UPDATE product_sales SET quantity = 0")
    reconcile()
    with pytest.raises(Exception, match="product_sales is kept by the database: leave it out"):
        sql("UPDATE product_sales SET quantity = 0")


def sell(seed: int, products: list[int], enough: threading.Event, problems: list[Exception]) -> None:
    chance = random.Random(seed)
    try:
        with session() as cursor:
            while not enough.is_set():
                for product in chance.sample(products, 3):
                    cursor.execute(SELL, (seed + 1, product, chance.randint(1, 9), "0.37"))
                (cursor.connection.rollback if chance.random() < 0.2 else cursor.connection.commit)()
    except psycopg2.Error as error:
        problems.append(error)


def mend(found: list[Difference]) -> None:
    try:
        found.extend(reconcile())
    finally:
        connections.close_all()


def at_once(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_nobody_waits_and_each_difference_is_added_once(stage: list[int]) -> None:
    """Four sell while three reconcile; one more has an open transaction all the time."""
    problems: list[Exception] = []
    enough = threading.Event()
    sellers = [threading.Thread(target=sell, args=(seed, stage, enough, problems)) for seed in range(4)]
    with session() as open_all_the_time:
        open_all_the_time.execute(SELL, (8, stage[0], 5, "1.00"))
        for seller in sellers:
            seller.start()
        for _ in range(5):
            without_triggers(
                "INSERT INTO product_sales (product_id, main, quantity, revenue) "
                "SELECT product_id, false, 1, 0.25 FROM product"
            )
            found: list[Difference] = []
            at_once([threading.Thread(target=mend, args=(found,)) for _ in range(3)])
            assert found == [Difference(product, -1, Decimal("-0.25")) for product in stage]
            assert differences() == []
        enough.set()
        for seller in sellers:
            seller.join()
        open_all_the_time.connection.commit()
    assert problems == []
    assert_exact()
    assert OrderItem.objects.count() > len(stage) + 1
