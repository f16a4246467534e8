"""GET /shop/api/bestsellers/"""

from decimal import Decimal

from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Customer, Order, OrderItem, Product


def sell(order: Order, product: Product, quantity: int, price: str) -> None:
    OrderItem.objects.create(order=order, product=product, quantity=quantity, price_per_unit=Decimal(price))


def test_sold_pieces_and_revenue_add_up_over_all_orders(
    client: Client, order: Order, jonas: Customer, gloves: Product, computer: Product
) -> None:
    cancelled = Order.objects.create(customer=jonas, status="cancelled")
    sell(cancelled, gloves, 1, "100.00")  # counts too, at the price of its day
    sell(cancelled, computer, 5, "0.10")
    Product.objects.create(name="Never sold", price=1, category=gloves.category)
    response = client.get("/shop/api/bestsellers/")
    assert response.status_code == 200
    assert response.json() == [
        {
            "product_id": computer.pk,
            "name": "Handmade Wooden Computer",
            "price": "369.35",
            "total_sold": 5,
            "total_revenue": "0.50",
        },
        {
            "product_id": gloves.pk,
            "name": "Elegant Marble Gloves",
            "price": "235.99",
            "total_sold": 3,
            "total_revenue": "571.98",
        },
    ]


def test_ten_at_most_and_equals_by_id(
    client: Client, order: Order, gloves: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert len(client.get("/shop/api/bestsellers/").json()) == 1
    OrderItem.objects.all().delete()
    products = Product.objects.bulk_create(
        Product(name="More", price=1, category=gloves.category) for _ in range(50)
    )
    for product in reversed(products):
        sell(order, product, 4, "1")
    sell(order, products[-1], 1, "1")
    with django_assert_num_queries(1):
        rows = client.get("/shop/api/bestsellers/").json()
    expected = [products[-1], *products[:9]]
    assert [row["product_id"] for row in rows] == [product.pk for product in expected]
    assert [row["total_sold"] for row in rows] == [5, 4, 4, 4, 4, 4, 4, 4, 4, 4]
