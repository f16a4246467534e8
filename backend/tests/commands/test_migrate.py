"""Migrating: one process at a time, out of the way of the shop, and others who wait for it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from shop.database.migration_state import missing_migrations
from shop.management.commands import migrate
from tests import BACKEND
from tests.support.races import wait_until
from tests.support.serving import OTHER_DATABASE, command_environment

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@contextmanager
def started(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run manage.py on the other database."""
    environment = command_environment(OTHER_DATABASE) | variables
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=BACKEND,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    with started(*arguments, **variables) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def migrate_other(db: None) -> Iterator[Callable[..., None]]:
    """Return the function that migrates the other database in this process, which is much quicker."""
    connections.databases["other"] = connections.databases["default"] | {"NAME": OTHER_DATABASE}

    def migrate_there(*arguments: str) -> None:
        connections["other"].connect()  # before Django's TestCase can refuse it
        try:
            call_command("migrate", *arguments, database="other", verbosity=0)
        finally:
            connections["other"].close()

    yield migrate_there
    del connections["other"]
    del connections.databases["other"]


def applied(cursor: Any) -> list[str]:
    cursor.execute("SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id")
    return [name for (name,) in cursor.fetchall()]


ALL = sorted(path.stem for path in (BACKEND / "shop" / "migrations").glob("0*.py"))


def test_of_three_at_once_one_migrates(other_database: Any) -> None:
    with started("migrate") as first, started("migrate") as second, started("migrate") as third:
        results = [(process, *process.communicate(timeout=60)) for process in (first, second, third)]
    assert [(process.returncode, err) for process, _, err in results] == [(0, "")] * 3
    outputs = [out for _, out, _ in results]
    assert sum(f"Applying shop.{ALL[-1]}... OK" in out for out in outputs) == 1
    assert sum("No migrations to apply." in out for out in outputs) == 2
    assert applied(other_database) == ALL


def test_a_second_one_says_once_that_it_waits(
    other_database: Any, migrate_other: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    other_database.execute("SELECT pg_advisory_lock(%s)", [migrate.LOCK])
    with pytest.raises(SystemExit, match="1"):
        migrate_other("--check")
    migrate_other("--plan")
    assert "Create model Order" in capsys.readouterr().out
    with started("migrate") as process:
        assert process.stdout
        assert process.stdout.readline() == "Waiting for another migrate to end.\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        other_database.execute("SELECT pg_advisory_unlock(%s)", [migrate.LOCK])
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "Waiting" not in out
    migrate_other("--check")


def test_it_does_not_wait_for_ever(other_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "PATIENCE_SECONDS", 1)
    name = connection.settings_dict["NAME"]
    # A lock belongs to a database: this one is of another.
    other_database.execute("SELECT pg_advisory_lock(%s)", [migrate.LOCK])
    call_command("migrate", verbosity=0)
    parameters = {**connection.get_connection_params(), "dbname": name}
    parameters.pop("cursor_factory", None)
    holder = psycopg2.connect(**parameters)
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [migrate.LOCK])
        with pytest.raises(CommandError, match="another migrate did not end within 1 s"):
            call_command("migrate", verbosity=0)
    holder.close()


def test_it_leaves_the_session_as_it_was() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        call_command("migrate", verbosity=0)
        cursor.execute("SELECT current_setting('lock_timeout')")
        assert cursor.fetchone() == ("0",)
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)


def test_a_table_in_use_is_left_alone(migrated_database: Any) -> None:
    migrated_database.execute("BEGIN; SELECT * FROM category_stock")
    code, out, err = run("migrate", "shop", "0003", PGOPTIONS="-c lock_timeout=1h")
    assert (code, err) == (
        1,
        "CommandError: another transaction kept a table locked for 0.8 s; the migration that needs it was "
        "undone: try again\n",
    )
    assert out.endswith("  Unapplying shop.0020_search_in_order...\n")
    migrated_database.execute("ROLLBACK")
    assert applied(migrated_database) == ALL[: ALL.index("0020_search_in_order") + 1]
    migrated_database.execute("SELECT FROM category_stock, customer_spending")


def waits_for_a_lock(cursor: Any) -> bool:
    cursor.execute("SELECT FROM pg_locks WHERE NOT granted")
    return bool(cursor.rowcount)


def test_a_statement_may_take_its_time(migrated_database: Any) -> None:
    migrated_database.execute("BEGIN; SELECT * FROM category_stock")
    with started("migrate", "-v0", "shop", "0003", PGOPTIONS="-c statement_timeout=100ms") as process:
        wait_until(lambda: waits_for_a_lock(migrated_database))
        time.sleep(0.3)
        migrated_database.execute("ROLLBACK")
        assert process.communicate(timeout=20) == ("", "")
    assert applied(migrated_database) == ALL[:3]


def test_rows_that_break_a_new_rule_are_named_and_can_be_mended(
    other_database: Any, migrate_other: Callable[..., None]
) -> None:
    migrate_other("shop", "0005")
    other_database.execute(
        """
        INSERT INTO category (category_name) VALUES ('Home');
        INSERT INTO product (name, price, category_id) SELECT 'Lamp', 'NaN', 1 FROM generate_series(1, 7);
        INSERT INTO customer (first_name, last_name, email, password) VALUES ('A', 'B', 'a@b.example', '!');
        INSERT INTO "order" (customer_id, order_date) VALUES (1, '10000-01-01'), (1, '0001-01-01');
        INSERT INTO "order" (customer_id, total_amount) VALUES (1, 'NaN');
        INSERT INTO order_item (order_id, product_id, quantity, price_per_unit)
            VALUES (2, 5, 3, 'NaN'), (2, 5, 1, 0.5), (2, 6, 1, 7);
        INSERT INTO cart (customer_id, last_updated) VALUES (1, '-infinity')
        """
    )
    code, out, err = run("migrate")
    assert (code, err) == (
        1,
        "CommandError: the data do not fit: "
        "product.price is NaN where product_id is 1, 2, 3, 4, 5 and 2 more; "
        "order.total_amount is NaN where order_id is 3; "
        "order.order_date is not in the years 1 to 9999 where order_id is 1; "
        "order_item.price_per_unit is NaN where order_item_id is 1; "
        "cart.last_updated is not in the years 1 to 9999 where cart_id is 1: "
        "give these rows right values, then migrate again\n",
    )
    assert out.endswith("  Applying shop.0006_number_and_date_ranges...\n")
    assert applied(other_database) == ALL[:5]
    other_database.execute(
        """
        UPDATE product SET price = 1 WHERE price = 'NaN';
        UPDATE "order" SET total_amount = 2 WHERE total_amount = 'NaN';
        UPDATE "order" SET order_date = '2025-11-26' WHERE order_date > '9999-12-31';
        UPDATE order_item SET price_per_unit = 4 WHERE price_per_unit = 'NaN';
        UPDATE cart SET last_updated = now()
        """
    )
    migrate_other()
    assert applied(other_database) == ALL
    other_database.execute("SELECT product_id, quantity, revenue::text FROM product_sales ORDER BY 1")
    assert other_database.fetchall()[4:] == [(5, 4, "12.50"), (6, 1, "7.00"), (7, 0, "0.00")]


def test_rows_are_checked_while_others_write(other_database: Any, migrate_other: Callable[..., None]) -> None:
    migrate_other("shop", "0006")
    other_database.execute(
        'BEGIN; LOCK TABLE product, "order", order_item, cart, product_sales IN ROW EXCLUSIVE MODE'
    )
    migrate_other("shop", "0007")
    other_database.execute("ROLLBACK")
    assert applied(other_database) == ALL[:7]


INDEXES = """
    SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relname IN ('order_by_date', 'order_not_completed', 'order_order_date') ORDER BY 1
"""


def test_indexes_are_made_while_others_write(other_database: Any, migrate_other: Callable[..., None]) -> None:
    """It waits for a transaction, longer than for a lock that others would wait for too; the next try can."""
    migrate_other("shop", "0011")
    other_database.execute('BEGIN; LOCK TABLE "order" IN ROW EXCLUSIVE MODE')
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND clock_timestamp() - waitstart > interval '0.9 s'"
    deadline = time.monotonic() + 30
    with started("migrate", "-v0", "shop", "0012") as process:
        while other_database.execute(waiting) or not other_database.rowcount:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=20)
    other_database.execute("ROLLBACK")
    assert applied(other_database) == ALL[:11]
    migrate_other("shop", "0012")
    other_database.execute(INDEXES)
    assert other_database.fetchall() == [("order_by_date", True), ("order_not_completed", True)]
    migrate_other("shop", "0011")
    other_database.execute(INDEXES)
    assert other_database.fetchall() == [("order_order_date", True)]


SEARCH_INDEXES = """
    SELECT indexrelid::regclass::text, indisvalid FROM pg_index
    WHERE indexrelid::regclass::text ~ '^(product_(search|price|category_price|name_order)|category_search)$'
    ORDER BY 1
"""


def test_indexes_of_the_search_are_made_by_the_next_try(
    other_database: Any, migrate_other: Callable[..., None]
) -> None:
    """What is killed while it makes one leaves it invalid, which IF NOT EXISTS would take for made."""
    migrate_other("shop", "0010")
    other_database.execute(
        "INSERT INTO category (category_name) VALUES ('Home');"
        "INSERT INTO product (name, price, category_id) VALUES ('Garden Lantern', 1, 1);"
        "DELETE FROM search_word"
    )
    other_database.execute("BEGIN; LOCK TABLE product IN ROW EXCLUSIVE MODE")
    with started("migrate", "-v0", "shop", "0011") as process:
        wait_until(lambda: waits_for_a_lock(other_database))
        process.kill()
        process.communicate(timeout=20)
    other_database.execute("SELECT pg_terminate_backend(pid, 20000) FROM pg_locks WHERE NOT granted")
    other_database.execute("ROLLBACK")
    other_database.execute(SEARCH_INDEXES)
    assert other_database.fetchall() == [("product_search", False)]
    assert applied(other_database) == ALL[:10]
    migrate_other("shop", "0011")
    other_database.execute(SEARCH_INDEXES)
    assert other_database.fetchall() == [
        ("category_search", True),
        ("product_category_price", True),
        ("product_name_order", True),
        ("product_price", True),
        ("product_search", True),
    ]
    other_database.execute("SELECT word FROM search_word ORDER BY 1")
    assert other_database.fetchall() == [("garden",), ("lantern",)]


def test_every_other_migration_is_all_or_nothing() -> None:
    migrations = MigrationLoader(None).disk_migrations.values()
    assert len(migrations) > 20
    others = sorted(migration.name for migration in migrations if not migration.atomic)
    assert others == [
        "0011_search_indexes",
        "0012_orders_by_status",
        "0015_order_notes",
        "0017_jobs_at_scale",
        "0020_search_in_order",
    ]


def test_through_a_transaction_pooler_nothing_is_migrated(other_database: Any) -> None:
    assert run("migrate", DATABASE_TRANSACTION_POOLER="1") == (
        1,
        "",
        "CommandError: migrate needs PostgreSQL itself, not a transaction pooler: set its DATABASE_HOST and "
        "DATABASE_PORT, and DATABASE_TRANSACTION_POOLER=0\n",
    )
    other_database.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    assert other_database.fetchone() == (0,)


def test_through_a_transaction_pooler_nothing_is_undone(migrated_database: Any) -> None:
    assert run("migrate", DATABASE_TRANSACTION_POOLER="1") == (0, "No migrations to apply.\n", "")
    assert run("migrate", "shop", "0003", DATABASE_TRANSACTION_POOLER="1")[0] == 1
    assert applied(migrated_database) == ALL


def test_what_is_missing_is_named(other_database: Any, migrate_other: Callable[..., None]) -> None:
    assert missing_migrations(connection) == []
    migrate_other("shop", "0003")
    code, out, err = run("await_migrations", "--timeout", "0")
    assert (code, out) == (1, "")
    assert err.startswith("CommandError: gave up after 0 s: migrations are missing: ")
    assert "shop.0003_order_customer_index" not in err
    assert "shop.0004_product_sales, shop.0005_views, shop.0006_number_and_date_ranges" in err


def test_the_others_wait_for_the_migrations(other_database: Any, migrate_other: Callable[..., None]) -> None:
    with started("await_migrations") as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("Waiting: migrations are missing: contenttypes.0001_initial, ")
        assert line.endswith("\n")
        migrate_other()
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


def test_they_wait_for_the_database_too() -> None:
    code, out, err = run("await_migrations", "--timeout", "2", DATABASE_HOST="/nowhere")
    reason = 'the database does not answer: connection to server on socket "/nowhere/.s.PGSQL.'
    assert code == 1
    assert out.startswith(f"Waiting: {reason}")
    assert err.startswith(f"CommandError: gave up after 2 s: {reason}")
    assert (out.count("\n"), err.count("\n")) == (1, 1)
    assert run("await_migrations", "--timeout", "-1") == (
        1,
        "",
        "CommandError: --timeout must be 0 or more, not -1\n",
    )
