"""GET /shop/api/category-stats/"""

from decimal import Decimal

from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Category, Product


def test_products_stock_and_price_of_each_category(
    client: Client, gloves: Product, electronics: Category
) -> None:
    for price, stock in (("0.01", 1), ("0.02", 2)):
        Product.objects.create(name="Lamp", price=Decimal(price), stock=stock, category=gloves.category)
    response = client.get("/shop/api/category-stats/")
    assert response.status_code == 200
    assert response.json() == [
        # 236.02 / 3 = 78.6733…
        {"category_name": "Home", "product_count": 3, "total_stock": 61, "avg_price": "78.67"},
        {"category_name": "Electronics", "product_count": 0, "total_stock": 0, "avg_price": "0.00"},
    ]


def test_averages_have_two_decimals_and_round_half_up(
    client: Client, home: Category, electronics: Category
) -> None:
    for category, prices in ((home, ("0.10", "0.11")), (electronics, ("3.00", "4.00"))):
        for price in prices:
            Product.objects.create(name="Lamp", price=Decimal(price), category=category)
    rows = client.get("/shop/api/category-stats/").json()
    assert [(row["category_name"], row["avg_price"]) for row in rows] == [
        ("Electronics", "3.50"),
        ("Home", "0.11"),
    ]


def test_queries_do_not_grow_with_the_rows(
    client: Client, home: Category, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert len(client.get("/shop/api/category-stats/").json()) == 1
    Category.objects.bulk_create(Category(category_name=f"More {i}") for i in range(49))
    with django_assert_num_queries(1):
        assert len(client.get("/shop/api/category-stats/").json()) == 50
