"""Who may call an endpoint: every view declares it, and SHOP_API_AUTH=required enforces it."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Cart, Order

PERMISSIONS = {
    "index": "",
    "products": "",
    "customer-orders": "shop.view_order",
    "order-details": "shop.view_order",
    "customer-cart": "shop.view_cart",
    "bestsellers": "shop.view_order",
    "low-stock": "",
    "customer-stats": "shop.view_customer",
    "category-stats": "",
}
"""What staff need for each endpoint; without a permission it is for everybody."""


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every pattern of the URLconf with its whole path."""
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        else:
            yield path, pattern


def test_every_endpoint_of_the_project_declares_its_audience() -> None:
    """The admin has sign-in of its own, and `/` and the icon show nothing; all else must declare."""
    others = {path: pattern for path, pattern in patterns(get_resolver()) if not path.startswith("admin/")}
    for path in ("", "favicon.ico"):
        others.pop(path)
    assert all(path.startswith("shop/api/") for path in others)
    declared = {
        pattern.name: {endpoint.audience.permission for endpoint in pattern.callback.endpoints.values()}  # type: ignore[attr-defined]
        for pattern in others.values()
    }
    assert declared == {name: {permission} for name, permission in PERMISSIONS.items()}


@pytest.fixture
def paths(order: Order, cart: Cart) -> dict[str, str]:
    return {
        "index": "/shop/api/",
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


ALL_OPEN = dict.fromkeys(PERMISSIONS, 200)
PUBLIC_OPEN = {name: 401 if permission else 200 for name, permission in PERMISSIONS.items()}


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


@pytest.mark.parametrize("flags", [{"is_staff": False}, {"is_staff": True, "is_active": False}])
def test_who_is_no_active_staff_is_a_stranger(
    client: Client, settings: Settings, paths: dict[str, str], flags: dict[str, bool]
) -> None:
    settings.SHOP_API_AUTH = "required"
    client.force_login(User.objects.create(username="someone", is_superuser=True, **flags))
    assert statuses(client, paths) == PUBLIC_OPEN


def test_a_superuser_sees_everything(admin_client: Client, settings: Settings, paths: dict[str, str]) -> None:
    settings.SHOP_API_AUTH = "required"
    assert statuses(admin_client, paths) == ALL_OPEN


HIDDEN = {
    "customer-orders": (404, "Customer not found"),
    "order-details": (404, "Order not found"),
    "customer-cart": (404, "Cart not found"),
    "bestsellers": (403, "You may not see this"),
    "customer-stats": (403, "You may not see this"),
}


@pytest.mark.parametrize("permission", ["view_order", "view_cart", "view_customer", "change_order"])
def test_staff_see_what_the_admin_lets_them_view(
    client: Client, settings: Settings, paths: dict[str, str], permission: str
) -> None:
    """What they may not see looks as if it were not there."""
    settings.SHOP_API_AUTH = "required"
    clerk = User.objects.create(username="clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(clerk)
    for name, path in paths.items():
        answer = client.get(path)
        if PERMISSIONS[name] in ("", f"shop.{permission}"):
            assert answer.status_code == 200, name
        else:
            status, message = HIDDEN[name]
            assert (answer.status_code, answer.json()) == (status, {"error": message}), name


def test_an_answer_to_staff_costs_no_more_than_their_permissions(
    client: Client,
    settings: Settings,
    paths: dict[str, str],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """Session, user, the user's permissions, those of the groups."""
    settings.SHOP_API_AUTH = "required"
    clerk = User.objects.create(username="clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_order"))
    client.force_login(clerk)
    client.get(paths["order-details"])
    with django_assert_num_queries(5):
        client.get(paths["order-details"])


@pytest.mark.parametrize("fallbacks", [["of the tests"], []])
def test_a_new_secret_key_ends_no_session_by_a_read(
    admin_client: Client, settings: Settings, paths: dict[str, str], fallbacks: list[str]
) -> None:
    """Django would give the session a new id and its cookie with it, or delete what it cannot verify."""
    settings.SHOP_API_AUTH = "required"
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", fallbacks
    status = 200 if fallbacks else 401
    for _ in range(2):
        assert admin_client.get(paths["customer-stats"]).status_code == status
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "of the tests", []
    assert admin_client.get(paths["customer-stats"]).status_code == 200


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
