"""What triggers add up is at every moment what a fresh sum gives, however many write, and however."""

import io
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.management import call_command
from django.db import DatabaseError, InternalError, connection, transaction
from django.db.models import F
from django.test import Client
from psycopg2.errors import ForeignKeyViolation, SerializationFailure

from shop.models import Category, Customer, Order, OrderItem, Product, ProductSales
from tests import ROOT
from tests.test_sql_files import rows_of
from webshop.postgres import DATABASE, PORT, USER, postgres

# The totals that differ from a fresh sum, in one statement and so in one snapshot.
WRONG = """
    WITH kept AS (SELECT product_id, sum(quantity) AS quantity, sum(revenue) AS revenue
                  FROM product_sales GROUP BY product_id),
         fresh AS (SELECT product_id, sum(quantity) AS quantity, sum(quantity * price_per_unit) AS revenue
                   FROM order_item GROUP BY product_id)
    SELECT product_id FROM kept FULL JOIN fresh USING (product_id)
    WHERE coalesce(kept.quantity, 0) <> coalesce(fresh.quantity, 0)
       OR coalesce(kept.revenue, 0) <> coalesce(fresh.revenue, 0)
"""


def sql(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def assert_exact() -> None:
    """The totals are the sums of the rows, and the reports are those of the rows."""
    assert sql(WRONG) == []
    assert rows_of("bestsellers") == rows_of("bestsellers-from-the-lines")
    columns = ("product_id", "name", "price", "total_sold", "total_revenue")
    assert list(Product.objects.bestsellers().values(*columns)) == rows_of("bestsellers")


@pytest.fixture
def shop(sample_data: None) -> None:
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # nothing is left to check that TRUNCATE or a migration would meet


@contextmanager
def session(isolation: str = "READ COMMITTED", **where: Any) -> Iterator[Any]:
    """A cursor on a connection of its own, in a transaction, which does not wait for others."""
    parameters = connection.get_connection_params() | where
    parameters.pop("cursor_factory", None)
    with closing(psycopg2.connect(**parameters)) as other, other.cursor() as cursor:
        other.set_session(isolation_level=isolation)
        cursor.execute("SET lock_timeout = '2s'")
        other.commit()
        yield cursor


SELL = "INSERT INTO order_item (order_id, product_id, quantity, price_per_unit) VALUES (%s, %s, %s, %s)"


# One change after the other ---------------------------------------------------------------------------------


def copy() -> None:
    with connection.cursor() as cursor:
        lines = io.StringIO("1\t5\t3\t0.99\n2\t6\t1\t10\n2\t5\t4\t1.01\n")
        cursor.copy_expert(
            "COPY order_item (order_id, product_id, quantity, price_per_unit) FROM STDIN", lines
        )


def roll_back_to_a_savepoint() -> None:
    line = OrderItem.objects.create(order_id=1, product_id=7, quantity=1, price_per_unit=1)
    with transaction.atomic():
        line.delete()
        OrderItem.objects.create(order_id=1, product_id=7, quantity=5, price_per_unit=1)
        transaction.set_rollback(True)
    OrderItem.objects.create(order_id=1, product_id=7, quantity=9, price_per_unit=1)


CHANGES: dict[str, Callable[[], Any]] = {
    "create": lambda: OrderItem.objects.create(order_id=1, product_id=9, quantity=700, price_per_unit="0.01"),
    "bulk_create": lambda: OrderItem.objects.bulk_create(
        OrderItem(order_id=1, product_id=n % 13 + 1, quantity=n, price_per_unit=n) for n in range(1, 60)
    ),
    "save": lambda: OrderItem(pk=1, order_id=1, product_id=1, quantity=99, price_per_unit="1.50").save(),
    "update": lambda: OrderItem.objects.filter(product_id=1).update(quantity=3, price_per_unit="7.77"),
    "update of nothing that counts": lambda: OrderItem.objects.update(order_id=1),
    "update to another product": lambda: OrderItem.objects.filter(product_id=1).update(product_id=2),
    "update that swaps products": lambda: sql(
        "UPDATE order_item SET product_id = 3 - product_id WHERE product_id IN (1, 2)"
    ),
    "delete": lambda: OrderItem.objects.get(pk=1).delete(),
    "delete of all": lambda: OrderItem.objects.all().delete(),
    "delete of an order": lambda: Order.objects.get(pk=1).delete(),
    "delete of a customer": lambda: Customer.objects.get(pk=1).delete(),
    "delete of orders in SQL": lambda: sql('DELETE FROM "order" WHERE order_id %% 2 = 0'),
    "delete of customers in SQL": lambda: sql("DELETE FROM customer WHERE customer_id < 50"),
    "insert of no row": lambda: sql(
        "INSERT INTO order_item (order_id, product_id, quantity, price_per_unit) SELECT 1, 1, 1, 1 LIMIT 0"
    ),
    "upsert": lambda: sql(
        "INSERT INTO order_item (order_item_id, order_id, product_id, quantity, price_per_unit) "
        "VALUES (1, 1, 4, 5, 6.5), (9001, 1, 4, 2, 0.5) ON CONFLICT (order_item_id) "
        "DO UPDATE SET product_id = excluded.product_id, quantity = order_item.quantity + excluded.quantity"
    ),
    "merge": lambda: sql(
        "MERGE INTO order_item USING generate_series(1, 900) AS n ON order_item_id = n "
        "WHEN MATCHED AND n %% 3 = 0 THEN DELETE WHEN MATCHED AND n %% 3 = 1 THEN UPDATE SET quantity = n "
        "WHEN NOT MATCHED THEN INSERT (order_id, product_id, quantity, price_per_unit) VALUES (1, 3, n, 1)"
    ),
    "several in one statement": lambda: sql(
        "WITH a AS (DELETE FROM order_item WHERE product_id < 9 RETURNING *), "
        "b AS (INSERT INTO order_item (order_id, product_id, quantity, price_per_unit) "
        "SELECT order_id, product_id + 1, quantity, 2 FROM a) "
        "UPDATE order_item SET quantity = 8 WHERE product_id BETWEEN 9 AND 20"
    ),
    "copy": copy,
    "savepoint": roll_back_to_a_savepoint,
    "truncate of the lines": lambda: sql("TRUNCATE order_item"),
    "truncate of the orders": lambda: sql('TRUNCATE "order" CASCADE'),
    "truncate of the products": lambda: sql("TRUNCATE product CASCADE"),
    "truncate of the shop": lambda: sql(
        'TRUNCATE category, product, customer, "order", order_item, cart, cart_item RESTART IDENTITY CASCADE'
    ),
    "truncate of the totals": lambda: sql("TRUNCATE product_sales"),
    "new products": lambda: Product.objects.bulk_create(
        Product(name="New", price=n, stock=n, category_id=2) for n in range(5)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_totals_follow_every_change(shop: None, change: str) -> None:
    assert_exact()
    before = sql("SELECT sum(quantity), sum(revenue) FROM product_sales")
    CHANGES[change]()
    assert_exact()
    unchanged = {
        "update of nothing that counts",
        "insert of no row",
        "truncate of the totals",
        "new products",
    }
    moved = {"update to another product", "update that swaps products"}  # the sum of all stays
    after = sql("SELECT sum(quantity), sum(revenue) FROM product_sales")
    assert (after == before) == (change in unchanged | moved)
    # One row, the main one, is what there is of a product when nobody else writes.
    assert sql("SELECT product_id FROM product_sales WHERE main ORDER BY 1") == sql(
        "SELECT product_id FROM product ORDER BY 1"
    )
    assert not ProductSales.objects.filter(main=False).exists()


def test_a_deleted_product_takes_its_row_along_and_its_id_can_come_again(shop: None) -> None:
    sql("DELETE FROM order_item WHERE product_id = 1")
    Product.objects.get(pk=1).delete()
    assert not ProductSales.objects.filter(product_id=1).exists()
    Product.objects.create(pk=1, name="Again", price=1, category_id=1)
    sql(SELL, 1, 1, 1000, 2)
    assert_exact()
    best = Product.objects.bestsellers().values("name", sold=F("total_sold"), revenue=F("total_revenue"))[0]
    assert best == {"name": "Again", "sold": 1000, "revenue": Decimal("2000.00")}


def test_the_best_of_some_products_are_the_best_of_these(shop: None) -> None:
    some = Product.objects.filter(category__category_name="Electronics")
    sold = dict(sql("SELECT product_id, sum(quantity) FROM order_item GROUP BY 1"))
    ids = sorted(some.values_list("pk", flat=True), key=lambda pk: (-sold[pk], pk))
    assert [product.pk for product in some.bestsellers()] == ids[:10]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_totals_survive_a_migration_back_and_forth(shop: None) -> None:
    call_command("migrate", "shop", "0003", verbosity=0)
    sql("DELETE FROM order_item WHERE order_item_id < 100")
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    call_command("migrate", "shop", verbosity=0)
    assert_exact()
    sql(SELL, 1, 1, 3, 2)
    assert_exact()


def test_truncate_adds_up_what_passed_the_triggers_by(shop: None) -> None:
    sql("SET LOCAL session_replication_role = replica")
    sql("UPDATE order_item SET quantity = 4")
    sql("SET LOCAL session_replication_role = origin")
    assert sql(WRONG) != []
    sql("TRUNCATE product_sales")
    assert_exact()


def test_the_triggers_find_their_tables_whatever_the_search_path(shop: None) -> None:
    """Pg_dump's scripts have none."""
    sql("SELECT set_config('search_path', '', true)")
    sql(SELL.replace("order_item", "public.order_item"), 1, 1, 3, 2)
    sql("UPDATE public.product SET stock = 1")
    sql("INSERT INTO public.product (name, price, category_id) VALUES ('Lamp', 1, 1)")
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    sql("TRUNCATE public.cart_item")
    sql("SET LOCAL search_path = public")
    assert_exact()


# What nobody may do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        "DELETE FROM product_sales",
        "UPDATE product_sales SET product_id = 1",
        "INSERT INTO product_sales SELECT * FROM product_sales",
    ],
)
def test_nobody_else_writes_the_totals(shop: None, write: str) -> None:
    with (
        pytest.raises(InternalError, match="product_sales is kept by the database: leave it out"),
        transaction.atomic(),
    ):
        sql(write)
    assert_exact()


@pytest.mark.parametrize("table", ["order_item", "product_sales"])
@pytest.mark.django_db(transaction=True)
def test_truncate_is_refused_where_it_would_not_see_all(order: Order, table: str) -> None:
    with session("REPEATABLE READ") as other:
        other.execute("SELECT")
        sql("UPDATE order_item SET quantity = 7")
        with pytest.raises(psycopg2.InternalError, match=f"TRUNCATE {table}: do it in READ COMMITTED"):
            other.execute(f"TRUNCATE {table}")
    assert_exact()


@pytest.mark.slow
def test_a_fixture_is_loaded_without_the_totals(shop: None, tmp_path: Path) -> None:
    whole, shop_alone = tmp_path / "whole.json", tmp_path / "shop.json"
    views = ["shop.CustomerSpending", "shop.CategoryStock"]
    call_command("dumpdata", "shop", exclude=views, output=whole, verbosity=0)
    call_command("dumpdata", "shop", exclude=[*views, "shop.ProductSales"], output=shop_alone, verbosity=0)
    sql("TRUNCATE category, customer CASCADE")
    with (
        pytest.raises(DatabaseError, match="product_sales is kept by the database: leave it out"),
        transaction.atomic(),
    ):
        call_command("loaddata", whole, verbosity=0)
    assert not OrderItem.objects.exists()
    call_command("loaddata", shop_alone, verbosity=0)
    assert OrderItem.objects.count() == 804
    assert_exact()


# Several at once --------------------------------------------------------------------------------------------


@pytest.fixture
def stage(transactional_db: None) -> list[int]:
    """Twelve products, ten pieces sold of each, and eight orders; the ids of the products."""
    home, garden = (Category.objects.create(category_name=name) for name in ("Home", "Garden"))
    products = Product.objects.bulk_create(
        Product(name=f"Product {n}", price=n, stock=n, category=(home, garden)[n % 2]) for n in range(12)
    )
    buyer = Customer.objects.create(first_name="A", last_name="B", email="a@b.example", password="!")
    orders = Order.objects.bulk_create(Order(order_id=n + 1, customer=buyer) for n in range(8))
    OrderItem.objects.bulk_create(
        OrderItem(order=orders[0], product=product, quantity=10, price_per_unit=1) for product in products
    )
    return [product.pk for product in products]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nobody_waits_for_an_open_transaction(stage: list[int], end: str) -> None:
    first, second, *_ = stage
    with session() as one, session() as two, session() as three:
        for seller, order, products in (
            (one, 1, (first, second)),
            (two, 2, (second, first)),
            (three, 3, (first, second)),
        ):
            for product in products:
                seller.execute(SELL, (order, product, order, "0.10"))
                assert_exact()  # nothing of it is to be seen yet
        for seller in (two, one, three):
            getattr(seller.connection, end)()
            assert_exact()
        assert ProductSales.objects.filter(main=False).exists() == (end == "commit")
        sql(SELL, 1, first, 1, 1)
        sql("UPDATE order_item SET quantity = 4 WHERE product_id = %s", second)
        assert not ProductSales.objects.filter(main=False).exists()
    assert_exact()


def test_a_spare_row_moves_a_product_up_and_down(stage: list[int], client: Client) -> None:
    with session() as holder, session() as seller:
        holder.execute("UPDATE order_item SET price_per_unit = 2")
        seller.execute(SELL, (2, stage[11], 5, 1))
        seller.execute(SELL, (2, stage[10], 1, 1))
        seller.connection.commit()
        holder.connection.rollback()
    lines = OrderItem.objects.filter(product=stage[0])
    with session() as holder, session() as seller:
        holder.execute(SELL, (3, stage[0], 1, 1))
        seller.execute("DELETE FROM order_item WHERE order_item_id = %s", [lines.get().pk])
        seller.connection.commit()
        assert ProductSales.objects.filter(main=False).count() == 3
        answer = client.get("/shop/api/bestsellers/").json()
    assert [row["product_id"] for row in answer] == [stage[11], stage[10], *stage[1:9]]
    assert [row["total_sold"] for row in answer] == [15, 11, *[10] * 8]
    assert_exact()


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_older_snapshot_is_right_or_refused(stage: list[int], isolation: str) -> None:
    first, second, *_ = stage
    with session(isolation) as old, session() as other:
        old.execute("SELECT")
        old.execute(SELL, (1, second, 2, 1))
        other.execute(SELL, (2, first, 1, 1))
        other.execute(SELL, (2, second, 1, 1))
        other.connection.commit()
        old.execute(SELL, (1, second, 3, 1))
        old.connection.commit()
        assert_exact()
        old.execute("SELECT")
        sql(SELL, 2, first, 1, 1)
        with pytest.raises(SerializationFailure):
            old.execute(SELL, (1, first, 3, 1))
    assert_exact()


def test_a_product_that_goes_does_not_hold_up_its_seller(stage: list[int]) -> None:
    lamp = Product.objects.create(name="Lamp", price=1, category=Category.objects.all()[0]).pk
    with session() as seller, session() as staff:
        seller.execute(SELL, (1, lamp, 1, 1))
        staff.execute("DELETE FROM product WHERE product_id = %s", [lamp])
        staff.connection.commit()
        with pytest.raises(ForeignKeyViolation):
            seller.connection.commit()
    assert_exact()


def write_at_random(seed: int, products: list[int], order: int, isolation: str, problems: list[Any]) -> None:
    """Forty transactions of one seller: lines of the own order come, change and go, some to no avail."""
    chance = random.Random(seed)
    with session(isolation) as cursor:
        for _ in range(40):
            try:
                for product in chance.sample(products, chance.randint(1, 6)):
                    cursor.execute("SAVEPOINT step")
                    match chance.randrange(4):
                        case 0:
                            change = "UPDATE order_item SET quantity = quantity + %s, price_per_unit = %s"
                            cursor.execute(
                                f"{change} WHERE order_id = %s", (chance.randint(0, 2), product, order)
                            )
                        case 1:
                            cursor.execute(
                                "DELETE FROM order_item WHERE order_id = %s AND product_id = %s",
                                (order, product),
                            )
                        case _:
                            cursor.execute(SELL, (order, product, chance.randint(1, 9), "0.37"))
                    if chance.random() < 0.2:
                        cursor.execute("ROLLBACK TO step")
                (cursor.connection.rollback if chance.random() < 0.2 else cursor.connection.commit)()
            except SerializationFailure as error:
                cursor.connection.rollback()
                if isolation == "READ COMMITTED":
                    problems.append(error)
            except psycopg2.Error as error:  # a deadlock, or a wait of more than lock_timeout
                cursor.connection.rollback()
                problems.append(error)


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_eight_write_at_once_and_every_snapshot_is_exact(stage: list[int], isolation: str) -> None:
    problems: list[Any] = []
    sellers = [
        threading.Thread(
            target=write_at_random, args=(n, stage, n + 1, "READ COMMITTED" if n < 4 else isolation, problems)
        )
        for n in range(8)
    ]
    for seller in sellers:
        seller.start()
    while any(seller.is_alive() for seller in sellers):
        assert_exact_in_one_snapshot()
    for seller in sellers:
        seller.join()
    assert problems == []
    assert_exact()
    sql("UPDATE order_item SET quantity = quantity + 1")
    OrderItem.objects.bulk_create(
        OrderItem(order_id=1, product_id=product, quantity=1, price_per_unit=1) for product in stage
    )
    assert not ProductSales.objects.filter(main=False).exists()
    assert_exact()


def assert_exact_in_one_snapshot() -> None:
    with transaction.atomic():
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert_exact()


# A crash ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_totals_survive_kill_9_amid_writes(tmp_path: Path) -> None:
    kept: list[int] = []
    enough = threading.Event()

    def sell(order: int, where: dict[str, Any]) -> None:
        with session(**where) as cursor:
            while True:
                try:
                    for product in random.sample(range(1, 9), 3):
                        cursor.execute(f"{SELL} RETURNING order_item_id", (order, product, 2, "1.25"))
                        (line,) = cursor.fetchone()
                    cursor.connection.commit()
                except psycopg2.Error:
                    return
                kept.append(line)
                if len(kept) > 300:
                    enough.set()

    with postgres(tmp_path / "data") as server:
        where = {"host": str(server.socket_dir), "port": PORT, "user": USER, "dbname": DATABASE}
        with session(**where) as cursor:
            for name in ("01_create_tables.sql", "02_insert_sample_data.sql"):
                cursor.execute((ROOT / name).read_text())
        sellers = [threading.Thread(target=sell, args=(order, where)) for order in range(1, 5)]
        for seller in sellers:
            seller.start()
        assert enough.wait(60)
        server.process.kill()
        server.process.wait()
        for seller in sellers:
            seller.join()
    with postgres(tmp_path / "data") as server, session(**where | {"host": str(server.socket_dir)}) as cursor:
        cursor.execute(WRONG)
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM order_item WHERE order_item_id = ANY(%s)", [kept])
        assert cursor.fetchone() == (len(kept),)
