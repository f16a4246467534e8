"""The throwaway database and the named cast of the tests."""

import datetime
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.cache import caches
from django.db import connection, connections
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker, Settings

from shop.database.cache import clients
from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product
from tests import ROOT
from tests.support.browser import browser, chromium, find, save  # noqa: F401 (fixtures)
from tests.support.cluster import THROWAWAY, migrated_data  # noqa: F401 (a fixture)
from tests.support.emptying import empty_tables
from tests.support.serving import MIGRATED_DATABASE, OTHER_DATABASE
from tests.support.signals import give_children_default_signals
from tests.support.valkey import Valkey
from webshop.postgres import PORT, USER, postgres


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --record-faults, for tests/production/, --record-examples, for tests/test_shell_pages.py, and more.

    That is --record-pictures, for tests/test_mail_md.py and tests/admin/test_staff_md.py.
    """
    parser.addoption(
        "--record-faults", action="store_true", help="write the table of faults in docs/DEPLOYMENT.md"
    )
    parser.addoption(
        "--record-examples",
        action="store_true",
        help="write the examples of docs/API.md to shop/examples.json",
    )
    parser.addoption("--record-pictures", action="store_true", help="take the pictures of docs/")


def pytest_configure() -> None:
    """Let Python keep what it compiles, in the virtual environment, where a machine has it compile each time.

    The tests start it some hundreds of times, and compiling is most of a start.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(Path(sys.prefix, "pycache"))
        sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use all cores for the whole suite; for named files and -m docker, which has one stack, no worker."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return len(os.sched_getaffinity(0)) if whole and config.option.markexpr != "docker" else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with slow files, whole ones, so that none waits for a long test at the end.

    Each gets an equal part of the list, one after the other, and takes over from the end of another's part.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    files = list(dict.fromkeys(item.path for item in slow))
    slow.sort(key=lambda item: files.index(item.path))
    length = len(items) // workers
    items.clear()
    for number in range(workers):
        part = [item for item in slow if files.index(item.path) % workers == number]
        missing = max(0, length - len(part))
        items += part + quick[:missing]
        del quick[:missing]
    items += quick


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped, and why, in one line for each reason."""
    skipped = Counter(report.longrepr[2] for report in terminalreporter.getreports("skipped"))
    for reason, number in skipped.items():
        terminalreporter.write_line(f"{number} × {reason}")


@pytest.fixture(scope="session", autouse=True)
def _signals() -> None:
    give_children_default_signals()


@pytest.fixture(scope="session", autouse=True)
def _quick_flush() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_tables)
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> Iterator[None]:
    """Start a PostgreSQL for the tests, unless the environment names one.

    Each of xdist's workers has its own; on that of the environment, a database of its own.
    A DATABASE_HOST in backend/.env does not count: it is the host of Docker, or of one's own shop.
    """
    if os.environ.get("DATABASE_HOST"):
        yield
        return
    with (
        tempfile.TemporaryDirectory() as directory,
        postgres(Path(directory, "data"), **THROWAWAY) as server,
    ):
        connections["default"].settings_dict.update(HOST=str(server.socket_dir), PORT=PORT, USER=USER)
        yield
        connections.close_all()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Keep a copy of the new database, which takes a moment as long as nobody is connected to it."""
    with django_db_blocker.unblock():
        connection.close()
        with server_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {MIGRATED_DATABASE}")
            cursor.execute(f"CREATE DATABASE {MIGRATED_DATABASE} TEMPLATE {connection.settings_dict['NAME']}")
    yield
    with django_db_blocker.unblock(), server_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {MIGRATED_DATABASE}")


@contextmanager
def server_cursor(database: str = "postgres") -> Iterator[Any]:
    parameters = connection.get_connection_params() | {"dbname": database}
    parameters.pop("cursor_factory", None)
    with closing(psycopg2.connect(**parameters)) as other:
        other.autocommit = True
        with other.cursor() as cursor:
            yield cursor


@contextmanager
def database_beside(template: str) -> Iterator[Any]:
    with server_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {OTHER_DATABASE}")
        cursor.execute(f"CREATE DATABASE {OTHER_DATABASE} TEMPLATE {template}")
        with server_cursor(OTHER_DATABASE) as other_cursor:
            yield other_cursor
        cursor.execute(f"DROP DATABASE {OTHER_DATABASE}")


@pytest.fixture
def other_database(db: None) -> Iterator[Any]:
    """A cursor on an empty database, OTHER_DATABASE, beside the tests' own."""
    with database_beside("template0") as cursor:
        yield cursor


@pytest.fixture
def migrated_database(db: None) -> Iterator[Any]:
    """A cursor on OTHER_DATABASE with all tables and no rows."""
    with database_beside(MIGRATED_DATABASE) as cursor:
        yield cursor


@pytest.fixture
def sample_data(db: None) -> None:
    """The rows of load_sample_data, whose twin is quick to read."""
    script = (ROOT / "02_insert_sample_data.sql").read_text()
    with connection.cursor() as cursor:
        cursor.execute(re.sub(r"^(BEGIN|COMMIT);$", "", script, flags=re.M))


@pytest.fixture
def home(db: None) -> Category:
    return Category.objects.create(category_name="Home")


@pytest.fixture
def electronics(db: None) -> Category:
    return Category.objects.create(category_name="Electronics")


@pytest.fixture
def garden(db: None) -> Category:
    return Category.objects.create(category_name="Garden")


@pytest.fixture
def gloves(home: Category) -> Product:
    return Product.objects.create(
        name="Elegant Marble Gloves", price=Decimal("235.99"), stock=58, category=home
    )


@pytest.fixture
def computer(electronics: Category) -> Product:
    return Product.objects.create(
        name="Handmade Wooden Computer", price=Decimal("369.35"), stock=2, category=electronics
    )


@pytest.fixture
def deborah(db: None) -> Customer:
    customer = Customer(first_name="Deborah", last_name="Bruen", email="deborah.bruen@example.com")
    customer.set_password("correct horse battery")
    customer.save()
    return customer


@pytest.fixture
def jonas(db: None) -> Customer:
    """A customer who never ordered and has no cart."""
    return Customer.objects.create(
        first_name="Jonas", last_name="Groß 🛒", email="jonas@example.com", password="!"
    )


@pytest.fixture
def order(deborah: Customer, gloves: Product) -> Order:
    """Deborah's order of two gloves."""
    order = Order.objects.create(
        customer=deborah,
        order_date=datetime.date(2025, 11, 26),
        status="completed",
        total_amount=Decimal("471.98"),
    )
    OrderItem.objects.create(order=order, product=gloves, quantity=2, price_per_unit=gloves.price)
    return order


@pytest.fixture
def cart(deborah: Customer, computer: Product) -> Cart:
    """Deborah's cart with two computers."""
    cart = Cart.objects.create(customer=deborah)
    CartItem.objects.create(cart=cart, product=computer, quantity=2)
    return cart


@pytest.fixture
def valkey(settings: Settings) -> Iterator[Valkey]:
    """A running Valkey, which is Django's cache."""
    server = Valkey()
    settings.CACHES = {
        "own": settings.CACHES["default"],
        "default": {
            "BACKEND": "shop.database.cache.SharedCache",
            "LOCATION": server.url,
            "KEY_PREFIX": "webshop",
        },
    }
    caches["own"].clear()
    server.start()
    yield server
    server.kill()
    caches["own"].clear()
    for client in clients.values():
        client.shared.get_client().connection_pool.disconnect()
    clients.clear()
