"""GET /shop/api/bestsellers/"""

from decimal import Decimal

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
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


def rows(client: Client, query: str) -> list[tuple[int, int, str]]:
    """Product, units and revenue of each row."""
    answer = client.get(f"/shop/api/bestsellers/?{query}")
    assert answer.status_code == 200
    return [(row["product_id"], row["total_sold"], row["total_revenue"]) for row in answer.json()]


def test_of_some_orders(
    client: Client, order: Order, jonas: Customer, gloves: Product, computer: Product
) -> None:
    """Deborah's is of 2025-11-26, completed, with two gloves."""
    cancelled = Order.objects.create(customer=jonas, status="cancelled", order_date="2025-11-30")
    sell(cancelled, gloves, 1, "100.00")
    sell(cancelled, computer, 5, "0.10")
    sell(cancelled, computer, 1, "0.05")
    g, c = gloves.pk, computer.pk
    for query, expected in {
        "": [(c, 6, "0.55"), (g, 3, "571.98")],
        "status=cancelled&status=completed": [(c, 6, "0.55"), (g, 3, "571.98")],
        "from=2025-11-26&to=2025-11-30": [(c, 6, "0.55"), (g, 3, "571.98")],
        "status=cancelled": [(c, 6, "0.55"), (g, 1, "100.00")],
        "to=2025-11-29": [(g, 2, "471.98")],
        "from=2025-11-27": [(c, 6, "0.55"), (g, 1, "100.00")],
        "from=2025-11-27&status=completed": [],
        "from=2025-11-27&to=2025-11-26": [],
        "status=pending": [],
    }.items():
        assert rows(client, query) == expected
        page = client.get(f"/shop/api/bestsellers/?{query}&limit=1&offset=1&total=1")
        assert page.headers["X-Total-Count"] == str(len(expected))
        assert [row["product_id"] for row in page.json()] == [product for product, *_ in expected[1:2]]
    assert (
        client.get("/shop/api/bestsellers/?status=cancelled").content
        == (
            f'[{{"product_id":{c},"name":"Handmade Wooden Computer","price":"369.35",'
            f'"total_sold":6,"total_revenue":"0.55"}},'
            f'{{"product_id":{g},"name":"Elegant Marble Gloves","price":"235.99",'
            f'"total_sold":1,"total_revenue":"100.00"}}]'
        ).encode()
    )


def test_ten_at_most_of_some_orders(
    client: Client, order: Order, gloves: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    OrderItem.objects.all().delete()
    products = Product.objects.bulk_create(
        Product(name="More", price=1, category=gloves.category) for _ in range(12)
    )
    for product in reversed(products):
        sell(order, product, 4, "1")
    sell(order, products[-1], 1, "1")
    with django_assert_num_queries(2):
        answer = client.get("/shop/api/bestsellers/?status=completed&total=1&limit=1000")
    expected = [products[-1], *products[:9]]
    assert [row["product_id"] for row in answer.json()] == [product.pk for product in expected]
    assert (answer.headers["X-Total-Count"], "Link" in answer.headers) == ("10", False)
    assert client.get("/shop/api/bestsellers/?status=completed&offset=10").json() == []


def test_units_beyond_an_integer(client: Client, order: Order, gloves: Product) -> None:
    for _ in range(2):
        sell(order, gloves, 2**31 - 1, "0.01")
    assert rows(client, "status=completed")[0][1] == 2**32


def test_days_beyond_all_orders_cost_no_look_at_their_lines(
    client: Client, order: Order, gloves: Product
) -> None:
    whole = client.get("/shop/api/bestsellers/").json()
    for query, reads_lines in (
        ("from=2000-01-01&to=2100-01-01", False),
        ("from=2000-01-01&to=2000-01-02", True),
    ):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/shop/api/bestsellers/?{query}")
        assert answer.json() == ([] if reads_lines else whole)
        assert any("order_item" in query["sql"] for query in queries) is reads_lines
