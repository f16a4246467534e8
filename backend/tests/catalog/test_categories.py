"""GET /shop/api/categories/: what there is to choose from."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Category, Product


def test_categories_come_by_name_with_the_number_of_their_products(
    client: Client, gloves: Product, computer: Product, settings: Settings
) -> None:
    settings.SHOP_API_AUTH = "required"
    Product.objects.create(name="Lamp", price=1, category=gloves.category)
    others = [Category.objects.create(category_name=name) for name in ("Zelte", "Öle", "obst")]
    response = client.get("/shop/api/categories/")
    assert response.status_code == 200
    assert response.json() == [
        {"category_id": computer.category_id, "category_name": "Electronics", "product_count": 1},
        {"category_id": gloves.category_id, "category_name": "Home", "product_count": 2},
        {"category_id": others[2].pk, "category_name": "obst", "product_count": 0},
        {"category_id": others[1].pk, "category_name": "Öle", "product_count": 0},
        {"category_id": others[0].pk, "category_name": "Zelte", "product_count": 0},
    ]
    assert list(response.json()[0]) == ["category_id", "category_name", "product_count"]


@pytest.mark.django_db
def test_none_is_an_empty_array(client: Client) -> None:
    assert client.get("/shop/api/categories/").content == b"[]"


def test_queries_do_not_grow_with_the_rows(
    client: Client, home: Category, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Category.objects.bulk_create(Category(category_name=f"Category {number:02}") for number in range(49))
    with django_assert_num_queries(1):
        assert len(client.get("/shop/api/categories/").json()) == 50
    with django_assert_num_queries(2):
        response = client.get("/shop/api/categories/?limit=2&offset=49&total=1")
    assert ([row["category_name"] for row in response.json()], response.headers["X-Total-Count"]) == (
        ["Home"],
        "50",
    )
