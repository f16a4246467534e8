"""Accept: text/csv - every list as RFC 4180, with the same rows as JSON."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.api.reading import ListEndpoint
from shop.database.statements import CHUNK
from shop.models import Cart, Category, Customer, Order, OrderItem, Product
from shop.urls import urlpatterns
from tests.support.calling import bearer
from tests.support.rows import fill

CSV = {"accept": "text/csv"}


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def read(text: str) -> list[list[str]]:
    """What a reader of CSV makes of it, every line of which ends as RFC 4180 says."""
    assert text.endswith("\r\n")
    assert not text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def as_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """What CSV should say of rows of JSON that have no formulas."""
    return [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]


def lists() -> dict[str, ListEndpoint]:
    """Every list of the API by its path."""
    found = {}
    for pattern in urlpatterns:
        endpoint = pattern.callback.endpoints.get("GET")  # type: ignore[attr-defined]
        if isinstance(endpoint, ListEndpoint):
            found[str(pattern.pattern).replace("<int:", "<")] = endpoint
    return found


@pytest.mark.parametrize("path", lists())
def test_every_list_is_csv_with_the_rows_of_json(
    client: Client,
    admin_user: User,
    order: Order,
    cart: Cart,
    gloves: Product,
    path: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    Product.objects.filter(pk=gloves.pk).update(name='Müller\'s "warm", long\r\ngloves; 5 € 🧤', stock=5)
    Order.objects.create(customer=order.customer, total_amount="0.50")
    OrderItem.objects.create(order=order, product=cart.items.get().product, quantity=1, price_per_unit=1)
    url = "/shop/api/" + path.replace("<customer_id>", str(order.customer_id)).replace(
        "<order_id>", str(order.pk)
    )
    whose = bearer(Customer.objects.get(pk=order.customer_id) if "cart" in path else admin_user)
    for query in ("", "?limit=1", "?limit=1000&offset=0&total=1"):
        rows = client.get(url + query, headers=whose).json()
        assert rows
        with django_assert_num_queries(2 + ("total" in query) - unasked(path)):
            response = client.get(url + query, headers={**whose, **CSV})
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert read(response.content.decode()) == as_cells(rows)


def unasked(path: str) -> int:
    """One query less where nobody looks at who calls."""
    audience = lists()[path].audience
    return int(audience.is_everybody or audience.opens)


def test_the_bytes(client: Client, order: Order, gloves: Product) -> None:
    Product.objects.filter(pk=gloves.pk).update(name='Größe 7,\n"fein"')
    assert (
        client.get("/shop/api/products/", headers=CSV).content
        == (
            f'product_id,name,price,stock,category\r\n{gloves.pk},"Größe 7,\n""fein""",235.99,58,Home\r\n'
        ).encode()
    )


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1:A9)", "'@SUM(A1:A9)"),
        (" -2+3", "' -2+3"),
        ("\t=1", "'\t'=1"),
        ("Mug;=1+1", "Mug;'=1+1"),
        ('"=HYPERLINK(""x"")', '\'"=HYPERLINK(""x"")'),
        ("Ünï – 3-4 Stück", "Ünï – 3-4 Stück"),
    ],
)
def test_a_formula_is_defused(client: Client, gloves: Product, name: str, cell: str) -> None:
    Product.objects.filter(pk=gloves.pk).update(name=name)
    assert client.get("/shop/api/products/").json()[0]["name"] == name
    assert read(client.get("/shop/api/products/", headers=CSV).content.decode())[1][1] == cell


def test_without_rows_there_is_the_header(client: Client, jonas: Customer) -> None:
    answer = client.get(f"/shop/api/customer/{jonas.pk}/orders/", headers=CSV)
    assert answer.content == b"order_id,order_date,status,total_amount,customer_email\r\n"
    assert client.get("/shop/api/products/?offset=5", headers=CSV).content.count(b"\r\n") == 1


def test_what_is_missing_is_an_error_in_json(client: Client, jonas: Customer) -> None:
    answer = client.get(f"/shop/api/customer/{jonas.pk + 1}/orders/", headers=CSV)
    assert (answer.status_code, answer.json()) == (404, {"error": "Customer not found"})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_page_has_its_links_and_the_total(client: Client, gloves: Product, computer: Product) -> None:
    Product.objects.create(name="Third", price=1, category=gloves.category)
    answer = client.get("/shop/api/products/?limit=1&offset=1&total=1", headers=CSV)
    assert [row[1] for row in read(answer.content.decode())] == ["name", "Handmade Wooden Computer"]
    assert answer.headers["X-Total-Count"] == "3"
    page = "</shop/api/products/?limit=1&offset={}&total=1>"
    assert answer.headers["Link"] == f'{page.format(2)}; rel="next", {page.format(0)}; rel="prev"'


def test_it_has_an_etag_of_its_own(client: Client, gloves: Product) -> None:
    for query in ("", "?limit=5"):
        url = f"/shop/api/products/{query}"
        answer, json_answer = client.get(url, headers=CSV), client.get(url)
        assert answer.headers["ETag"] != json_answer.headers["ETag"]
        again = client.get(url, headers={**CSV, "if-none-match": answer.headers["ETag"]})
        assert (again.status_code, again.content, again.headers["Vary"]) == (304, b"", "Accept")
        other = client.get(url, headers={**CSV, "if-none-match": json_answer.headers["ETag"]})
        assert (other.status_code, other.content) == (200, answer.content)


def test_head_is_get_without_the_body(client: Client, gloves: Product) -> None:
    get = client.get("/shop/api/products/", headers=CSV)
    head = client.head("/shop/api/products/", headers=CSV)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Vary"):
        assert head.headers[name] == get.headers[name]
    assert get.headers["Content-Length"] == str(len(get.content))


def test_what_is_given_again_is_in_the_format_that_is_asked_for(
    client: Client, gloves: Product, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.SHOP_CACHE_SECONDS = 60
    answers = []
    for queries in (1, 0):
        with django_assert_num_queries(2 * queries):
            answers.append([client.get("/shop/api/products/", headers=h) for h in ({}, CSV)])
    for first, second in zip(*answers, strict=True):
        assert first.content == second.content
        assert second.headers["Age"] == "0"
    as_json, as_csv = answers[1]
    assert read(as_csv.content.decode()) == as_cells(as_json.json())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_a_list_of_any_length_is_whole(
    client: Client, home: Category, rows: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(home, rows)
    as_json = json.loads(b"".join(client.get("/shop/api/products/")))
    with django_assert_num_queries(2 if rows >= CHUNK else 1):
        response = client.get("/shop/api/products/", headers=CSV)
        parts = [part.decode() for part in response]
    assert response.streaming is (rows >= CHUNK)
    assert read("".join(parts)) == as_cells(as_json)
    assert max(part.count("\r\n") for part in parts) <= CHUNK + 1
    assert (response.headers["Content-Type"], response.headers["Vary"]) == (
        "text/csv; charset=utf-8",
        "Accept",
    )


@pytest.mark.django_db(transaction=True)
def test_who_hangs_up_leaves_nothing_open(client: Client, home: Category) -> None:
    fill(home, 2 * CHUNK)
    response = client.get("/shop/api/products/", headers=CSV)
    next(iter(response))
    response.close()
    assert client.head("/shop/api/products/", headers=CSV).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '\\_django\\_curs%'")
        assert cursor.fetchone() == (0,)


NO = [
    "",
    "*/*",
    "application/json",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "text/*",
    "text/csv;q=0",
    "text/csv;q=0.000, */*",
    "application/json, text/csv",
    "application/json, text/csv;q=0.5",
    "text/csv;q=0.5, application/json",
    "text/csv;q=0.1, */*;q=0.5",
    "text/csv;q=0.8, application/*;q=0.9",
    "text/csv;q=much",
    "text/csv;q=-1",
    "text/csv;q=1.5",
    "text/csv;q=nan",
    "text/csvs",
    "application/text/csv",
    "text/csv text/csv",
    '"text/csv"',
    ";text/csv",
    "text/csv\xff",
    ",;,;;=,",
    "text/csv;q=0," * 500,
]
YES = [
    "text/csv",
    "Text/CSV",
    "text/csv; charset=utf-8",
    "text/csv;header=present;q=0.3",
    " text/csv ;q=1.000, application/json;q=0.9",
    "text/csv, */*",
    "*/*, text/csv",
    "text/csv, application/json",
    "application/json;q=0.5, text/csv",
    "text/csv;q=0.001",
    "text/csv, application/json;q=high",
    ",,;;text,text/csv",
    "application/problem+json, text/csv",
]


def test_csv_is_for_who_names_it(client: Client, gloves: Product) -> None:
    for accept in [*NO, *YES]:
        wanted = "text/csv; charset=utf-8" if accept in YES else "application/json"
        for query in ("", "?limit=1"):
            answer = client.get(f"/shop/api/products/{query}", headers={"accept": accept})
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, wanted), accept


@pytest.mark.parametrize("auth", ["open", "required"])
def test_what_depends_on_it_says_so(
    client: Client, settings: Settings, admin_user: User, order: Order, cart: Cart, auth: str
) -> None:
    settings.SHOP_API_AUTH = auth
    whose = bearer(admin_user)
    callers = [] if auth == "open" else ["Authorization", "Cookie"]
    customer = f"customer/{order.customer_id}"
    for path, names in {
        "products/": ["Accept"],
        "products/?limit=1": ["Accept"],
        "bestsellers/": ["Accept", *callers],
        f"{customer}/orders/": ["Accept", *callers],
        f"{customer}/cart/": callers,
        f"{customer}/": ["Authorization", "Cookie"],
        "": [],
    }.items():
        for accept in ("text/csv", "*/*"):
            answer = client.get(f"/shop/api/{path}", headers={**whose, "accept": accept})
            assert answer.status_code == 200
            assert answer.headers.get("Vary", "") == ", ".join(names), path


def test_one_row_is_json_whatever_is_liked(client: Client, cart: Cart) -> None:
    url = f"/shop/api/customer/{cart.customer_id}/cart/"
    answer = client.get(url, headers=CSV)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.content == client.get(url).content
    assert client.get("/shop/api/", headers=CSV).headers["Content-Type"] == "application/json"


def test_json_is_the_same_to_the_byte(client: Client, order: Order) -> None:
    for path in ("products/", "bestsellers/", "customer-stats/?limit=5"):
        bodies = {
            client.get(f"/shop/api/{path}", headers={"accept": accept}).content
            for accept in chain(NO, ["application/problem+json"])
        }
        assert bodies == {client.get(f"/shop/api/{path}").content}
