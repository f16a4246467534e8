"""GET /shop/api/customer/<customer_id>/orders/"""

import datetime
from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Customer, Order


def test_orders_of_one_customer(client: Client, order: Order, jonas: Customer) -> None:
    Order.objects.create(customer=jonas)
    response = client.get(f"/shop/api/customer/{order.customer_id}/orders/")
    assert response.status_code == 200
    assert response.json() == [
        {
            "order_id": order.pk,
            "order_date": "2025-11-26",
            "status": "completed",
            "total_amount": "471.98",
            "customer_email": "deborah.bruen@example.com",
        }
    ]


def test_the_newest_order_comes_first_and_of_one_day_the_last_made(client: Client, deborah: Customer) -> None:
    dates = [datetime.date(2025, 3, 1), datetime.date(2025, 12, 1), datetime.date(2025, 3, 1)]
    ids = [Order.objects.create(customer=deborah, order_date=date).pk for date in dates]
    rows = client.get(f"/shop/api/customer/{deborah.pk}/orders/").json()
    assert [row["order_id"] for row in rows] == [ids[1], ids[2], ids[0]]


def test_no_orders_is_an_empty_array(client: Client, jonas: Customer) -> None:
    response = client.get(f"/shop/api/customer/{jonas.pk}/orders/")
    assert response.status_code == 200
    assert response.content == b"[]"


def test_unknown_customer_is_not_found(client: Client, deborah: Customer) -> None:
    response = client.get(f"/shop/api/customer/{deborah.pk + 1}/orders/")
    assert response.status_code == 404
    assert response.json() == {"error": "Customer not found"}


def test_queries_do_not_grow_with_the_rows(
    client: Client, deborah: Customer, jonas: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for rows, queries in ((0, 2), (1, 1), (50, 1)):
        Order.objects.all().delete()
        Order.objects.bulk_create(Order(customer=deborah, total_amount=Decimal(5)) for _ in range(rows))
        with django_assert_num_queries(queries):
            assert len(client.get(f"/shop/api/customer/{deborah.pk}/orders/").json()) == rows


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("status=pending", [1]),
        ("status=pending&status=shipped", [2, 1]),
        ("from=2025-02-01", [2, 1]),
        ("to=2025-02-01", [1, 0]),
        ("from=2025-02-01&to=2025-02-01&status=pending", [1]),
        ("from=2025-03-01&to=2025-02-01", []),
        ("status=cancelled", []),
    ],
)
def test_filters(
    client: Client,
    deborah: Customer,
    jonas: Customer,
    query: str,
    places: list[int],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    made = [
        Order.objects.create(customer=deborah, order_date=f"2025-0{month}-01", status=status).pk
        for month, status in ((1, "completed"), (2, "pending"), (3, "shipped"))
    ]
    Order.objects.create(customer=jonas, order_date="2025-02-01", status="pending")
    path = f"/shop/api/customer/{deborah.pk}/orders/"
    answer = client.get(f"{path}?{query}")
    assert [row["order_id"] for row in answer.json()] == [made[place] for place in places]
    for offset in (0, 5):
        with django_assert_num_queries(2):
            page = client.get(f"{path}?{query}&limit=1&offset={offset}&total=1")
        assert page.headers["X-Total-Count"] == str(len(places))
        assert [row["order_id"] for row in page.json()] == [made[place] for place in places[offset:][:1]]


def test_filters_of_nobody(
    client: Client, deborah: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for nobody in (deborah.pk + 1, 0, 2**31, 2**63, 10**30):
        for query in ("status=pending", "from=2025-01-01&offset=7&total=1"):
            with django_assert_num_queries(1 if nobody >= 2**31 else 2):
                answer = client.get(f"/shop/api/customer/{nobody}/orders/?{query}")
            assert (answer.status_code, answer.json()) == (404, {"error": "Customer not found"})
