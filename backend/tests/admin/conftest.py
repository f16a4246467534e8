"""Who buys and sells."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

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
