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

from shop.api.audience import EVERYBODY, Audience
from shop.api.fields import JsonChoice, JsonForm, JsonInteger, JsonMoney, JsonString
from shop.api.reading import list_endpoint
from shop.api.routing import route
from shop.api.writing import Write, no_content, write_endpoint
from shop.catalog.models import Category, Product

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

RUNS: list[str] = []


class SizeForm(forms.Form):
    width = JsonInteger()
    unit = JsonChoice(["mm", "cm"])


class ProductForm(forms.Form):
    name = JsonString(max_length=20)
    price = JsonMoney()
    stock = JsonInteger(min_value=0, required=False)
    size = JsonForm(SizeForm, required=False)


@write_endpoint(EVERYBODY, ProductForm, answers={})
def add_product(write: Write, *, category_id: int) -> HttpResponse:
    """Add a product."""
    RUNS.append(str(write.data["size"]))
    columns = {"name": write.data["name"], "price": write.data["price"], "stock": write.data["stock"] or 0}
    product = Product.objects.create(category_id=category_id, **columns)
    return JsonResponse(
        {"name": product.name, "price": str(product.price), "stock": product.stock}, status=201
    )


@write_endpoint(EVERYBODY, answers={})
def remove_products(write: Write, *, category_id: int) -> HttpResponse:
    Product.objects.filter(category_id=category_id).delete()
    return no_content()


@write_endpoint(Audience("shop.delete_category"), answers={})
def remove_category(write: Write, *, category_id: int) -> HttpResponse:
    raise AssertionError


@write_endpoint(EVERYBODY, answers={})
def lose_the_database(write: Write) -> HttpResponse:
    RUNS.append("lost")
    raise OperationalError


@list_endpoint(EVERYBODY, {"name": "category_name"})
def categories() -> Any:
    return Category.objects.order_by("pk")


urlpatterns = [
    path(
        "shop/api/",
        include(
            [
                route(
                    "category/<int:category_id>/",
                    "category",
                    POST=add_product,
                    DELETE=remove_products,
                    PATCH=remove_category,
                ),
                route("lost/", "lost", POST=lose_the_database),
                route("categories/", "categories", GET=categories, POST=lose_the_database),
            ]
        ),
    )
]

LAMP = {"name": "Lamp", "price": "9.99", "stock": 3}


@pytest.fixture
def lamp(home: Category) -> Product:
    return Product.objects.create(category=home, **LAMP)


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


def test_the_sentence_is_one_short_line_whatever_members_are_called(client: Client, home: Category) -> None:
    name = f"a\nb\x1e\u2028{'x' * 300}"
    answer = post(client, home, {**LAMP, name: 1})
    assert answer.status_code == 400
    assert answer.json() == {"error": "Not valid: a b …", "fields": {name: ["Unknown member."]}}


def test_a_body_becomes_a_change_and_an_answer(client: Client, home: Category) -> None:
    answer = post(client, home, LAMP)
    assert (answer.status_code, answer.json()) == (201, LAMP)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert list(Product.objects.values_list("name", "price", "stock")) == [("Lamp", Decimal("9.99"), 3)]
    assert RUNS == ["None"]


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
    b" ": "The body is not JSON",
    b"{": "The body is not JSON",
    b"nope": "The body is not JSON",
    b"\xef\xbb\xbf{}": "The body is not JSON",
    b'{"stock": ' + b"9" * 5000 + b"}": "The body is not JSON",
    b"[" * 60_000: "The body is not JSON",
    b'{"a":' * 10_000: "The body is not JSON",
    b"[" * 30_000 + b"]" * 30_000: "The body is not JSON",
    b'{"name": "\xff"}': "The body is not UTF-8",
    b"[]": "The body is not a JSON object",
    b'"name"': "The body is not a JSON object",
    b"null": "The body is not a JSON object",
    b"NaN": "The body is not a JSON object",
    b"17": "The body is not a JSON object",
    b'["\\u0000"]': "The body is not a JSON object",
}


@pytest.mark.parametrize(("type_", "status"), [("application/json", 400), ("text/plain", 415), (None, 415)])
def test_no_body_is_no_object(client: Client, home: Category, type_: str | None, status: int) -> None:
    headers: Any = {"CONTENT_TYPE": type_} if type_ else {}
    answer = client.generic("POST", f"/shop/api/category/{home.pk}/", b"", **headers)
    assert (answer.status_code, RUNS) == (status, [])


def test_what_is_no_json_object_is_refused(client: Client, home: Category) -> None:
    for body, error in NOT_JSON.items():
        answer = post(client, home, body)
        assert (answer.status_code, answer.json()) == (400, {"error": error, "fields": {}}), body
        assert RUNS == [], body


@pytest.mark.parametrize("depth", [500, 2000, 9000])
def test_a_deep_body_is_refused(client: Client, home: Category, depth: int) -> None:
    deep = b'{"name": ' + b"[" * depth + b"]" * depth + b', "price": "9.99"}'
    assert post(client, home, deep).status_code == 400
    deep = b'{"name": "Lamp", "price": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    assert post(client, home, deep).status_code == 400


STORABLE, TWICE, NUMBER = (
    "This has a null byte or half a surrogate pair.",
    "This member is there twice.",
    "This is no number.",
)
UNFIT = {
    b'{"name": "Lamp", "name": "Lamp", "price": "9.99"}': {"name": [TWICE]},
    b'{"name": {"a": 1, "a": 2}}': {"name.a": [TWICE]},
    b'{"size": {"width": 1, "width": 1}, "x": 1, "x": 1}': {"x": [TWICE], "size.width": [TWICE]},
    b'{"name": "La\\u0000mp"}': {"name": [STORABLE]},
    b'{"name": "\\ud83d"}': {"name": [STORABLE]},
    b'{"name": [["\\u0000"]]}': {"name": [STORABLE]},
    b'{"size": {"unit": "\\udfff"}}': {"size.unit": [STORABLE]},
    b'{"\\udc00": 1}': {"\udc00": ["The name has a null byte or half a surrogate pair."]},
    b'{"name": "Lamp", "price": NaN}': {"price": [NUMBER]},
    b'{"stock": -Infinity, "price": 1e999}': {"price": [NUMBER], "stock": [NUMBER]},
}


def test_a_member_that_cannot_be_is_named(client: Client, home: Category) -> None:
    for body, fields in UNFIT.items():
        answer = post(client, home, body)
        assert (answer.status_code, answer.json()["fields"]) == (400, fields), body
        assert RUNS == [], body


def test_ten_thousand_members_of_one_name_are_told_once(client: Client, home: Category) -> None:
    body = b"{" + b",".join([b'"a":1'] * 10_000) + b"}"
    assert post(client, home, body).json()["fields"] == {"a": [TWICE]}


REQUIRED, CONTROL, INTEGER, MONEY = (
    "This field is required.",
    "This has a line break or another control character.",
    "This must be an integer.",
    'This must be a string such as "9.99".',
)


def test_each_bad_member_is_named(client: Client, home: Category) -> None:
    cases: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
        ({"name": ""}, {"name": [REQUIRED]}),
        ({"name": " \u00a0\u3000"}, {"name": [REQUIRED]}),
        ({"name": 17}, {"name": ["This must be a string."]}),
        ({"name": ["Lamp"]}, {"name": ["This must be a string."]}),
        ({"name": None}, {"name": ["This must not be null."]}),
        ({"name": "x" * 21}, {"name": ["Ensure this value has at most 20 characters (it has 21)."]}),
        *(({"name": f"La{sign}mp"}, {"name": [CONTROL]}) for sign in ("\r\n", "\t", "\x7f", "\u2028")),
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
        ({"size": []}, {"size": ["This must be an object."]}),
        ({"size": None}, {"size": ["This must not be null."]}),
        ({"size": {}}, {"size.width": [REQUIRED], "size.unit": [REQUIRED]}),
        (
            {"size": {"width": "1", "unit": "km", "depth": 1}},
            {
                "size.width": [INTEGER],
                "size.unit": ["This must be one of mm, cm."],
                "size.depth": ["Unknown member."],
            },
        ),
    ]
    for change, fields in cases:
        answer = post(client, home, LAMP | change)
        error = f"Not valid: {', '.join(sorted(fields))}"
        assert (answer.status_code, answer.json()) == (400, {"error": error, "fields": fields}), change
        assert RUNS == [], change


def test_text_is_trimmed(client: Client, home: Category) -> None:
    assert post(client, home, LAMP | {"name": "\u3000 Lämp 💡\u00a0\n"}).json()["name"] == "Lämp 💡"


@pytest.mark.parametrize("type_", ["", "application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_request_that_takes_no_body_needs_no_type(client: Client, home: Category, type_: str) -> None:
    answer = client.generic("DELETE", f"/shop/api/category/{home.pk}/", b"", type_)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not {"Content-Length", "Content-Type"} & set(answer.headers)  # RFC 9110 §8.6


@pytest.mark.parametrize(
    ("body", "type_", "status"),
    [
        (b"{}", "", 204),
        (b"{ }", "application/json", 204),
        (b"{}", "text/plain", 415),
        (b"x", "application/x-www-form-urlencoded", 415),
        (b"x", "", 400),
        (b"[]", "application/json", 400),
        (b'{"a": 1}', "", 400),
        (b" " * 65537, "", 413),
    ],
)
def test_it_takes_an_empty_object_and_nothing_else(
    client: Client, home: Category, lamp: Product, body: bytes, type_: str, status: int
) -> None:
    answer = client.generic("DELETE", f"/shop/api/category/{home.pk}/", body, type_)
    assert answer.status_code == status
    assert Product.objects.exists() is (status != 204)


@pytest.mark.parametrize("mode", ["open", "required"])
def test_a_cookie_authorizes_no_write(
    client: Client, admin_client: Client, home: Category, settings: Settings, mode: str
) -> None:
    """Not even in open mode, which opens reads."""
    settings.SHOP_API_AUTH = mode
    for caller in (client, admin_client):
        answer = caller.patch(f"/shop/api/category/{home.pk}/")
        assert (answer.status_code, answer.json()) == (401, {"error": "Sign in to do this"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "TRACE", "X"])
def test_the_path_names_its_methods(client: Client, home: Category, method: str) -> None:
    answer = client.generic(method, f"/shop/api/category/{home.pk}/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, DELETE, PATCH")


def test_a_path_that_reads_and_writes_has_both(client: Client, home: Category) -> None:
    assert client.put("/shop/api/categories/").headers["Allow"] == "GET, HEAD, POST"
    assert client.get("/shop/api/categories/").json() == [{"name": "Home"}]


def test_a_write_that_lost_its_database_is_not_run_again(client: Client) -> None:
    answer = client.generic("POST", "/shop/api/lost/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert RUNS == ["lost"]
