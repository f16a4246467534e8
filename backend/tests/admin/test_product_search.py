"""The search above the list of products in the admin, which is also behind the choice of a product."""

import pytest
from django.test import Client
from pytest_django import Settings

from shop.models import Category, Product

LIST = "/admin/shop/product/"


def shown(admin_client: Client, words: str) -> list[str]:
    response = admin_client.get(LIST, {"q": words})
    assert response.status_code == 200
    return [product.name for product in response.context["cl"].result_list]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("wooden", True),
        ("computers handmade", True),
        ("electronics", True),
        ("hand", True),
        ("computre", True),
        ("gloves", False),
        ("the", False),
        ("!", False),
        ("x" * 500, False),
        ("9" * 30, False),
    ],
)
def test_it_finds_what_customers_find(
    admin_client: Client, computer: Product, words: str, found: bool
) -> None:
    assert shown(admin_client, words) == ([computer.name] if found else [])


def test_it_finds_a_number(admin_client: Client, gloves: Product, computer: Product) -> None:
    assert shown(admin_client, str(computer.pk)) == [computer.name]
    assert shown(admin_client, f" {gloves.pk} ") == [gloves.name]
    Product.objects.filter(pk=gloves.pk).update(name=f"Gloves {computer.pk}")
    assert shown(admin_client, str(computer.pk)) == [f"Gloves {computer.pk}", computer.name]
    assert shown(admin_client, "") == [f"Gloves {computer.pk}", computer.name]


def test_it_finds_the_largest_number(admin_client: Client, home: Category) -> None:
    last = Product.objects.create(pk=2**31 - 1, name="Hat", price=1, category=home)
    assert shown(admin_client, f"#{last.pk}") == ["Hat"]
    assert shown(admin_client, "9" * 18) == []


def test_in_the_language_of_the_shop(admin_client: Client, gloves: Product, settings: Settings) -> None:
    Product.objects.filter(pk=gloves.pk).update(name="Kleines Haus")
    settings.SHOP_LANGUAGE = "de"
    assert shown(admin_client, "kleinen häusern") == ["Kleines Haus"]


def test_the_choice_of_a_product_too(admin_client: Client, computer: Product) -> None:
    query = {
        "term": "wooden computr",
        "app_label": "shop",
        "model_name": "orderitem",
        "field_name": "product",
    }
    answer = admin_client.get("/admin/autocomplete/", query).json()
    assert [result["text"] for result in answer["results"]] == [computer.name]
