"""Accept: application/problem+json - every error as RFC 9457."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from shop.models import Cart, Customer
from tests.api.test_errors import PIECES
from tests.support.calling import bearer

PROBLEM = "application/problem+json"

pytestmark = pytest.mark.django_db


def ask(
    client: Client,
    method: str,
    path: str,
    accept: str = PROBLEM,
    *,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Any:
    content, kind = ("", "") if body is None else (json.dumps(body), "application/json")
    return client.generic(
        method, f"/shop/api/{path}", content, kind, headers={"accept": accept, **(headers or {})}
    )


def assert_problem(answer: Any, status: int, detail: str, **members: Any) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Accept" in answer.headers["Vary"]
    title = HTTPStatus(status).phrase
    assert answer.json() == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        **members,
    }
    assert list(answer.json())[:4] == ["type", "title", "status", "detail"]


def test_reading(client: Client, jonas: Customer, settings: Settings) -> None:
    assert_problem(ask(client, "GET", "nope/"), 404, "Not Found")
    assert_problem(ask(client, "GET", f"customer/{jonas.pk + 1}/orders/"), 404, "Customer not found")
    answer = ask(client, "PUT", "products/")
    assert_problem(answer, 405, "Method not allowed")
    assert answer.headers["Allow"] == "GET, HEAD"
    known = "limit (1 to 1000), offset (0 to 999999999), total (1 to 1)"
    assert_problem(ask(client, "GET", "low-stock/?x=1"), 400, f"Unknown or bad parameter 'x'; known: {known}")
    assert_problem(ask(client, "GET", "products/", headers={"host": "evil.example"}), 400, "Bad Request")
    settings.SHOP_API_AUTH = "required"
    answer = ask(client, "GET", "bestsellers/")
    assert_problem(answer, 401, "Sign in to do this")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert {name.strip() for name in answer.headers["Vary"].split(",")} == {
        "Accept",
        "Authorization",
        "Cookie",
    }
    assert_problem(ask(client, "GET", "bestsellers/", headers=bearer(jonas)), 403, "You may not see this")


def test_what_stands_beside_the_sentence_stays_there(client: Client, jonas: Customer, cart: Cart) -> None:
    answer = ask(client, "POST", "customer/", body={"first_name": "A", "x": 1})
    fields = answer.json()["fields"]
    assert_problem(answer, 400, "Not valid: email, last_name, password, x", fields=fields)
    assert fields["x"] == ["Unknown member."]
    deborah = Customer.objects.get(pk=cart.customer_id)
    line = cart.items.get()
    answer = ask(
        client,
        "PUT",
        f"customer/{deborah.pk}/cart/items/{line.product_id}/",
        body={"quantity": 5},
        headers=bearer(deborah),
    )
    detail = ask(
        client,
        "PUT",
        f"customer/{deborah.pk}/cart/items/{line.product_id}/",
        "application/json",
        body={"quantity": 5},
        headers=bearer(deborah),
    ).json()["error"]
    assert_problem(answer, 409, detail, code="out_of_stock", available=2)


def test_items_and_total_of_a_refused_checkout(client: Client, cart: Cart) -> None:
    deborah = Customer.objects.get(pk=cart.customer_id)
    sent: Any = {"body": {"expected_total": "1.00"}, "headers": {**bearer(deborah), "idempotency-key": "1"}}
    path = f"customer/{deborah.pk}/orders/"
    problem, plain = ask(client, "POST", path, **sent), ask(client, "POST", path, "", **sent)
    members = plain.json()
    assert set(members) == {"error", "code", "total", "items"}
    assert_problem(problem, 409, members.pop("error"), **members)


def test_too_many(client: Client, settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "on"
    body = {"email": "nobody@example.com"}
    answers = [ask(client, "POST", "password-reset/", body=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    seconds = answers[-1].headers["Retry-After"]
    assert_problem(answers[-1], 429, f"Too many requests: try again in {seconds} s")
    assert "RateLimit" in answers[-1].headers


@pytest.mark.parametrize(
    ("failure", "status", "detail"),
    [
        (OperationalError, 503, "The database is not available"),
        (ZeroDivisionError, 500, "Internal Server Error"),
    ],
)
def test_failures(failure: type[Exception], status: int, detail: str) -> None:
    def die(*_: Any) -> None:
        raise failure("server closed the connection unexpectedly")

    with connection.execute_wrapper(die):
        answer = ask(Client(raise_request_exception=False), "GET", "products/")
    assert_problem(answer, status, detail)
    assert ("Retry-After" in answer.headers) is (status == 503)


def test_a_body_of_the_wrong_kind(client: Client) -> None:
    cases: list[tuple[str, str, int, str, dict[str, Any]]] = [
        ("text/plain", "{}", 415, "Send the body as application/json", {}),
        ("application/json", "x" * 70_000, 413, "The body is longer than 64 KiB", {}),
        ("application/json", "{", 400, "The body is not JSON", {"fields": {}}),
    ]
    for kind, data, status, detail, more in cases:
        answer = client.post("/shop/api/token/", data, content_type=kind, headers={"accept": PROBLEM})
        assert_problem(answer, status, detail, **more)


def test_problems_are_for_who_names_them(client: Client) -> None:
    for accept, is_problem in (
        ("Application/Problem+JSON", True),
        ("application/problem+json;q=0.1", True),
        ("application/json, application/problem+json", True),
        ("application/problem+json, */*;q=0.1", True),
        ("text/csv, application/problem+json", True),
        ("application/json;q=0.5, application/problem+json;q=0.9", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/problem+json;q=0", False),
        ("application/problem+json;q=0, */*", False),
        ("application/json, application/problem+json;q=0.5", False),
        ("application/problem+json;q=x", False),
        ("application/problem+xml", False),
        ("text/csv", False),
    ):
        answer = ask(client, "GET", "nope/", accept)
        assert answer.headers["Content-Type"] == (PROBLEM if is_problem else "application/json"), accept
        members = ["type", "title", "status", "detail"] if is_problem else ["error"]
        assert list(answer.json()) == members, accept
        assert answer.headers["Vary"] == "Accept", accept


def test_what_is_no_error_is_as_ever(client: Client, cart: Cart) -> None:
    for path in ("products/", f"customer/{cart.customer_id}/cart/"):
        answer = ask(client, "GET", path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert ask(client, "GET", "products").status_code == 301


def test_whatever_is_sent_an_error_is_a_problem(client: Client, admin_user: User, settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    for method in PIECES["method"]:
        for path in PIECES["path"]:
            for headers in PIECES["headers"]:
                answer = ask(client, method, path, headers=headers)
                if answer.status_code >= 400:
                    assert answer.headers["Content-Type"] == PROBLEM
                    if method != "HEAD":
                        assert answer.json()["status"] == answer.status_code


def test_head_has_the_headers_of_get(client: Client) -> None:
    get, head = ask(client, "GET", "nope/"), ask(client, "HEAD", "nope/")
    assert head.content == b""
    for name in ("Content-Type", "Content-Length", "Vary"):
        assert head.headers[name] == get.headers[name]
