"""With a hundred thousand orders: as many queries as with one, and an index where one row is asked for."""

import json
import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from shop.database.statements import CHUNK

ORDERS = 100_000
CUSTOMERS = 20_000

FILL = f"""
    SET LOCAL session_replication_role = replica;  -- leaves out 400,000 checks of foreign keys
    INSERT INTO category (category_name) SELECT 'Category ' || n FROM generate_series(1, 200) AS n;
    INSERT INTO product (name, price, stock, category_id)
        SELECT 'Product ' || n, n % 500, n % 97, 1 + n % 200 FROM generate_series(1, 5000) AS n;
    INSERT INTO customer (first_name, last_name, email, password)
        SELECT 'Customer', n, n || '@example.com', '!' FROM generate_series(1, {CUSTOMERS}) AS n;
    INSERT INTO "order" (customer_id, order_date, status, total_amount)
        SELECT 1 + n % {CUSTOMERS}, date '2025-01-01' + n % 365, 'completed', n % 1000
        FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO order_item (order_id, product_id, quantity, price_per_unit)
        SELECT n, 1 + n % 5000, 1 + n % 3, n % 500 FROM generate_series(1, {ORDERS}) AS n;
    INSERT INTO cart (customer_id) SELECT n FROM generate_series(1, 10000) AS n;
    INSERT INTO cart_item (cart_id, product_id, quantity)
        SELECT n, 1 + n % 5000, 1 FROM generate_series(1, 10000) AS n;
    SET LOCAL session_replication_role = origin;
    TRUNCATE product_sales;  -- adds up what the triggers did not see
    ANALYZE category, product, customer, "order", order_item, cart, cart_item, product_sales;
"""


EMPTY = 'TRUNCATE category, product, customer, "order", order_item, cart, cart_item RESTART IDENTITY CASCADE'


@pytest.fixture(scope="module")
def large_shop(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A shop of 100,000 orders, gone after this module."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {EMPTY}; {FILL} COMMIT;")
        yield
        cursor.execute(EMPTY)


pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.usefixtures("large_shop")]

# path, rows, index that the query must use
ENDPOINTS = [
    ("products/", 5_000, None),
    (f"customer/{CUSTOMERS // 2}/orders/", 5, "order_customer_id"),
    (f"order/{ORDERS // 2}/", 1, "order_item_order_id_"),
    ("customer/5000/cart/", 3, "cart_customer_unique"),
    ("bestsellers/", 10, None),
    ("low-stock/", 519, None),
    ("customer-stats/", CUSTOMERS, None),
    ("category-stats/", 200, None),
]


@pytest.mark.parametrize(("path", "rows", "index"), ENDPOINTS)
def test_an_endpoint_costs_few_queries_and_uses_an_index(
    client: Client, path: str, rows: int, index: str | None
) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = client.get(f"/shop/api/{path}")
        body = b"".join(response)
    assert response.status_code == 200
    assert len(json.loads(body)) == rows
    assert len(queries) == (2 if rows > CHUNK else 1)  # that a list is long is seen at its first rows
    if index:
        execute = queries[0]["sql"].removeprefix("EXECUTE")
        with connection.cursor() as cursor:
            for mode in ("force_custom_plan", "force_generic_plan"):
                cursor.execute(f"SET LOCAL plan_cache_mode = {mode}; EXPLAIN EXECUTE {execute}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
                assert index in plan
                assert not re.search(
                    r"Seq Scan on (customer|product|\"order\"|order_item|cart|cart_item)\b", plan
                )


@pytest.mark.parametrize(
    ("path", "cost"), [("customer/0/orders/", 2), ("order/0/", 2), ("customer/0/cart/", 1)]
)
def test_what_is_missing_costs_at_most_two_queries(client: Client, path: str, cost: int) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"/shop/api/{path}").status_code == 404
    assert len(queries) == cost


@pytest.mark.parametrize(
    "model", ["customer", "category", "product", "order", "orderitem", "cart", "cartitem"]
)
def test_an_admin_list_page_costs_at_most_twelve_queries(admin_client: Client, model: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = admin_client.get(f"/admin/shop/{model}/")
    assert response.status_code == 200
    assert len(queries) <= 12


def test_the_start_page_asks_eight_queries_and_finds_orders_by_indexes(
    admin_client: Client,
) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert admin_client.get("/admin/").status_code == 200
    about_the_caller = [
        query for query in queries if re.search('FROM "(auth_user|django_session)"', query["sql"])
    ]
    assert (len(queries), len(about_the_caller)) == (10, 2)
    for query in queries:
        if '"order"' in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {query['sql']}".replace("%", "%%"))
                assert 'Seq Scan on "order"' not in "\n".join(line for (line,) in cursor.fetchall())
