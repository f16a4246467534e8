"""Anything at all as input of every write of urls.py: never a failure, and a refusal changes nothing."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django import forms
from django.apps import apps
from django.contrib.auth.models import User
from django.core import signing
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from shop.api.fields import JsonChoice, JsonForm, JsonInteger, JsonMoney
from shop.api.writing import NoBody, WriteEndpoint
from shop.customers.accounts import RESET_SALT, reset_secret
from shop.customers.tokens import issue, password_digest, rotate
from shop.models import Cart, CartItem, Customer, Order, Product
from shop.orders.checkout import place_order
from shop.orders.models import Actor
from shop.urls import urlpatterns
from tests.support.calling import bearer
from tests.support.openapi import assert_documented
from tests.webshop.test_malformed import ask

OPERATIONS = {
    f"{method} {pattern.pattern}": endpoint
    for pattern in urlpatterns
    for method, endpoint in pattern.callback.endpoints.items()  # type: ignore[attr-defined]
    if isinstance(endpoint, WriteEndpoint)
}

PASSWORD = "correct horse battery"


@dataclass
class Known:
    """What makes sense: ids by their names in a path, members by theirs in a body, who may call."""

    ids: Mapping[str, int]
    members: Mapping[str, list[Any]]
    customer: str
    staff: str


@pytest.fixture(autouse=True)
def _kept_connection() -> Iterator[None]:
    """Let no request close the connection, which is in a transaction: as Django's test client does it."""
    ends = (request_started, request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    yield
    for signal in ends:
        signal.connect(close_old_connections)


@pytest.fixture
def known(
    deborah: Customer, jonas: Customer, cart: Cart, gloves: Product, admin_user: User, settings: Settings
) -> Known:
    settings.SHOP_RATE_LIMITS = "off"
    Customer.objects.filter(pk=deborah.pk).update(strasse="Hauptstraße 1", plz="01067", ort="Dresden")
    place_order(customer_id=deborah.pk, expected_total=None, by=Actor.CUSTOMER)
    CartItem.objects.create(cart=cart, product=gloves, quantity=2)
    spent = issue(deborah, family=UUID(int=1), signed_in_at=timezone.now()).refresh
    fresh = rotate(spent)
    assert fresh
    digest = password_digest(reset_secret(deborah), "of the tests")
    members: dict[str, list[Any]] = {
        "email": ["new@example.com", "deborah.bruen@example.com", "JONAS@example.com", "ada@example.com"],
        "username": ["admin", "nobody"],
        "first_name": ["Ada"],
        "password": [PASSWORD],
        "current_password": [PASSWORD, "wrong"],
        "new_password": ["a mountain of numbers", "short", PASSWORD],
        "refresh": [spent, fresh.refresh],
        "token": [signing.dumps([deborah.pk, digest], salt=RESET_SALT), fresh.access],
        "expected_total": ["471.98", "0.00"],
        "product_id": [gloves.pk],
        "return_url": ["", "https://shop.example/", "https://elsewhere.example/"],
    }
    return Known(
        {"customer_id": deborah.pk, "order_id": Order.objects.get().pk, "product_id": gloves.pk},
        members,
        bearer(deborah)["Authorization"],
        bearer(admin_user)["Authorization"],
    )


ODD_IDS = [
    *(0, 2, 2**31 - 1, 2**31, 2**32 + 1, 2**63 - 1, 2**63, 2**64, 2**100, 10**50),
    *("007", "-1", "1.0", "%00", "x"),
]
ODD_NUMBERS: list[float] = [
    *(0, -1, 1.0, 2.5, -0.0, 2**31, 2**63, -(2**63) - 1, 2**100, 10**400),
    *(1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
]
ODD_TEXTS = [
    *("", " ", "\u3000", "\0", "a\0b", "\ud800", "\udfffx", "\u202etxt.exe", "\u200b", "\u2028", "İ"),
    *("ﬀ", "🛒"),
    *("x" * 1000, "ß" * 128, "x" * 64 * 1024, "'; DROP TABLE customer; --", "%s%(x)s", "{}", "\\", '"'),
    *("a@b", "a@b.c\n", "a@xn--.de", "@", "ada@[::1]", "1e5", "1,00", "１.００", "99999999.99", "-0.01"),
]
ODD_VALUES: list[Any] = [None, True, [], {}, *ODD_NUMBERS, *ODD_TEXTS]
ODD_BODIES = [
    *(b"", b" ", b"{", b"[]", b"null", b'"x"', b"{}{}", b"\xff", b"\xef\xbb\xbf{}", b'{"a": 1, "a": 1}'),
    *(
        b'{"quantity": ' + b"9" * 5000 + b"}",
        b"{" * 5000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[" * 60_000,
    ),
    *(b'{"": ""}', b'{"\\u0000": 1}', b"{}" + b" " * 65535, '{"email": "x"}'.encode("utf-16"), b"a=1&b=2"),
]
ODD_AUTHORIZATIONS = [
    *("", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Bearer x y", "bearer\tx", "Basic YTpi", "\xff"),
    *(
        "Bearer \xff",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer " + "x" * 8000,
        "Token x",
        "Bearer " + "." * 50,
    ),
]
KINDS = [
    *("application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;", ""),
    *("text/plain", "application/json, text/plain", "application/x-www-form-urlencoded", "/", "\xff"),
    *("multipart/form-data", "application/json; charset=hex", "application/json; charset=utf-16"),
]
KEYS = ["key", "a" * 255, " ", "", "a" * 256, "\xe4", "a\tb", "a\x7f", '"quoted"']

leaves = st.none() | st.booleans() | st.sampled_from(ODD_NUMBERS) | st.sampled_from(ODD_TEXTS) | st.text()
nested = st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=5), leaves, max_size=3)
anything = leaves | nested | st.lists(nested, max_size=2)


def mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(range(10)).flatmap(lambda which: other if which == 9 else usual)


def fitting(name: str, field: forms.Field, known: Known) -> st.SearchStrategy[Any]:
    """What a field of a form takes."""
    if name in known.members:
        return st.sampled_from(known.members[name])
    match field:
        case JsonForm():
            return members(field.form, known)
        case JsonInteger():
            return st.integers(1, 5)
        case JsonMoney():
            return st.sampled_from(["0.00", "9.99"])
        case JsonChoice():
            return st.sampled_from(field.choices)
        case _:
            return st.sampled_from(["Ada", " Łódź "]) | st.text(max_size=20)


def members(form: type[forms.Form], known: Known) -> st.SearchStrategy[Any]:
    """An object that a form takes, or nearly so."""
    fields = {name: mostly(fitting(name, field, known), anything) for name, field in form.base_fields.items()}
    complete = st.fixed_dictionaries(fields)
    return complete | st.fixed_dictionaries({}, optional=fields | {"unknown": anything})


def as_bytes(value: Any) -> st.SearchStrategy[bytes]:
    """JSON in ASCII, or what may be no UTF-8."""
    return st.sampled_from(
        [json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")]
    )


def bodies(form: type[forms.Form], known: Known) -> st.SearchStrategy[bytes]:
    if form is NoBody:
        return mostly(st.sampled_from([b"", b"{}"]), st.sampled_from(ODD_BODIES))
    return mostly(
        members(form, known).flatmap(as_bytes),
        st.sampled_from(ODD_BODIES) | st.binary(max_size=50) | anything.flatmap(as_bytes),
    )


@dataclass
class Sent:
    """A request; the headers have their names in WSGI."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


def requests(operation: str, known: Known) -> st.SearchStrategy[Sent]:
    method, path = operation.split(" ")
    endpoint = OPERATIONS[operation]
    audience = endpoint.audience
    caller = known.customer if audience.owner else known.staff

    @st.composite
    def request(draw: Callable[..., Any]) -> Sent:
        parts = []
        for part in path.split("/"):
            if part.startswith("<"):
                own = known.ids[part.strip("<>").removeprefix("int:")]
                parts.append(str(draw(mostly(st.just(own), st.sampled_from(ODD_IDS)))))
            else:
                parts.append(part)
        headers = {
            "HTTP_AUTHORIZATION": draw(mostly(st.just(caller), st.sampled_from(ODD_AUTHORIZATIONS))),
            "CONTENT_TYPE": draw(mostly(st.just(KINDS[0]), st.sampled_from(KINDS))),
            "HTTP_IDEMPOTENCY_KEY": draw(mostly(st.just(KEYS[0]), st.sampled_from(KEYS))),
        }
        left_out = draw(mostly(st.just(""), st.sampled_from(sorted(headers))))
        headers.pop(left_out, None)
        return Sent(method, "/shop/api/" + "/".join(parts), draw(bodies(endpoint.form, known)), headers)

    return request()


TABLES = (
    *("customer", "category", "product", "product_sales", "search_word", "cart", "cart_item", "auth_user"),
    *("order", "order_item", "delivery", "order_history", "order_note", "idempotency_key"),
    *("refresh_token", "job", "mail", "payment", "payment_event", "invoice"),
    *("stock_correction", "product_import", "import_part", "import_line"),
)


def digest() -> list[Any]:
    """What is in the tables, a sum for each."""
    sums = (
        f'(SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{name}" AS t)' for name in TABLES
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(sums)}")
        return list(cursor.fetchone())


def check(sent: Sent, before: list[Any]) -> None:
    """Send it, look at the answer and at what is in the tables, and undo what it did."""
    with transaction.atomic():
        answer = ask(sent.method, sent.path, sent.body, **sent.headers)
        assert answer.status < 500, answer
        assert_documented(sent.method, sent.path, answer.status, answer.headers, answer.body)
        if answer.status < 400:
            connection.check_constraints()
        else:
            # A spent refresh token used again revokes its family.
            kept = -1 if sent.path == "/shop/api/token/refresh/" else None
            assert digest()[:kept] == before[:kept], answer
            look_at_refusal(answer.status, answer.headers, json.loads(answer.body))
        transaction.set_rollback(True)


def look_at_refusal(status: int, headers: Mapping[str, str], told: dict[str, Any]) -> None:
    assert isinstance(told["error"], str)
    assert len(told["error"].splitlines()) == 1
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    match status:
        case 400:
            no_sense = told == {"error": "The Content-Type makes no sense"}
            assert no_sense or all(texts and isinstance(texts, list) for texts in told["fields"].values())
        case 401:
            assert headers["WWW-Authenticate"].startswith("Bearer")
        case 409 | 422:
            assert isinstance(told["code"], str)
        case _:
            assert status in (403, 404, 413, 415)


def test_every_table_is_looked_at() -> None:
    """But the one that counts requests."""
    models = apps.get_app_config("shop").get_models()
    tables = {model._meta.db_table for model in models if model._meta.managed}
    assert {*TABLES, "request_count"} == {*tables, "auth_user"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_anything(operation: str, known: Known) -> None:
    before = digest()

    @settings(
        max_examples=20,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(operation, known))
    def send(sent: Sent) -> None:
        check(sent, before)

    send()


def usual(form: type[forms.Form], known: Known) -> dict[str, Any]:
    """What a form takes."""
    found: dict[str, Any] = {}
    for name, field in form.base_fields.items():
        match field:
            case _ if name in known.members:
                found[name] = known.members[name][0]
            case JsonForm():
                found[name] = usual(field.form, known)
            case JsonInteger():
                found[name] = 1
            case JsonMoney():
                found[name] = "9.99"
            case JsonChoice():
                found[name] = field.choices[0]
            case _:
                found[name] = "Ada"
    return found


def with_one_odd(form: type[forms.Form], known: Known) -> Iterator[dict[str, Any]]:
    """Each member in turn as each odd value, beside others as usual."""
    for name, field in form.base_fields.items():
        others = usual(form, known)
        others.pop("username" if name != "username" else "email", None)  # a sign-in has one of them
        for value in ODD_VALUES:
            yield {**others, name: value}
        if isinstance(field, JsonForm):
            for value in with_one_odd(field.form, known):
                yield {**others, name: value}


@pytest.mark.slow
@pytest.mark.parametrize(
    "operation", [name for name, write in OPERATIONS.items() if write.form is not NoBody]
)
def test_each_odd_value_of_each_member(operation: str, known: Known) -> None:
    method, path = operation.split(" ")
    endpoint = OPERATIONS[operation]
    headers = {
        "HTTP_AUTHORIZATION": known.customer if endpoint.audience.owner else known.staff,
        "CONTENT_TYPE": KINDS[0],
        "HTTP_IDEMPOTENCY_KEY": KEYS[0],
    }
    for name, pk in known.ids.items():
        path = path.replace(f"<int:{name}>", str(pk))
    before = digest()
    for body in with_one_odd(endpoint.form, known):
        check(Sent(method, f"/shop/api/{path}", json.dumps(body).encode(), headers), before)
