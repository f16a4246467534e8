"""Statements: the rows of their QuerySets, prepared once per connection, whatever happens to it."""

import json
import random
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import localdate as today
from django.utils.timezone import now

from shop.api.reading import ReadEndpoint
from shop.database.statements import Parameter, Prepared, Statement, select
from shop.models import Category, Customer, Product
from shop.urls import urlpatterns
from tests.support.races import session

PRODUCT = {"id": "product_id", "name": "name"}


def ids_of(statement: Statement) -> list[list[int]]:
    """Arguments to try: known ones, an unknown one, some that no column can hold."""
    numbers = (1, 2, 17, 100, 999, 2**80, -(2**80))
    return [[number] * statement.arguments for number in numbers] if statement.arguments else [[]]


def statements() -> dict[str, Statement]:
    return {
        str(url.name): endpoint.statement
        for url in urlpatterns
        for endpoint in url.callback.endpoints.values()  # type: ignore[attr-defined]
        if isinstance(endpoint, ReadEndpoint)
    }


def plain(value: Any) -> Any:
    """A value of a QuerySet as JSON has it."""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    return value if isinstance(value, int | str | list | dict | None) else str(value)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("prepared", [True, False])
def test_the_rows_are_those_of_the_queryset(monkeypatch: pytest.MonkeyPatch, *, prepared: bool) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", not prepared)
    call_command("load_sample_data")
    rows = 0
    for statement in statements().values():
        for arguments in ids_of(statement):
            queryset = statement.build(*arguments).values_list(*statement.row.values())
            expected = [dict(zip(statement.row, map(plain, row), strict=True)) for row in queryset]
            with CaptureQueriesContext(connection) as queries:
                found = statement.fetch(*arguments)
            assert [json.loads(row) for row in found] == expected
            assert len(queries) == 1
            assert queries[0]["sql"].startswith("EXECUTE") is prepared
            assert statement.page(*arguments, limit=2, offset=1) == found[1:3]
            rows += len(found)
    assert rows > 250


@pytest.mark.django_db
def test_postgresql_compiles_none() -> None:
    """With LLVM it would, for each search in an order, and take longer than to run it."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)


@pytest.mark.django_db
def test_a_statement_is_compiled_and_prepared_once(gloves: Product) -> None:
    builds = []

    def build() -> Any:
        builds.append("built")
        return Product.objects.catalog()

    statement = Statement(build, PRODUCT, 0)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            assert statement.fetch() == [f'{{"id":{gloves.pk},"name":"Elegant Marble Gloves"}}']
    assert [query["sql"] for query in queries] == [f"EXECUTE {statement.name}"] * 3
    assert builds == ["built"] * 2  # the second one shows that it is always the same


def of_category(category_id: Parameter) -> Any:
    return Product.objects.filter(category_id=category_id)


BUILDS: dict[str, tuple[Callable[[Parameter], Any], str]] = {
    "if": (lambda id_: of_category(id_) if id_ else Product.objects.all(), "has no value"),
    "==": (lambda id_: of_category(id_) if id_ == 1 else Product.objects.all(), "has no value"),
    "<": (lambda id_: of_category(min(id_, 7)), "not supported"),  # type: ignore[call-overload]
    "in a list": (lambda id_: Product.objects.filter(stock=id_ in [1, 2]), "has no value"),
    "in a set": (lambda id_: Product.objects.filter(stock=id_ in {1, 2}), "has no value"),
    "int": (lambda id_: of_category(id_).filter(stock=int(id_)), "has no value"),
    "text": (lambda id_: of_category(id_).filter(name=f"Lamp {id_}"), "has no value"),
    "slice": (lambda id_: of_category(id_)[:id_], ""),
    "now": (lambda id_: of_category(id_).filter(cart_items__cart__last_updated__lt=now()), "another one"),
    "today": (lambda id_: of_category(id_).filter(order_items__order__order_date=today()), "a date"),
    "chance": (lambda id_: of_category(id_).filter(name=random.random()), "another one"),
    "query": (lambda id_: of_category(id_).filter(stock=Category.objects.count()), "asks the database"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("build", BUILDS)
def test_what_would_stay_as_it_is_is_refused(build: str) -> None:
    function, reason = BUILDS[build]
    with pytest.raises(ImproperlyConfigured, match=f"^<lambda> cannot be compiled: .*{reason}"):
        Statement(function, PRODUCT, 1)


@pytest.mark.django_db
def test_a_parameter_is_used_as_f_is(gloves: Product) -> None:
    statement = Statement(
        lambda stock, added: Product.objects.filter(stock__gte=stock + added), {"name": "name"}, 2
    )
    assert len(statement.fetch(57, 1)) == 1
    assert len(statement.fetch(57, 2)) == 0


@pytest.mark.django_db
def test_a_queryset_that_changes_is_compiled_each_time(gloves: Product, computer: Product) -> None:
    for word, expected in (("gloves", [gloves]), ("WOOD", [computer]), ("", [gloves, computer])):
        queryset = Product.objects.filter(name__icontains=word) if word else Product.objects.all()
        found = select(queryset.order_by("pk"), PRODUCT)
        rows = [{"id": product.pk, "name": product.name} for product in expected]
        assert [json.loads(row) for row in found.page("default", limit=2, offset=0)] == rows
        assert [[json.loads(row) for row in chunk] for chunk in found.chunks("default")] == [rows]


@pytest.mark.django_db
def test_no_two_statements_have_one_name() -> None:
    """Behind a pooler that nobody told us of, another process's statement may be there under a name."""
    names = [statement.name for statement in statements().values()]
    assert len(set(names)) == len(names)
    again = {"product_id": "product_id", "name": "name"}
    catalog = Product.objects.catalog
    assert Statement(catalog, again, 0).name != Statement(catalog, PRODUCT, 0).name
    other = Statement(lambda: Product.objects.filter(stock__lt=11).order_by("stock", "product_id"), again, 0)
    assert other.name != Statement(Product.objects.low_stock, again, 0).name
    assert all(len(name) < 64 for name in names)


@pytest.mark.django_db(transaction=True)
def test_what_was_prepared_in_a_run_that_failed_is_known_then(gloves: Product) -> None:
    statement = Statement(Product.objects.catalog, {"n": "name"}, 0)
    with connection.cursor() as cursor:
        cursor.execute(statement.prepare(cursor))
    assert len(statement.fetch()) == 1
    assert len(statement.fetch()) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "lock", ["SELECT FROM product FOR UPDATE", "LOCK TABLE product IN ACCESS EXCLUSIVE MODE"]
)
def test_a_first_run_that_fails_harms_no_later_one(lock: str, gloves: Product) -> None:
    """Within a transaction as well, where nothing can be asked again, whether it was prepared or not."""

    def locked(product_id: Any) -> Any:
        return Product.objects.filter(pk=product_id).select_for_update()

    with transaction.atomic():  # without one Django compiles no lock
        statement = Statement(locked, PRODUCT, 1)

    @transaction.atomic
    def fetch() -> int:
        connection.cursor().execute("SET LOCAL lock_timeout = '100ms'")
        return len(statement.fetch(gloves.pk))

    with session() as other:
        other.execute(lock)
        with pytest.raises(OperationalError, match="lock timeout"):
            fetch()
    assert fetch() == 1


@pytest.mark.django_db
def test_constants_with_signs_of_sql_stay_what_they_are(home: Any) -> None:
    name = "100 % $1 %s ' \" \\ 🧤"
    product = Product.objects.create(name=name, price=1, category=home)
    statement = Statement(
        lambda category_id: Product.objects.filter(name=name, category_id=category_id), {"name": "name"}, 1
    )
    for _ in range(2):
        assert [json.loads(row) for row in statement.fetch(product.category_id)] == [{"name": name}]


@pytest.mark.django_db(transaction=True)
def test_every_thread_prepares_on_its_own_connection(gloves: Product) -> None:
    statement = Statement(Product.objects.catalog, PRODUCT, 0)
    expected = [f'{{"id":{gloves.pk},"name":"Elegant Marble Gloves"}}']
    answers = []
    ready = threading.Barrier(8)

    def ask() -> None:
        try:
            ready.wait()
            for _ in range(50):
                answers.append(statement.fetch())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 400


def terminate() -> None:
    """End this thread's connection, from another one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    other = psycopg2.connect(**parameters)
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_is_replaced(gloves: Product) -> None:
    statement = Statement(Product.objects.catalog, PRODUCT, 0)
    expected = statement.fetch()
    assert len(expected) == 1
    terminate()
    assert statement.fetch() == expected
    connection.close()
    assert statement.fetch() == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sql", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_what_a_pooler_discards_is_prepared_again(gloves: Product, sql: str) -> None:
    statement = Statement(Product.objects.catalog, PRODUCT, 0)
    expected = statement.fetch()
    with connection.cursor() as cursor:
        cursor.execute(sql)
    assert statement.fetch() == expected


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_changes_a_column_is_noticed(jonas: Customer) -> None:
    statement = Statement(lambda: Customer.objects.filter(pk=jonas.pk), {"ort": "ort"}, 0)
    assert statement.fetch() == ['{"ort":""}']
    with connection.cursor() as cursor:
        try:
            cursor.execute("ALTER TABLE customer ALTER ort DROP DEFAULT")
            cursor.execute("ALTER TABLE customer ALTER ort TYPE jsonb USING to_jsonb(length(ort))")
            assert statement.fetch() == ['{"ort":0}']
        finally:
            cursor.execute("ALTER TABLE customer ALTER ort TYPE varchar(100) USING 'Again'")
            cursor.execute("ALTER TABLE customer ALTER ort SET DEFAULT ''")
    assert statement.fetch() == ['{"ort":"Again"}']


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_nothing_is_asked_twice(gloves: Product) -> None:
    """The transaction is lost with its connection, or aborted by the error: the caller must know."""
    statement = Statement(Product.objects.catalog, PRODUCT, 0)
    statement.fetch()
    with pytest.raises(OperationalError, match="does not exist"), transaction.atomic():  # noqa: PT012
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        statement.fetch()
    assert len(statement.fetch()) == 1


RENAME = {"product_id": "bigint", "name": "text"}
RENAMED = "UPDATE product SET name = %(name)s WHERE product_id = %(product_id)s AND name <> %(name)s"


@pytest.mark.django_db
@pytest.mark.parametrize("pooled", [False, True])
def test_sql_of_ones_own_is_prepared_once(
    monkeypatch: pytest.MonkeyPatch, gloves: Product, *, pooled: bool
) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", pooled)
    rename = Prepared(RENAMED + f" AND {pooled} IS NOT NULL", **RENAME)
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        for name in ("100 % $1 %s ' \" \\ 🧤", "Mittens", "Mittens"):
            rename.run(cursor, product_id=gloves.pk, name=name)
            rowcount = cursor.rowcount
            gloves.refresh_from_db()
            assert gloves.name == name
    assert rowcount == 0
    updates = [query["sql"] for query in queries if "product_id" not in query["sql"][:30]]
    assert [sql[:7] for sql in updates] == (["UPDATE " if pooled else "EXECUTE"] * 3)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "lock", ["SELECT FROM product FOR UPDATE", "LOCK TABLE product IN ACCESS EXCLUSIVE MODE"]
)
def test_a_first_run_of_sql_of_ones_own_that_fails_harms_no_later_one(lock: str, gloves: Product) -> None:
    rename = Prepared(RENAMED, **RENAME)

    @transaction.atomic
    def run() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
            rename.run(cursor, product_id=gloves.pk, name="Mittens")
            return int(cursor.rowcount)

    with session() as other:
        other.execute(lock)
        with pytest.raises(OperationalError, match="lock timeout"):
            run()
    assert run() == 1


@pytest.mark.django_db(transaction=True)
def test_sql_of_ones_own_that_was_discarded_is_prepared_again(gloves: Product) -> None:
    """Not in the transaction that misses it, which is aborted."""
    rename = Prepared(RENAMED, **RENAME)
    with connection.cursor() as cursor:
        rename.run(cursor, product_id=gloves.pk, name="Mittens")
        cursor.execute("DEALLOCATE ALL")
        with pytest.raises(OperationalError, match="does not exist"):
            rename.run(cursor, product_id=gloves.pk, name="Gloves")
        rename.run(cursor, product_id=gloves.pk, name="Gloves")
        assert cursor.rowcount == 1
