"""GET /shop/api/order/<order_id>/"""

from decimal import Decimal

from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Customer, Order, OrderItem, Product


def test_lines_of_one_order(client: Client, order: Order, computer: Product, jonas: Customer) -> None:
    OrderItem.objects.create(order=order, product=computer, quantity=3, price_per_unit=Decimal("0.10"))
    other = Order.objects.create(customer=jonas)
    OrderItem.objects.create(order=other, product=computer, quantity=1, price_per_unit=1)
    response = client.get(f"/shop/api/order/{order.pk}/")
    assert response.status_code == 200
    head = {"order_id": order.pk, "order_date": "2025-11-26", "customer_name": "Deborah Bruen"}
    assert response.json() == [
        {
            **head,
            "product_name": "Elegant Marble Gloves",
            "quantity": 2,
            "price_per_unit": "235.99",
            "subtotal": "471.98",
        },
        {
            **head,
            "product_name": "Handmade Wooden Computer",
            "quantity": 3,
            "price_per_unit": "0.10",
            "subtotal": "0.30",
        },
    ]


def test_lines_come_as_they_were_entered(client: Client, order: Order, gloves: Product) -> None:
    second = OrderItem.objects.create(order=order, product=gloves, quantity=7, price_per_unit=1)
    OrderItem.objects.create(order=order, product=gloves, quantity=8, price_per_unit=1)
    OrderItem.objects.filter(pk=second.pk).update(price_per_unit=2)
    rows = client.get(f"/shop/api/order/{order.pk}/").json()
    assert [row["quantity"] for row in rows] == [2, 7, 8]


def test_no_items_is_an_empty_array(client: Client, jonas: Customer) -> None:
    order = Order.objects.create(customer=jonas)
    response = client.get(f"/shop/api/order/{order.pk}/")
    assert response.status_code == 200
    assert response.content == b"[]"


def test_unknown_order_is_not_found(client: Client, order: Order) -> None:
    response = client.get(f"/shop/api/order/{order.pk + 1}/")
    assert response.status_code == 404
    assert response.json() == {"error": "Order not found"}


def test_queries_do_not_grow_with_the_rows(
    client: Client, order: Order, gloves: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for rows, queries in ((0, 2), (1, 1), (50, 1)):
        OrderItem.objects.all().delete()
        OrderItem.objects.bulk_create(
            OrderItem(order=order, product=gloves, quantity=1, price_per_unit=1) for _ in range(rows)
        )
        with django_assert_num_queries(queries):
            assert len(client.get(f"/shop/api/order/{order.pk}/").json()) == rows
