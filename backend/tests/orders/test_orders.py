"""GET /shop/api/orders/"""

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from shop.database.statements import CHUNK
from shop.models import Customer, Order
from tests.support.calling import Caller


def place(customer: Customer, day: str, status: str, amount: str = "1.00") -> int:
    return Order.objects.create(
        customer=customer, order_date=day, status=status, total_amount=Decimal(amount)
    ).pk


@pytest.fixture
def some(ada: Customer, jonas: Customer) -> list[int]:
    """Five orders, the oldest first but for the last two, which are of one day."""
    return [
        place(ada, "2025-01-31", "completed"),
        place(jonas, "2025-02-01", "cancelled"),
        place(ada, "2025-02-28", "pending"),
        place(jonas, "2025-03-01", "pending"),
        place(ada, "2025-03-01", "shipped"),
    ]


def ids(staff: Caller, query: str) -> list[int]:
    answer = staff.get(f"orders/?{query}")
    assert answer.status_code == 200
    return [row["order_id"] for row in answer.json()]


def test_a_row(staff: Caller, order: Order) -> None:
    answer = staff.get("orders/")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.content.decode() == json.dumps(
        [
            {
                "order_id": order.pk,
                "order_date": "2025-11-26",
                "status": "completed",
                "total_amount": "471.98",
                "customer_id": order.customer_id,
                "customer_name": "Deborah Bruen",
                "customer_email": "deborah.bruen@example.com",
            }
        ],
        separators=(",", ":"),
    )


def test_the_newest_come_first_and_of_one_day_the_last_made(staff: Caller, some: list[int]) -> None:
    assert ids(staff, "") == some[::-1]
    assert ids(staff, "limit=2&offset=1") == some[::-1][1:3]


def test_an_empty_shop_has_none(staff: Caller) -> None:
    for query in ("", "status=pending", "total=1"):
        assert ids(staff, query) == []


def test_filters(staff: Caller, some: list[int]) -> None:
    cases: list[tuple[str, list[int]]] = [
        ("status=pending", [3, 2]),
        ("status=pending&status=shipped", [4, 3, 2]),
        ("status=pending&status=pending", [3, 2]),
        ("status=processing", []),
        (
            "status=pending&status=processing&status=shipped&status=completed&status=cancelled",
            [4, 3, 2, 1, 0],
        ),
        ("from=2025-02-28", [4, 3, 2]),
        ("to=2025-02-01", [1, 0]),
        ("from=2025-02-01&to=2025-02-28", [2, 1]),
        ("from=2025-03-01&to=2025-03-01", [4, 3]),
        ("from=2025-03-02&to=2025-03-01", []),
        ("from=9999-12-31", []),
        ("to=0001-01-01", []),
        ("status=pending&from=2025-03-01", [3]),
        ("status=cancelled&to=2025-01-31", []),
        ("customer=9223372036854775807", []),
        ("customer=2147483648", []),
        ("customer=0", []),
        ("customer=" + "9" * 100, []),
    ]
    for query, places in cases:
        assert ids(staff, query) == [some[place] for place in places], query
        answer = staff.get(f"orders/?{query}&limit=1&offset=1&total=1")
        assert answer.headers["X-Total-Count"] == str(len(places)), query
        assert [row["order_id"] for row in answer.json()] == [some[place] for place in places[1:2]], query


def test_of_a_customer(staff: Caller, ada: Customer, jonas: Customer, some: list[int]) -> None:
    assert ids(staff, f"customer={ada.pk}") == [some[4], some[2], some[0]]
    assert ids(staff, f"customer={jonas.pk}&status=pending&from=2025-01-01&to=2025-12-31") == [some[3]]


def test_links_keep_the_filters(staff: Caller, some: list[int]) -> None:
    query = "status=pending&status=shipped&from=2025-02-01"
    answer = staff.get(f"orders/?{query}&limit=1&offset=1")
    link = f'</shop/api/orders/?{query}&limit=1&offset={{}}>; rel="{{}}"'
    assert answer.headers["Link"] == f"{link.format(2, 'next')}, {link.format(0, 'prev')}"


def test_a_bad_parameter(staff: Caller) -> None:
    for query in (
        "status=",
        "status=open",
        "status=Pending",
        "status=pending&status=x",
        "status=pending,shipped",
        "from=",
        "from=2025-02-30",
        "from=26.11.2025",
        "to=2025-1-1",
        "to=2025-01-01&to=2025-01-01",
        "customer=",
        "customer=-1",
        "customer=x",
        "customer=1&customer=2",
        "customer_id=1",
        "q=x",
    ):
        answer = staff.get(f"orders/?{query}")
        name = query.partition("=")[0]
        assert answer.status_code == 400, query
        assert answer.json() == {
            "error": f"Unknown or bad parameter '{name}'; known: "
            "status (pending, processing, shipped, completed, cancelled), from (YYYY-MM-DD), "
            "to (YYYY-MM-DD), customer (an id), limit (1 to 1000), offset (0 to 999999999), total (1 to 1)"
        }, query


@pytest.mark.django_db
def test_it_is_never_open(client: Client, settings: Any, some: list[int]) -> None:
    settings.SHOP_API_AUTH = "open"
    assert client.get("/shop/api/orders/").status_code == 401
    assert client.get("/shop/api/orders/?status=pending").status_code == 401


def test_queries_do_not_grow_with_the_rows(
    staff: Caller, ada: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for rows in (1, 50):
        Order.objects.all().delete()
        Order.objects.bulk_create(Order(customer=ada) for _ in range(rows))
        for query, number in (("", 2), ("?status=pending", 2), ("?status=pending&total=1", 3)):
            with django_assert_num_queries(number):  # one tells who calls
                assert len(staff.get(f"orders/{query}").json()) == rows


def test_to_count_needs_no_customer(staff: Caller, some: list[int]) -> None:
    for query in ("total=1", "status=pending&total=1"):
        with CaptureQueriesContext(connection) as queries:
            staff.get(f"orders/?{query}")
        assert "customer" not in queries[-1]["sql"]
        assert "COUNT(*)" in queries[-1]["sql"]


@pytest.mark.django_db(transaction=True)
def test_a_long_list_is_streamed(staff: Caller, ada: Customer) -> None:
    day = datetime.date(2025, 1, 1)
    made = Order.objects.bulk_create(
        Order(customer=ada, order_date=day + datetime.timedelta(days=n % 3)) for n in range(2 * CHUNK + 1)
    )
    expected = [order.pk for order in sorted(made, key=lambda o: (o.order_date, o.pk), reverse=True)]
    whole = staff.get("orders/")
    assert whole.streaming
    assert [row["order_id"] for row in json.loads(b"".join(whole))] == expected
    lines = b"".join(staff.ask("GET", "orders/", accept="text/csv")).decode().splitlines()
    assert lines[0] == "order_id,order_date,status,total_amount,customer_id,customer_name,customer_email"
    assert [int(line.partition(",")[0]) for line in lines[1:]] == expected
    assert ids(staff, "status=pending") == expected[:CHUNK]
