"""What all endpoints share: methods, JSON errors whatever DEBUG says, and hostile requests."""

from itertools import product
from random import Random
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection
from django.test import Client
from pytest_django import Settings

from shop.models import Cart, Customer, Order

PATHS = [
    "/shop/api/products/",
    "/shop/api/categories/",
    "/shop/api/customer/1/orders/",
    "/shop/api/order/1/",
    "/shop/api/customer/1/cart/",
    "/shop/api/bestsellers/",
    "/shop/api/low-stock/",
    "/shop/api/customer-stats/",
    "/shop/api/category-stats/",
]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True, params=[False, True], ids=["DEBUG=0", "DEBUG=1"])
def _debug(request: pytest.FixtureRequest, settings: Settings) -> None:
    settings.DEBUG = request.param


@pytest.fixture
def customer_1(order: Order, cart: Cart) -> Customer:
    """Deborah, her order and her cart under the ids of the paths above."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for statement in (
            "UPDATE customer SET customer_id = 1",
            'UPDATE "order" SET customer_id = 1, order_id = 1',
            "UPDATE cart SET customer_id = 1",
            "UPDATE order_item SET order_id = 1",
        ):
            cursor.execute(statement)
    return Customer.objects.get(pk=1)


def test_head_is_get_without_the_body(client: Client, customer_1: Customer) -> None:
    for path in PATHS:
        get, head = client.get(path), client.head(path)
        assert get.status_code == head.status_code == 200, path
        assert head.content == b"", path
        lengths = [answer.headers["Content-Length"] for answer in (head, get)]
        assert lengths == [str(len(get.content))] * 2, path
        assert head.headers["Content-Type"] == "application/json", path


WRITES = {"/shop/api/customer/1/orders/": ["POST"], "/shop/api/customer/1/cart/": ["DELETE"]}


METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def test_other_methods_are_not_allowed(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    for path, method in product(["/shop/api/", *PATHS], METHODS):
        response = client.generic(method, path)
        writes = WRITES.get(path, [])
        if method in writes:
            assert response.status_code == 401, (method, path)
        else:
            assert response.status_code == 405, (method, path)
            assert response.headers["Allow"] == ", ".join(["GET", "HEAD", *writes]), (method, path)
            assert response.json() == {"error": "Method not allowed"}, (method, path)


UNKNOWN = [
    "nope/",
    "nope",
    "products/1/",
    "order/",
    "order/abc/",
    "order/-1/",
    "order/1.5/",
    "order/1%00/",
    "order/٣/",
    "order/ 1/",
    "order/1;DROP TABLE customer/",
    "order/" + "9" * 5000 + "/",
    "customer/%F0%9F%9B%92/cart/",
    "customer/%ff%fe/cart/",
    "customer/1/orders/x/",
    "products/%00",
    "../api/nope/",
]


def test_unknown_paths_are_not_found_in_json(client: Client) -> None:
    for path in UNKNOWN:
        response = client.get("/shop/api/" + path)
        assert response.status_code == 404, path
        assert response.headers["Content-Type"] == "application/json", path
        assert response.headers["X-Content-Type-Options"] == "nosniff", path
        assert response.headers["Content-Length"] == str(len(response.content)), path
        assert response.json() == {"error": "Not Found"}, path


def test_ids_of_any_size_are_not_found(client: Client) -> None:
    for path, message in (
        ("customer/{}/orders/", "Customer not found"),
        ("order/{}/", "Order not found"),
        ("customer/{}/cart/", "Cart not found"),
    ):
        for number in (0, 2**31 - 1, 2**31, 2**63, 10**30, int("9" * 4000)):
            response = client.get("/shop/api/" + path.format(number))
            assert response.status_code == 404, (path, number)
            assert response.json() == {"error": message}, (path, number)


def test_an_unknown_path_has_no_methods(client: Client) -> None:
    for path, method in product(("nope/", "products"), METHODS):
        response = client.generic(method, f"/shop/api/{path}")
        assert response.status_code == 404, (method, path)
        assert response.json() == {"error": "Not Found"}, (method, path)


def test_a_missing_slash_is_added(client: Client) -> None:
    response = client.get("/shop/api/products")
    assert response.status_code == 301
    assert response.headers["Location"] == "/shop/api/products/"
    assert client.head("/shop/api/products?limit=1").headers["Location"] == "/shop/api/products/?limit=1"


def test_a_strange_query_string_is_a_bad_request(client: Client, customer_1: Customer) -> None:
    queries = ("Q=%F0%9F%9B%92", "Q=" + "x" * 5000, "&&&===", "Q=%ff", "Q=%", "Limit=1")
    for path, query in product(PATHS, queries):
        response = client.get(path, QUERY_STRING=query)
        assert response.status_code == 400, (path, query)
        known = "none" if "cart" in path else "limit (1 to 1000), offset (0 to 999999999), total (1 to 1)"
        if path.endswith(("orders/", "bestsellers/", "customer-stats/")):
            statuses = "pending, processing, shipped, completed, cancelled"
            known = f"status ({statuses}), from (YYYY-MM-DD), to (YYYY-MM-DD), {known}"
        name = query[5:].partition("=")[0] if query[0] == "&" else query.partition("=")[0]
        error = response.json()["error"]
        assert error.startswith(f"Unknown or bad parameter {name!r}; known: "), (path, query)
        assert error.endswith(known), (path, query)


def test_a_null_byte_in_the_query_string_is_a_bad_request(client: Client) -> None:
    for path, query in product(PATHS, ("q=%00", "%00=1", "limit=%00")):
        response = client.get(path, QUERY_STRING=query)
        assert response.status_code == 400, (path, query)
        assert response.json()["error"].startswith("Unknown or bad parameter "), (path, query)


def test_an_empty_query_string_is_none(client: Client, customer_1: Customer) -> None:
    for path in PATHS:
        content = client.get(path).content
        for query in ("", "&", "&&&"):
            response = client.get(path, QUERY_STRING=query)
            assert (response.status_code, response.content) == (200, content), (path, query)


@pytest.mark.parametrize("cookie", ['"aaaaaaaa\\000"', "x" * 5000, "ünïcödé", "';--"])
def test_a_strange_session_cookie_never_breaks(client: Client, settings: Settings, cookie: str) -> None:
    settings.SHOP_API_AUTH = "required"
    response = client.get("/shop/api/customer-stats/", headers={"cookie": f"sessionid={cookie}"})
    assert response.status_code == 401
    assert list(response.json()) == ["error"]


def test_a_foreign_host_is_a_bad_request(client: Client) -> None:
    response = client.get("/shop/api/products/", headers={"host": "evil.example"})
    assert response.status_code == 400
    assert response.json() == {"error": "Bad Request"}


PIECES: dict[str, list[Any]] = {
    "method": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"],
    "path": [
        *(path.removeprefix("/shop/api/") for path in PATHS),
        *(
            "",
            "nope/",
            "token/",
            "token/",
            "token/refresh/",
            "password-reset/",
            "customer/",
            "customer/1/",
            "customer/1/cart/items/",
        ),
        *("customer/1/cart/items/1/", "customer/1/orders/1/cancel/", "order/1/status/", "order/%ff/"),
    ],
    "query": ["", "", "limit=1", "q=%00", "limit=-1&total=1", "a" * 5000, "&" * 5100, "q=%ff%fe"],
    "type": ["application/json", "application/json; charset=x", "text/plain", "", "é"],
    "body": [b"", b"{}", b"[]", b'{"a": NaN}', b"\0\xff", b'{"email": "a", "email": 1}', b"[" * 9000],
    "headers": [
        {},
        {},
        {"authorization": "Bearer x"},
        {"authorization": "Basic é"},
        {"cookie": "sessionid=\0; csrftoken=x"},
        {"host": "a b"},
        {"if-none-match": '"', "if-match": "*"},
        {"transfer-encoding": "chunked"},
        {"x-forwarded-proto": "https", "x-forwarded-for": "no address"},
    ],
}


@pytest.mark.slow
def test_every_error_is_json_whatever_is_sent(client: Client, settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    random = Random(1)
    statuses = set()
    for _ in range(300):
        sent = {name: random.choice(choices) for name, choices in PIECES.items()}
        answer = client.generic(
            sent["method"],
            f"/shop/api/{sent['path']}",
            sent["body"],
            sent["type"],
            QUERY_STRING=sent["query"],
            headers=sent["headers"],
        )
        statuses.add(answer.status_code)
        assert answer.status_code < 500, sent
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/json", sent
            assert sent["method"] == "HEAD" or next(iter(answer.json())) == "error", sent
    assert statuses >= {200, 400, 401, 404, 405, 415}


def test_an_unexpected_failure_shows_no_detail(client: Client) -> None:
    client.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE product RENAME COLUMN price TO cost")
    response = client.get("/shop/api/products/")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"error": "Internal Server Error"}


def test_outside_the_api_errors_stay_pages(client: Client) -> None:
    response = client.get("/nope/")
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")
    assert client.get("/shop/apinope/").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("failure", "status"),
    [(OperationalError, 503), (InterfaceError, 503), (DatabaseError, 503), (ProgrammingError, 500)],
)
def test_a_database_that_dies_in_the_middle_is_an_outage(
    db: None, failure: type[Exception], status: int
) -> None:
    """Then psycopg2 raises its most general error; those of a kind of their own are ours."""

    def die(*_: Any) -> None:
        raise failure("server closed the connection unexpectedly")

    with connection.execute_wrapper(die):
        answer = Client(raise_request_exception=False).get("/shop/api/products/")
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
