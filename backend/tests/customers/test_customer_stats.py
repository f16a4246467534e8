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
