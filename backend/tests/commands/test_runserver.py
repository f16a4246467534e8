"""`manage.py runserver`: Django's, for many clients, whose connections to the database end with them."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from shop.models import Customer
from tests.support.calling import bearer
from tests.support.serving import developing

pytestmark = pytest.mark.slow


def sessions() -> int:
    """Return how many connections the database of the test has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def test_clients_leave_no_connections_to_the_database(transactional_db: None, tmp_path: Path) -> None:
    with developing(tmp_path) as shop:
        for _ in range(20):
            assert shop.get("/shop/api/products/?limit=1").status == 200
        deadline = time.monotonic() + 20
        while (left := sessions()) > 1 and time.monotonic() < deadline:  # the threads end after their answers
            time.sleep(0.02)
        assert left == 1  # the test's own


def test_many_clients_come_at_the_same_moment(transactional_db: None, tmp_path: Path) -> None:
    with developing(tmp_path) as shop, ThreadPoolExecutor(60) as clients:
        revoke = (
            clients.submit(
                shop.post, "/shop/api/token/revoke/", b'{"refresh": "x"}', Content_Type="application/json"
            )
            for _ in range(60)
        )
        assert [answer.result().status for answer in list(revoke)] == [204] * 60


def test_a_body_without_a_type_has_none(transactional_db: None, tmp_path: Path) -> None:
    """Where no body is wanted one of `{}` is taken, and needs no type."""
    ada = Customer.objects.create(first_name="Ada", last_name="Lovelace", email="ada@example.com")
    who = bearer(ada)
    path = f"/shop/api/customer/{ada.pk}/cart/"
    with developing(tmp_path) as shop:
        assert shop.ask("DELETE", path, b"{}", who).status == 204
        assert shop.ask("DELETE", path, b"{}", {**who, "Content_Type": "text/plain"}).status == 415
