"""The three SQL files beside the backend are the twins of the schema, the sample data and the queries."""

import datetime
import json
import re
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Avg, BigAutoField, Count, F, Q, QuerySet, Sum
from django.test import Client

from shop.models import Category, Customer, Order, Product
from tests import ROOT

TABLES = sorted(model._meta.db_table for model in apps.get_app_config("shop").get_models())

pytestmark = pytest.mark.django_db

CATALOG = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale,
               is_nullable, column_default, is_identity, identity_generation
        FROM information_schema.columns WHERE table_name = ANY(%s) AND table_schema = 'public'""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE conrelid::regclass::text = ANY(%s) AND contype <> 'n'""",
    # An index is its table, columns and uniqueness; Django and PostgreSQL name one each in its own way.
    "indexes": r"""
        SELECT regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \S+ ON', 'INDEX ON')
        FROM pg_index WHERE indrelid::regclass::text = ANY(%s)""",
    "triggers": """
        SELECT pg_get_triggerdef(oid) FROM pg_trigger
        WHERE tgrelid::regclass::text = ANY(%s) AND NOT tgisinternal""",
    "views": """
        SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' AND %s::text[] IS NOT NULL""",
    "functions": """
        SELECT pg_get_functiondef(pg_proc.oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND %s::text[] IS NOT NULL""",
}


def catalog(cursor: Any) -> dict[str, list[Any]]:
    names = [*TABLES, '"order"']
    found = {}
    for subject, query in CATALOG.items():
        cursor.execute(query, [names])
        found[subject] = sorted(cursor.fetchall())
    return found


def contents(cursor: Any) -> dict[str, list[Any]]:
    """The rows of all tables; of the totals, whose keys tell in which steps they grew, without the keys."""
    found = {}
    for model in apps.get_app_config("shop").get_models():
        skipped = int(isinstance(model._meta.pk, BigAutoField))
        columns = ", ".join(field.column for field in model._meta.fields[skipped:])
        cursor.execute(f'SELECT {columns} FROM "{model._meta.db_table}" ORDER BY 1')
        found[model._meta.db_table] = cursor.fetchall()
    return found


def test_01_makes_the_migrated_schema(other_database: Any) -> None:
    other_database.execute((ROOT / "01_create_tables.sql").read_text())
    with connection.cursor() as cursor:
        migrated = catalog(cursor)
    written = catalog(other_database)
    for subject in CATALOG:
        assert migrated[subject], subject
        assert written[subject] == migrated[subject], subject


@pytest.mark.slow
def test_02_inserts_the_rows_of_load_sample_data(other_database: Any) -> None:
    other_database.execute((ROOT / "01_create_tables.sql").read_text())
    other_database.execute("SET TIME ZONE 'UTC'")
    other_database.execute((ROOT / "02_insert_sample_data.sql").read_text())
    call_command("load_sample_data")
    with connection.cursor() as cursor:
        loaded = contents(cursor)
    assert {table: len(rows) for table, rows in loaded.items()} == {
        "customer": 100,
        "category": 22,
        "product": 120,
        "order": 300,
        "order_item": 804,
        "cart": 50,
        "cart_item": 115,
        "product_sales": 120,
        "customer_spending": 97,
        "category_stock": 22,
        "search_word": 26,
        **dict.fromkeys(
            ("delivery", "order_history", "order_note", "idempotency_key", "refresh_token", "request_count"),
            0,
        ),
        **dict.fromkeys(("job", "mail", "payment", "payment_event", "invoice", "stock_correction"), 0),
        **dict.fromkeys(("product_import", "import_part", "import_line"), 0),
    }
    assert contents(other_database) == loaded
    other_database.execute("INSERT INTO category (category_name) VALUES ('New') RETURNING category_id")
    assert other_database.fetchone() == (23,)


def test_02_is_what_sample_data_sql_prints(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sample_data_sql")
    assert capsys.readouterr().out == (ROOT / "02_insert_sample_data.sql").read_text()


def queries() -> dict[str, str]:
    """The statements of 03_queries.sql by name."""
    return dict(re.findall(r"^-- name: (\S+)\n(.+?);$", (ROOT / "03_queries.sql").read_text(), re.M | re.S))


def rows_of(name: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(queries()[name])
        return named_rows(cursor)


def named_rows(cursor: CursorWrapper) -> list[dict[str, Any]]:
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


ENDPOINTS = {
    "products": "products/",
    "customer-orders": "customer/1/orders/",
    "order-details": "order/1/",
    "customer-cart": "customer/1/cart/",
    "bestsellers": "bestsellers/",
    "bestsellers-from-the-lines": "bestsellers/",
    "low-stock": "low-stock/",
    "customer-stats": "customer-stats/",
    "category-stats": "category-stats/",
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_03_gives_what_the_endpoint_gives(name: str, client: Client, sample_data: None) -> None:
    answer = client.get(f"/shop/api/{ENDPOINTS[name]}").json()
    rows = answer["items"] if name == "customer-cart" else answer
    assert rows
    assert json.loads(json.dumps(rows_of(name), cls=DjangoJSONEncoder)) == rows


def examples() -> dict[str, QuerySet[Any, Any]]:
    """The examples of docs/QUERIES.md that 03 has as SQL."""
    today = datetime.datetime.now().date()
    month, year = today - datetime.timedelta(days=30), today - datetime.timedelta(days=365)
    revenue = Sum(F("order_items__quantity") * F("order_items__price_per_unit"))
    return {
        "electronics": Product.objects.filter(category__category_name="Electronics").values("product_id"),
        "expensive": Product.objects.filter(price__gte=500).values("product_id"),
        "revenue-per-product": Product.objects.annotate(revenue=revenue).values("product_id", "revenue"),
        "customer-order-statistics": Customer.objects.annotate(
            order_count=Count("orders"), total_spent=Sum("orders__total_amount")
        ).values("customer_id", "order_count", "total_spent"),
        "category-summary": Category.objects.annotate(
            product_count=Count("products"), avg_price=Avg("products__price")
        ).values("category_id", "product_count", "avg_price"),
        "low-stock-or-expensive": Product.objects.filter(Q(stock__lt=10) | Q(price__gt=1000)).values(
            "product_id"
        ),
        "recent-orders": Order.objects.filter(order_date__gte=month).values("order_id"),
        "never-ordered": Product.objects.filter(order_items__isnull=True).values("product_id"),
        "spent-over-500": Customer.objects.annotate(total=Sum("orders__total_amount"))
        .filter(total__gt=500)
        .values("customer_id", "total"),
        "old-completed-orders": Order.objects.filter(order_date__lt=year, status="completed").values(
            "order_id"
        ),
    }


WRITING = ("take-stock", "ship-order")


def test_03_writes_only_what_is_so(gloves: Product, deborah: Customer) -> None:
    order = Order.objects.create(pk=1, customer=deborah)
    Product.objects.filter(pk=gloves.pk).update(product_id=1, stock=5)
    stocks = [rows_of("take-stock") for _ in range(3)]
    assert stocks == [[{"product_id": 1, "stock": 3}], [{"product_id": 1, "stock": 1}], []]
    assert [rows_of("ship-order") for _ in range(2)] == [[{"order_id": order.pk, "status": "shipped"}], []]


def test_03_gives_what_the_examples_give(sample_data: None) -> None:
    deborah = Customer.objects.get(customer_id=1)
    for days in (0, 30, 31, 365, 366):
        date = datetime.datetime.now().date() - datetime.timedelta(days=days)
        Order.objects.create(customer=deborah, order_date=date, status="completed")
    Product.objects.create(name="Never ordered", price=1, category_id=1)
    assert set(queries()) == {*ENDPOINTS, *examples(), *WRITING}
    for name, example in examples().items():
        key = next(iter(example[0]))
        assert sorted(rows_of(name), key=lambda row: row[key]) == list(example.order_by(key)), name
