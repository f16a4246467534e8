"""What customers want stands among the first five of what they are shown: a judged list of queries."""

import pytest
from django.test import Client
from django.utils.http import urlencode
from pytest_django import Settings

from shop.models import Category, Product
from tests.catalog.judged import ENGLISH, GERMAN, PRODUCTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def judged_shop(db: None) -> None:
    for category_name, texts in PRODUCTS.items():
        category = Category.objects.create(category_name=category_name)
        Product.objects.bulk_create(
            Product(name=name, description=description, price=1, category=category)
            for name, description in texts
        )


@pytest.mark.parametrize(("language", "queries"), [("en", ENGLISH), ("de", GERMAN)])
def test_what_is_wanted_is_among_the_first_five(
    client: Client, judged_shop: None, settings: Settings, language: str, queries: dict[str, list[str]]
) -> None:
    settings.SHOP_LANGUAGE = language
    missed = {}
    for query, wanted in queries.items():
        rows = client.get(f"/shop/api/products/?{urlencode({'q': query, 'limit': '5'})}").json()
        shown = [row["name"] for row in rows]
        if not set(wanted) <= set(shown) or bool(wanted) != bool(shown):
            missed[query] = shown
    assert not missed


def test_there_are_sixty_of_them() -> None:
    assert len(ENGLISH) + len(GERMAN) >= 60
