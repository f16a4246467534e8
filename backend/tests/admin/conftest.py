"""Who buys and sells."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome

from tests.orders.conftest import ada, basket, placed  # noqa: F401 (fixtures)

Clerk = Callable[..., Client]


@pytest.fixture
def clerk(db: None) -> Clerk:
    """Signs in staff with these permissions and no others."""

    def sign_in(*permissions: str) -> Client:
        user = User.objects.create_user("clerk", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        assert user.user_permissions.count() == len(permissions)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def signed_in(browser: Chrome, live_server: LiveServer, admin_client: Client) -> LiveServer:
    """A server whose superuser the browser is already."""
    become(browser, live_server, admin_client)
    return live_server


def become(browser: Chrome, server: LiveServer, client: Client) -> None:
    """Give the browser the session of a client."""
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": server.url}
    browser.execute_cdp_cmd("Network.setCookie", cookie)
