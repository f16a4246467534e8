"""GET /shop/api/customer-stats/"""

from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Customer, Order, OrderItem, Product


def test_orders_and_spending_of_each_customer(
    client: Client, order: Order, jonas: Customer, computer: Product
) -> None:
    # A second line must not count the order twice.
    OrderItem.objects.create(order=order, product=computer, quantity=1, price_per_unit=1)
    Order.objects.create(customer=order.customer, total_amount=Decimal("0.02"), status="cancelled")
    response = client.get("/shop/api/customer-stats/")
    assert response.status_code == 200
    assert response.json() == [
        {
            "customer_id": order.customer_id,
            "name": "Deborah Bruen",
            "email": "deborah.bruen@example.com",
            "total_orders": 2,
            "total_spent": "472.00",
        },
        {
            "customer_id": jonas.pk,
            "name": "Jonas Groß 🛒",
            "email": "jonas@example.com",
            "total_orders": 0,
            "total_spent": "0.00",
        },
    ]


def test_the_biggest_spender_comes_first_and_equals_by_id(
    client: Client, deborah: Customer, jonas: Customer
) -> None:
    third = Customer.objects.create(first_name="C", last_name="C", email="c@example.com", password="!")
    for customer, amount in ((jonas, 20), (deborah, 10), (third, 10)):
        Order.objects.create(customer=customer, total_amount=amount)
    Customer.objects.filter(pk=deborah.pk).update(ort="changed, so that it is stored last")
    rows = client.get("/shop/api/customer-stats/").json()
    assert [row["customer_id"] for row in rows] == [jonas.pk, deborah.pk, third.pk]


def test_queries_do_not_grow_with_the_rows(
    client: Client, order: Order, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert len(client.get("/shop/api/customer-stats/").json()) == 1
    Customer.objects.bulk_create(
        Customer(first_name="More", last_name=str(i), email=f"{i}@example.com", password="!")
        for i in range(49)
    )
    with django_assert_num_queries(1):
        assert len(client.get("/shop/api/customer-stats/").json()) == 50


@pytest.mark.django_db
def test_of_the_orders_only_the_index_is_read() -> None:
    with connection.cursor() as cursor:
        usage = "information_schema.view_column_usage"
        cursor.execute(f"SELECT column_name FROM {usage} WHERE view_name = 'customer_spending'")
        columns = {name for (name,) in cursor.fetchall()}
    (index,) = (index for index in Order._meta.indexes if index.name == "order_customer_id")
    assert columns == {"customer_id", *index.include}


def test_of_some_orders_all_customers_are_listed(
    client: Client, deborah: Customer, jonas: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for customer, day, status, amount in (
        (deborah, "2025-01-31", "completed", "10.00"),
        (deborah, "2025-02-01", "completed", "5.00"),
        (deborah, "2025-02-01", "cancelled", "0.50"),
        (jonas, "2025-02-28", "cancelled", "7.00"),
        (jonas, "2025-03-01", "completed", "0.00"),
    ):
        Order.objects.create(customer=customer, order_date=day, status=status, total_amount=Decimal(amount))
    third = Customer.objects.create(first_name="C", last_name="C", email="c@example.com", password="!")
    d, j, c = deborah.pk, jonas.pk, third.pk
    for query, expected in {
        "": [(d, 3, "15.50"), (j, 2, "7.00"), (c, 0, "0.00")],
        "from=0001-01-01&to=9999-12-31": [(d, 3, "15.50"), (j, 2, "7.00"), (c, 0, "0.00")],
        "from=2025-02-01&to=2025-02-28": [(j, 1, "7.00"), (d, 2, "5.50"), (c, 0, "0.00")],
        "status=completed": [(d, 2, "15.00"), (j, 1, "0.00"), (c, 0, "0.00")],
        "status=completed&status=cancelled&from=2025-02-28": [(j, 2, "7.00"), (d, 0, "0.00"), (c, 0, "0.00")],
        "status=completed&from=2025-03-01": [(d, 0, "0.00"), (j, 1, "0.00"), (c, 0, "0.00")],
        "status=pending": [(d, 0, "0.00"), (j, 0, "0.00"), (c, 0, "0.00")],
        "from=2025-02-01&to=2025-01-31": [(d, 0, "0.00"), (j, 0, "0.00"), (c, 0, "0.00")],
    }.items():
        # Days without a status are first compared with those of all orders.
        more = int("from" in query and "status" not in query)
        with django_assert_num_queries(1 + more):
            rows = client.get(f"/shop/api/customer-stats/?{query}").json()
        assert [(row["customer_id"], row["total_orders"], row["total_spent"]) for row in rows] == expected
        for offset in range(4):
            with django_assert_num_queries(2 + more):
                page = client.get(f"/shop/api/customer-stats/?{query}&limit=1&offset={offset}&total=1")
            assert (page.json(), page.headers["X-Total-Count"]) == (rows[offset : offset + 1], "3")
            assert ('rel="next"' in page.headers.get("Link", "")) is (offset < 2)
    assert (
        client.get("/shop/api/customer-stats/?status=cancelled&limit=1").content
        == (
            f'[{{"customer_id":{j},"name":"Jonas Groß 🛒","email":"jonas@example.com",'
            f'"total_orders":1,"total_spent":"7.00"}}]'
        ).encode()
    )
