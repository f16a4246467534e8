"""GET /shop/api/products/ and /shop/api/low-stock/: rows of the catalog."""

from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Category, Product

GLOVES = {"name": "Elegant Marble Gloves", "price": "235.99", "stock": 58, "category": "Home"}
COMPUTER = {"name": "Handmade Wooden Computer", "price": "369.35", "stock": 2, "category": "Electronics"}


def test_products_come_in_the_order_of_their_ids(client: Client, gloves: Product, computer: Product) -> None:
    Product.objects.filter(pk=gloves.pk).update(description="changed, so that it is stored last")
    response = client.get("/shop/api/products/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == [
        {"product_id": gloves.pk, **GLOVES},
        {"product_id": computer.pk, **COMPUTER},
    ]
    assert list(response.json()[0]) == ["product_id", "name", "price", "stock", "category"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["products", "low-stock"])
def test_no_products_is_an_empty_array(client: Client, path: str) -> None:
    response = client.get(f"/shop/api/{path}/")
    assert response.status_code == 200
    assert response.content == b"[]"


def test_money_has_two_decimals_at_both_ends(client: Client, home: Category) -> None:
    for price in ("0", "7.5", "99999999.99"):
        Product.objects.create(name="Gift", price=Decimal(price), category=home)
    prices = [product["price"] for product in client.get("/shop/api/products/").json()]
    assert prices == ["0.00", "7.50", "99999999.99"]


def test_names_keep_their_unicode(client: Client, home: Category) -> None:
    name = "Grüße 手袋 🧤 <b>'\"\\"
    Product.objects.create(name=name, price=1, category=home)
    assert client.get("/shop/api/products/").json()[0]["name"] == name


def test_low_stock_is_below_ten_and_the_scarcest_first(client: Client, home: Category) -> None:
    stocks = [9, 10, 0, 9, 11]
    ids = [Product.objects.create(name="Lamp", price=1, stock=stock, category=home).pk for stock in stocks]
    rows = client.get("/shop/api/low-stock/").json()
    lamp = {"name": "Lamp", "price": "1.00", "category": "Home"}
    assert rows == [
        {"product_id": ids[2], "stock": 0, **lamp},
        {"product_id": ids[0], "stock": 9, **lamp},
        {"product_id": ids[3], "stock": 9, **lamp},
    ]


@pytest.mark.parametrize("path", ["products", "low-stock"])
def test_queries_do_not_grow_with_the_rows(
    client: Client, computer: Product, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert len(client.get(f"/shop/api/{path}/").json()) == 1
    Product.objects.bulk_create(Product(name="More", price=1, category=computer.category) for _ in range(49))
    with django_assert_num_queries(1):
        assert len(client.get(f"/shop/api/{path}/").json()) == 50
