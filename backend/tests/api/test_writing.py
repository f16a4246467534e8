"""The kit to write with, on endpoints of these tests: what a body may be, who calls, that it runs once."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.db import OperationalError
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.urls import include, path
from pytest_django import Settings

from shop.api.audience import EVERYBODY, Caller, staff
from shop.api.fields import IntegerField, MoneyField, TextField
from shop.api.reading import list_endpoint
from shop.api.routing import route
from shop.api.writing import write_endpoint
from shop.catalog.models import Category, Product
from shop.database import standby

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

RUNS: list[str] = []


class ProductForm(forms.Form):
    name = TextField(max_length=20)
    price = MoneyField()
    stock = IntegerField(min_value=0, required=False)


@write_endpoint(EVERYBODY, ProductForm)
def add_product(caller: Caller, data: dict[str, Any], *, category_id: int) -> HttpResponse:
    """Add a product."""
    RUNS.append(str(caller))
    data["stock"] = data["stock"] or 0
    product = Product.objects.create(category_id=category_id, **data)
    return JsonResponse(
        {"name": product.name, "price": str(product.price), "stock": product.stock}, status=201
    )


@write_endpoint(staff("shop.delete_product"))
def remove_products(caller: Caller, data: dict[str, Any], *, category_id: int) -> HttpResponse:
    Product.objects.filter(category_id=category_id).delete()
    return HttpResponse(status=204)


@write_endpoint(EVERYBODY)
def lose_the_database(caller: Caller, data: dict[str, Any]) -> HttpResponse:
    RUNS.append("lost")
    raise OperationalError


@list_endpoint(EVERYBODY, {"name": "category_name"}, from_primary=True)
def categories() -> Any:
    return Category.objects.order_by("pk")


urlpatterns = [
    path(
        "shop/api/",
        include(
            [
                route("category/<int:category_id>/", "category", POST=add_product, DELETE=remove_products),
                route("lost/", "lost", POST=lose_the_database),
                route("categories/", "categories", GET=categories, POST=lose_the_database),
            ]
        ),
    )
]

LAMP = {"name": "Lamp", "price": "9.99", "stock": 3}


@pytest.fixture(autouse=True)
def _no_runs() -> Iterator[None]:
    RUNS.clear()
    yield
    RUNS.clear()


def post(client: Client, category: Category, body: Any, **headers: str) -> Any:
    """Send what json.dumps makes of it, or these bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    type_ = headers.pop("content_type", "application/json")
    return client.generic("POST", f"/shop/api/category/{category.pk}/", content, type_, headers=headers)


def test_a_body_becomes_a_change_and_an_answer(client: Client, home: Category) -> None:
    answer = post(client, home, LAMP)
    assert (answer.status_code, answer.json()) == (201, LAMP)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert list(Product.objects.values_list("name", "price", "stock")) == [("Lamp", Decimal("9.99"), 3)]
    assert RUNS == ["AnonymousUser"]


@pytest.mark.parametrize(
    "type_", ["application/json; charset=utf-8", "Application/JSON", "application/json;x=y"]
)
def test_the_type_may_have_parameters(client: Client, home: Category, type_: str) -> None:
    assert post(client, home, LAMP, content_type=type_).status_code == 201


@pytest.mark.parametrize(
    "type_",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"],
)
def test_another_type_is_refused(client: Client, home: Category, type_: str) -> None:
    answer = post(client, home, LAMP, content_type=type_)
    assert (answer.status_code, answer.json()) == (415, {"error": "Send the body as application/json"})
    assert RUNS == []


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024, 2 * 1024 * 1024])
def test_too_long_a_body_is_refused(client: Client, home: Category, size: int) -> None:
    answer = post(client, home, b" " * size)
    assert (answer.status_code, answer.json()) == (413, {"error": "The body is longer than 64 KiB"})
    longest = json.dumps(LAMP).encode().ljust(64 * 1024)
    assert post(client, home, longest).status_code == 201


def test_a_chunked_body_needs_a_length(client: Client, home: Category) -> None:
    answer = post(client, home, LAMP, **{"transfer-encoding": "chunked"})
    assert (answer.status_code, answer.json()) == (411, {"error": "Send the body with a Content-Length"})


NOT_JSON = {
    b"": "Not valid: name, price",
    b"{": "The body is not JSON",
    b"nope": "The body is not JSON",
    b"\xef\xbb\xbf{}": "The body is not JSON",
    b'{"name": "Lamp", "price": NaN}': "The body is not JSON",
    b'{"name": "Lamp", "price": -Infinity}': "The body is not JSON",
    b'{"stock": ' + b"9" * 5000 + b"}": "The body is not JSON",
    b"[" * 60_000: "The body is not JSON",
    b'{"a":' * 10_000: "The body is not JSON",
    b'{"name": "\xff"}': "The body is not UTF-8",
    b"[]": "The body is not a JSON object",
    b'"name"': "The body is not a JSON object",
    b"null": "The body is not a JSON object",
    b"17": "The body is not a JSON object",
    b'{"name": "Lamp", "name": "Lamp", "price": "9.99"}': "The body has a member twice",
    b'{"name": {"a": 1, "a": 2}}': "The body has a member twice",
    b'{"name": "La\\u0000mp"}': "The body has a null byte or half a surrogate pair in a text",
    b'{"name": "\\ud83d"}': "The body has a null byte or half a surrogate pair in a text",
    b'{"\\udc00": 1}': "The body has a null byte or half a surrogate pair in a text",
    b'{"name": [["\\u0000"]]}': "The body has a null byte or half a surrogate pair in a text",
}


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: body[:30].decode(errors="replace"))
def test_what_is_no_json_object_is_refused(client: Client, home: Category, body: bytes) -> None:
    answer = post(client, home, body)
    assert (answer.status_code, answer.json()["error"]) == (400, NOT_JSON[body])
    assert RUNS == []


REQUIRED, INTEGER, MONEY = (
    "This field is required.",
    "This must be an integer.",
    'This must be a string such as "9.99".',
)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name": ""}, {"name": [REQUIRED]}),
        ({"name": " \u00a0\u3000"}, {"name": [REQUIRED]}),
        ({"name": 17}, {"name": ["This must be a string."]}),
        ({"name": ["Lamp"]}, {"name": ["This must be a string."]}),
        ({"name": None}, {"name": ["This must not be null."]}),
        ({"name": "x" * 21}, {"name": ["Ensure this value has at most 20 characters (it has 21)."]}),
        ({"stock": None}, {"stock": ["This must not be null."]}),
        ({"stock": "2"}, {"stock": [INTEGER]}),
        ({"stock": 2.0}, {"stock": [INTEGER]}),
        ({"stock": True}, {"stock": [INTEGER]}),
        ({"stock": -1}, {"stock": ["Ensure this value is greater than or equal to 0."]}),
        ({"price": 9.99}, {"price": [MONEY]}),
        ({"price": "9.9"}, {"price": [MONEY]}),
        ({"price": "-9.99"}, {"price": [MONEY]}),
        ({"price": "٩.٩٩"}, {"price": [MONEY]}),
        ({"price": "1" * 18 + ".00"}, {"price": [MONEY]}),
        ({"price": "NaN"}, {"price": [MONEY]}),
        ({"colour": "red"}, {"colour": ["Unknown member."]}),
        ({"name": 17, "stock": 2.5}, {"name": ["This must be a string."], "stock": [INTEGER]}),
    ],
)
def test_each_bad_member_is_named(
    client: Client, home: Category, change: dict[str, Any], fields: dict[str, list[str]]
) -> None:
    answer = post(client, home, LAMP | change)
    names = ", ".join(sorted(fields))
    assert (answer.status_code, answer.json()) == (400, {"error": f"Not valid: {names}", "fields": fields})
    assert RUNS == []


def test_text_is_trimmed(client: Client, home: Category) -> None:
    assert post(client, home, LAMP | {"name": "\u3000 Lämp 💡\u00a0\n"}).json()["name"] == "Lämp 💡"


def test_without_a_body_an_empty_object_is_meant(admin_client: Client, home: Category) -> None:
    url = f"/shop/api/category/{home.pk}/"
    for body, type_, status in (
        (b"", "", 401),
        (b"{}", "application/json", 401),
    ):
        assert admin_client.generic("DELETE", url, body, type_).status_code == status


def test_a_cookie_authorizes_no_write(
    client: Client, admin_client: Client, home: Category, settings: Settings
) -> None:
    """Not even in open mode, which opens reads."""
    for mode in ("open", "required"):
        settings.SHOP_API_AUTH = mode
        for caller in (client, admin_client):
            answer = caller.delete(f"/shop/api/category/{home.pk}/")
            assert (answer.status_code, answer.json()) == (401, {"error": "Sign in to do this"})


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "OPTIONS"])
def test_the_path_names_its_methods(client: Client, home: Category, method: str) -> None:
    answer = client.generic(method, f"/shop/api/category/{home.pk}/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, DELETE")


def test_a_path_that_reads_and_writes_has_both(client: Client, home: Category) -> None:
    assert client.put("/shop/api/categories/").headers["Allow"] == "GET, HEAD, POST"
    assert client.get("/shop/api/categories/").json() == [{"name": "Home"}]


def test_a_write_that_lost_its_database_is_not_run_again(client: Client) -> None:
    answer = client.generic("POST", "/shop/api/lost/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert RUNS == ["lost"]


def test_a_read_may_keep_to_the_primary(
    client: Client, home: Category, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unused:
        def read(self, _: Any) -> Any:
            raise AssertionError

    monkeypatch.setattr(standby, "standby", Unused())
    assert client.get("/shop/api/categories/").json() == [{"name": "Home"}]
