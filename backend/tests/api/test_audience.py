"""Who may call what: every path and method of urls.py has a row here, for every kind of caller."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Cart, Customer, Order, RefreshToken
from shop.payments.settling import mark_paid
from shop.urls import urlpatterns
from tests.support.calling import bearer
from tests.support.openapi import assert_answer

pytestmark = pytest.mark.django_db

CALLERS = ("anonymous", "other customer", "owner", "staff with", "staff without", "deactivated", "cookie")
"""The cookie is of staff with the permission."""

PUBLIC = (200,) * 7
PUBLIC_WRITE = (415,) * 7
WEBHOOK = (404,) * 7
OWN_READ = (401, 404, 200, 200, 404, 401, 200)
STAFF_LIST = (401, 403, 403, 200, 403, 401, 200)
OWN_WRITE = (401, 404, 415, 404, 404, 401, 401)
STAFF_WRITE = (401, 404, 404, 415, 404, 401, 401)

ROWS = {
    "GET ": (PUBLIC, ""),
    "GET openapi.json": (PUBLIC, ""),
    "GET docs/": (PUBLIC, ""),
    "GET products/": (PUBLIC, ""),
    "GET product/<product_id>/": (PUBLIC, ""),
    "GET categories/": (PUBLIC, ""),
    "GET bestsellers/": (STAFF_LIST, "view_order"),
    "GET low-stock/": (PUBLIC, ""),
    "GET category-stats/": (PUBLIC, ""),
    "GET customer-stats/": (STAFF_LIST, "view_customer"),
    "POST token/": (PUBLIC_WRITE, ""),
    "POST token/refresh/": (PUBLIC_WRITE, ""),
    "POST token/revoke/": (PUBLIC_WRITE, ""),
    "POST password-reset/": (PUBLIC_WRITE, ""),
    "POST password-reset/confirm/": (PUBLIC_WRITE, ""),
    "POST customer/": (PUBLIC_WRITE, ""),
    "GET customer/<customer_id>/": (OWN_READ, "view_customer"),
    "PATCH customer/<customer_id>/": (OWN_WRITE, ""),
    "DELETE customer/<customer_id>/": (OWN_WRITE, ""),
    "GET customer/<customer_id>/export/": (OWN_READ, "view_customer"),
    "POST customer/<customer_id>/password/": (OWN_WRITE, ""),
    "GET customer/<customer_id>/cart/": (OWN_READ, "view_cart"),
    "DELETE customer/<customer_id>/cart/": (OWN_WRITE, ""),
    "GET customer/<customer_id>/cart/items/": (OWN_READ, "view_cart"),
    "POST customer/<customer_id>/cart/items/": (OWN_WRITE, ""),
    "PUT customer/<customer_id>/cart/items/<product_id>/": (OWN_WRITE, ""),
    "DELETE customer/<customer_id>/cart/items/<product_id>/": (OWN_WRITE, ""),
    "GET customer/<customer_id>/orders/": (OWN_READ, "view_order"),
    "POST customer/<customer_id>/orders/": (OWN_WRITE, ""),
    "GET customer/<customer_id>/orders/<order_id>/": (OWN_READ, "view_order"),
    "POST customer/<customer_id>/orders/<order_id>/cancel/": (OWN_WRITE, ""),
    "GET customer/<customer_id>/orders/<order_id>/payment/": (OWN_READ, "view_order"),
    "POST customer/<customer_id>/orders/<order_id>/payment/": (OWN_WRITE, ""),
    "POST payment/stripe/webhook/": (WEBHOOK, ""),
    "GET orders/": (STAFF_LIST, "view_order"),
    "GET order/<order_id>/": (OWN_READ, "view_order"),
    "POST order/<order_id>/status/": (STAFF_WRITE, "change_order"),
}
"""What each caller gets, where SHOP_API_AUTH is `required`; to a write that is let in, 415 for its body; to
Stripe 404, as it has no secret here. And what staff need, besides being staff.
"""

OPEN = {
    "GET products/",
    "GET customer/<customer_id>/orders/",
    "GET order/<order_id>/",
    "GET customer/<customer_id>/cart/",
    "GET bestsellers/",
    "GET low-stock/",
    "GET customer-stats/",
    "GET category-stats/",
}
"""What `open` opens: the eight endpoints of the specification."""


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every pattern of the URLconf with its whole path."""
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        else:
            yield path, pattern


def test_every_path_and_method_has_a_row() -> None:
    found = {
        f"{method} {str(pattern.pattern).replace('int:', '')}"
        for pattern in urlpatterns
        for method in pattern.callback.endpoints  # type: ignore[attr-defined]
    }
    assert {row for row in found if not row.startswith("HEAD")} == set(ROWS)
    heads = {row.replace("HEAD", "GET") for row in found if row.startswith("HEAD")}
    assert heads == {row for row in ROWS if row.startswith("GET")}


def test_there_is_little_beside_the_api_and_the_admin() -> None:
    """The admin has a sign-in of its own, `/` only leads there, and a payment's page has a secret address."""
    paths = {path for path, _ in patterns(get_resolver())}
    others = {path for path in paths if not path.startswith(("shop/api/", "admin/"))}
    assert others == {"", "favicon.ico", "shop/pay/<slug:token>/"}


@pytest.fixture
def ids(order: Order, cart: Cart, jonas: Customer) -> dict[str, int]:
    """What belongs to Deborah, whose order is paid."""
    mark_paid(orders=[order.pk])
    product = cart.items.get().product_id
    return {"customer_id": order.customer_id, "order_id": order.pk, "product_id": product}


def staff(name: str, *permissions: str, **flags: bool) -> User:
    user = User.objects.create(username=name, is_staff=True, **flags)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def headers(ids: dict[str, int], jonas: Customer) -> dict[str, dict[str, str]]:
    """What each caller sends, but the staff with the permission."""
    everything = [permission for _, permission in ROWS.values() if permission]
    deactivated = staff("deactivated", *everything)
    found = {
        "anonymous": {},
        "other customer": bearer(jonas),
        "owner": bearer(Customer.objects.get(pk=ids["customer_id"])),
        "deactivated": bearer(deactivated),
    }
    User.objects.filter(pk=deactivated.pk).update(is_active=False)
    return found


def call(client: Client, row: str, ids: dict[str, int], headers: dict[str, str]) -> Any:
    """Call what a row names, a write with a body that is none; the answer is as the OpenAPI document says."""
    method, path = row.split(" ")
    path = re.sub("<(.+?)>", lambda name: str(ids[name[1]]), path)
    body = ("", "") if method in ("GET", "HEAD") else ("x", "text/plain")
    answer = client.generic(method, f"/shop/api/{path}", *body, headers=headers)
    assert_answer(method, f"/shop/api/{path}", answer)
    return answer


@pytest.mark.parametrize("row", ROWS)
def test_who_may(
    row: str,
    client: Client,
    settings: Settings,
    ids: dict[str, int],
    headers: dict[str, dict[str, str]],
) -> None:
    """Who may not is told what is told of a missing id, whatever the id."""
    settings.SHOP_API_AUTH = "required"
    settings.SHOP_RATE_LIMITS = "off"
    expected, permission = ROWS[row]
    others = {codename for _, codename in ROWS.values()} - {permission}
    allowed = staff("allowed", permission)
    headers |= {"staff with": bearer(allowed), "staff without": bearer(staff("other", *others))}
    client.force_login(allowed)
    headers["cookie"] = {"cookie": "; ".join(f"{name}={it.value}" for name, it in client.cookies.items())}
    for caller, status in zip(CALLERS, expected, strict=True):
        answer = call(Client(), row, ids, headers[caller])
        assert (caller, answer.status_code) == (caller, status)
        if status == 401:
            challenge = 'Bearer error="invalid_token"' if caller == "deactivated" else "Bearer"
            assert answer.headers["WWW-Authenticate"] == challenge
        if status == 403:
            assert answer.json() == {"error": "You may not see this"}
        if status in (401, 404):
            for missing in (999_999_999, 10**30):
                unknown = call(Client(), row, dict.fromkeys(ids, missing), headers[caller])
                assert (unknown.status_code, unknown.content) == (status, answer.content)
        if row.startswith("GET"):
            assert call(Client(), row.replace("GET", "HEAD"), ids, headers[caller]).status_code == status


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("GET customer/") or "order/" in row])
def test_what_is_missing_is_missing_to_those_who_may(row: str, client: Client, settings: Settings) -> None:
    settings.SHOP_API_AUTH = "required"
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    for missing in (0, 999_999_999, 10**30):
        ids = dict.fromkeys(("customer_id", "order_id"), missing)
        answer = call(client, row, ids, bearer(boss))
        assert answer.status_code == 404
        assert re.fullmatch("(Customer|Order|Cart|Payment) not found", answer.json()["error"])


def test_open_opens_the_eight_and_nothing_else(
    client: Client, settings: Settings, ids: dict[str, int]
) -> None:
    """Where anybody may call, nobody looks at who does."""
    settings.SHOP_API_AUTH = "open"
    settings.SHOP_RATE_LIMITS = "off"
    for row, (expected, _) in ROWS.items():
        is_public = expected in (PUBLIC, PUBLIC_WRITE, WEBHOOK)
        for headers in ({}, *({"Authorization": value} for value in ("Bearer x", "Basic YTpi", "\xff\0"))):
            answer = call(client, row, ids, headers)
            status = 200 if row in OPEN else expected[0] if is_public else 401
            assert answer.status_code == status, (row, headers)


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("Bearer x", 'Bearer error="invalid_token"'),
        ("bearer x", 'Bearer error="invalid_token"'),
        ("Bearer", 'Bearer error="invalid_token"'),
        ("Bearer x, Bearer y", 'Bearer error="invalid_token"'),
        ("Bearer ü", 'Bearer error="invalid_token"'),
        ("Basic YTpi", "Bearer"),
        ("", "Bearer"),
    ],
)
def test_the_header_wins_over_a_cookie(
    header: str, challenge: str, admin_client: Client, settings: Settings
) -> None:
    settings.SHOP_API_AUTH = "required"
    answer = admin_client.get("/shop/api/customer-stats/", headers={"Authorization": header})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, challenge)
    assert set(answer.json()) == {"error"}


def test_a_good_header_wins_too(admin_client: Client, settings: Settings, deborah: Customer) -> None:
    settings.SHOP_API_AUTH = "required"
    answer = admin_client.get("/shop/api/customer-stats/", headers=bearer(deborah))
    assert answer.status_code == 403


@pytest.mark.parametrize("way", ["user", "group", "superuser"])
def test_how_staff_get_a_permission_and_lose_it_at_once(
    way: str, client: Client, settings: Settings, order: Order
) -> None:
    settings.SHOP_API_AUTH = "required"
    clerk = staff("clerk")
    permission = Permission.objects.get(codename="view_order")
    group = Group.objects.create(name="sales")
    clerk.groups.add(group)
    token = bearer(clerk)

    def status() -> int:
        return client.get(f"/shop/api/order/{order.pk}/", headers=token).status_code

    assert status() == 404
    match way:
        case "user":
            clerk.user_permissions.add(permission)
        case "group":
            group.permissions.add(permission)
        case "superuser":
            User.objects.filter(pk=clerk.pk).update(is_superuser=True)
    assert status() == 200
    clerk.user_permissions.clear()
    group.permissions.clear()
    User.objects.filter(pk=clerk.pk).update(is_superuser=False)
    assert status() == 404


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}, {"password": "another"}])
def test_a_staff_users_token_dies_at_once(client: Client, settings: Settings, change: dict[str, Any]) -> None:
    settings.SHOP_API_AUTH = "required"
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    token = bearer(boss)
    assert client.get("/shop/api/customer-stats/", headers=token).status_code == 200
    User.objects.filter(pk=boss.pk).update(**change)
    answer = client.get("/shop/api/customer-stats/", headers=token)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


def test_a_deleted_users_token_is_dead(client: Client) -> None:
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    token = bearer(boss)
    boss.delete()
    assert not RefreshToken.objects.exists()
    assert client.get("/shop/api/customer/1/", headers=token).status_code == 401


EIGHT = [row for row in ROWS if row in OPEN and ROWS[row][0] != PUBLIC]


@pytest.mark.parametrize("row", EIGHT)
@pytest.mark.parametrize("kind", ["customer", "staff"])
def test_a_token_costs_one_query(
    row: str,
    kind: str,
    client: Client,
    settings: Settings,
    ids: dict[str, int],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    token = bearer(Customer.objects.get(pk=ids["customer_id"]) if kind == "customer" else boss)
    settings.SHOP_API_AUTH = "open"
    with django_assert_num_queries(1):
        anybody = call(client, row, ids, {})
    settings.SHOP_API_AUTH = "required"
    admitted = kind == "staff" or ROWS[row][0] == OWN_READ
    with django_assert_num_queries(2 if admitted else 1):
        answer = call(client, row, ids, token)
    if admitted:
        assert answer.content == anybody.content
        own = "" if row.endswith("cart/") else "Accept, "
        assert answer.headers["Vary"] == f"{own}Authorization, Cookie"
        assert "cookie" not in {name.lower() for name in answer.headers}


def test_who_is_unknown_costs_none(
    client: Client, settings: Settings, ids: dict[str, int], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.SHOP_API_AUTH = "required"
    for headers in ({}, {"Authorization": "Bearer x"}):
        with django_assert_num_queries(0):
            assert call(client, EIGHT[0], ids, headers).status_code == 401


@pytest.mark.parametrize("flags", [{"is_staff": False}, {"is_staff": True, "is_active": False}])
def test_a_cookie_of_who_is_no_active_staff_is_none(
    client: Client, settings: Settings, ids: dict[str, int], flags: dict[str, bool]
) -> None:
    settings.SHOP_API_AUTH = "required"
    client.force_login(User.objects.create(username="someone", is_superuser=True, **flags))
    for row in EIGHT:
        assert call(client, row, ids, {}).status_code == 401


def test_a_cookie_costs_no_more_than_the_permissions(
    client: Client, settings: Settings, ids: dict[str, int], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Session, user, the user's permissions, those of the groups."""
    settings.SHOP_API_AUTH = "required"
    client.force_login(staff("clerk", "view_order"))
    call(client, "GET order/<order_id>/", ids, {})
    with django_assert_num_queries(5):
        call(client, "GET order/<order_id>/", ids, {})


@pytest.mark.parametrize("fallbacks", [["of the tests"], []])
def test_a_new_secret_key_ends_no_session_by_a_read(
    admin_client: Client, settings: Settings, fallbacks: list[str]
) -> None:
    """Django would give the session a new id and its cookie with it, or delete what it cannot verify."""
    settings.SHOP_API_AUTH = "required"
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", fallbacks
    status = 200 if fallbacks else 401
    for _ in range(2):
        assert admin_client.get("/shop/api/customer-stats/").status_code == status
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "of the tests", []
    assert admin_client.get("/shop/api/customer-stats/").status_code == 200
