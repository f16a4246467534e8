"""GET /shop/api/product/<id>/: all that customers see of a product."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Product

PATH = "/shop/api/product"


def test_a_product_is_shown_with_its_description(
    client: Client, gloves: Product, computer: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Product.objects.filter(pk=gloves.pk).update(description='Warm "and" schön\nfor all.')
    with django_assert_num_queries(1):
        response = client.get(f"{PATH}/{gloves.pk}/")
    assert response.status_code == 200
    assert response.json() == {
        "product_id": gloves.pk,
        "name": "Elegant Marble Gloves",
        "description": 'Warm "and" schön\nfor all.',
        "price": "235.99",
        "stock": 58,
        "category": "Home",
    }
    assert list(response.json()) == ["product_id", "name", "description", "price", "stock", "category"]
    assert client.get(f"{PATH}/{computer.pk}/").json()["description"] == ""


@pytest.mark.django_db
@pytest.mark.parametrize("product_id", ["0", "1", "2147483648", "9" * 30])
def test_an_unknown_one_is_a_404(client: Client, product_id: str) -> None:
    response = client.get(f"{PATH}/{product_id}/")
    assert (response.status_code, response.json()) == (404, {"error": "Product not found"})


def test_it_is_public_and_kept_for_a_moment(client: Client, gloves: Product, settings: Settings) -> None:
    settings.SHOP_API_AUTH = "required"
    response = client.get(f"{PATH}/{gloves.pk}/", headers={"Authorization": "Bearer nonsense"})
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "public, max-age=5")
    again = client.get(f"{PATH}/{gloves.pk}/", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_it_takes_no_parameters_and_is_only_read(client: Client, gloves: Product) -> None:
    assert client.get(f"{PATH}/{gloves.pk}/?limit=1").status_code == 400
    response = client.post(f"{PATH}/{gloves.pk}/")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
