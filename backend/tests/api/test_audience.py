"""Who may call an endpoint: every view declares it, and SHOP_API_AUTH=required enforces it."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoAssertNumQueries, Settings

from shop.api.reading import Audience
from shop.models import Cart, Order

AUDIENCES = {
    "products": Audience.PUBLIC,
    "customer-orders": Audience.STAFF,
    "order-details": Audience.STAFF,
    "customer-cart": Audience.STAFF,
    "bestsellers": Audience.STAFF,
    "low-stock": Audience.PUBLIC,
    "customer-stats": Audience.STAFF,
    "category-stats": Audience.PUBLIC,
}


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every pattern of the URLconf with its whole path."""
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        else:
            yield path, pattern


def test_every_view_of_the_project_declares_its_audience() -> None:
    """The admin has sign-in of its own and `/` only leads there; all else must declare."""
    others = {path: pattern for path, pattern in patterns(get_resolver()) if not path.startswith("admin/")}
    others.pop("")
    assert {
        pattern.name: getattr(pattern.callback, "audience", None) for pattern in others.values()
    } == AUDIENCES
    assert all(path.startswith("shop/api/") for path in others)


@pytest.fixture
def paths(order: Order, cart: Cart) -> dict[str, str]:
    return {
        "products": "/shop/api/products/",
        "customer-orders": f"/shop/api/customer/{order.customer_id}/orders/",
        "order-details": f"/shop/api/order/{order.pk}/",
        "customer-cart": f"/shop/api/customer/{cart.customer_id}/cart/",
        "bestsellers": "/shop/api/bestsellers/",
        "low-stock": "/shop/api/low-stock/",
        "customer-stats": "/shop/api/customer-stats/",
        "category-stats": "/shop/api/category-stats/",
    }


def statuses(client: Client, paths: dict[str, str]) -> dict[str, int]:
    return {name: client.get(path).status_code for name, path in paths.items()}


ALL_OPEN = dict.fromkeys(AUDIENCES, 200)
PUBLIC_OPEN = {name: 200 if audience is Audience.PUBLIC else 401 for name, audience in AUDIENCES.items()}


def test_open_lets_everybody_in(client: Client, settings: Settings, paths: dict[str, str]) -> None:
    settings.SHOP_API_AUTH = "open"
    assert statuses(client, paths) == ALL_OPEN


def test_required_lets_strangers_see_the_catalog_alone(
    client: Client, settings: Settings, paths: dict[str, str]
) -> None:
    settings.SHOP_API_AUTH = "required"
    assert statuses(client, paths) == PUBLIC_OPEN
    response = client.get(paths["customer-orders"])
    assert response.json() == {"error": "Sign in as staff to see this"}
    assert client.head(paths["customer-orders"]).status_code == 401


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"is_staff": False}, PUBLIC_OPEN),
        ({"is_staff": True}, ALL_OPEN),
        ({"is_staff": True, "is_active": False}, PUBLIC_OPEN),
    ],
)
def test_required_lets_active_staff_see_everything(
    client: Client,
    settings: Settings,
    paths: dict[str, str],
    flags: dict[str, bool],
    expected: dict[str, int],
) -> None:
    settings.SHOP_API_AUTH = "required"
    client.force_login(User.objects.create(username="someone", **flags))
    assert statuses(client, paths) == expected


def test_a_refusal_does_not_tell_whether_the_customer_exists(
    client: Client,
    settings: Settings,
    paths: dict[str, str],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.SHOP_API_AUTH = "required"
    with django_assert_num_queries(0):
        known, unknown = client.get(paths["customer-cart"]), client.get("/shop/api/customer/0/cart/")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


def test_a_staff_members_answer_is_not_shared_by_caches(
    admin_client: Client, settings: Settings, paths: dict[str, str]
) -> None:
    settings.SHOP_API_AUTH = "required"
    assert admin_client.get(paths["customer-orders"]).headers["Vary"] == "Cookie"
