"""What operators ask: /healthz and /readyz, whatever the host, the scheme or the state of the database."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests import BACKEND
from tests.support.serving import Shop, environment, serving
from webshop import operations
from webshop.postgres import DATABASE, PORT, USER, postgres

OK = (200, b'{"status": "ok"}')


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Begin and end as a process does that has not looked for migrations yet."""
    operations.complete = False
    yield
    operations.complete = False


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_any_host_and_scheme_will_do(client: Client, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    response = client.get(path, headers={"host": "10.0.0.7:8000"})
    assert (response.status_code, response.content) == OK
    assert dict(response.headers) == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_other_methods_are_not_allowed(client: Client, path: str, method: str) -> None:
    response = client.generic(method, path)
    assert response.status_code == 405
    assert response.json() == {"error": "Method not allowed"}
    assert response.headers["Allow"] == "GET, HEAD"
    assert response.headers["Cache-Control"] == "no-store"


def test_a_process_without_a_database_is_alive(client: Client) -> None:
    """This test may not use one: pytest-django would say so."""
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
def test_the_database_is_asked_each_time_and_the_migrations_until_they_are_there(client: Client) -> None:
    with CaptureQueriesContext(connection) as captured:
        client.get("/readyz")
    assert any("django_migrations" in query["sql"] for query in captured)
    with CaptureQueriesContext(connection) as captured:
        client.get("/readyz")
    assert [query["sql"] for query in captured] == ["SELECT 1"]


def migrate(host: Path, *arguments: str) -> None:
    database = {"DATABASE_HOST": str(host), "DATABASE_USERNAME": USER, "DATABASE_NAME": DATABASE}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0", *arguments],
        cwd=BACKEND,
        env=environment(**database, DATABASE_PORT=PORT),
        check=True,
    )


@pytest.mark.slow
def test_it_is_ready_when_the_database_and_all_tables_are_there(tmp_path: Path) -> None:
    host = tmp_path / "socket"
    database = {"DATABASE_HOST": str(host), "DATABASE_USERNAME": USER, "DATABASE_NAME": DATABASE}

    def ready(shop: Shop) -> tuple[int, bytes]:
        answer = shop.get("/readyz")
        return answer.status, answer.body

    unavailable = (503, b'{"error": "The database is not available"}')
    with serving(tmp_path, **database, DATABASE_PORT=PORT) as shop:
        assert ready(shop) == unavailable
        with postgres(tmp_path / "data", fsync="off") as server:
            host.symlink_to(server.socket_dir)
            status, body = ready(shop)
            assert status == 503
            assert body.startswith(b'{"error": "Migrations are missing: ')
            assert b" shop.0001_initial, shop.0002_" in body
            for app, *target in (["shop", "0004"], ["admin"], ["auth"], ["sessions"]):
                migrate(host, app, *target)
            missing = f"Migrations are missing: {', '.join(unapplied())}"
            with ThreadPoolExecutor(8) as pool:  # several at once ask a process that has not looked yet
                answers = list(pool.map(lambda _: ready(shop), range(24)))
            assert answers == [(503, f'{{"error": "{missing}"}}'.encode())] * 24
            migrate(host)
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(lambda _: ready(shop), range(24))) == [OK] * 24
            server.process.kill()
            server.process.wait()
            assert [ready(shop) for _ in range(6)] == [unavailable] * 6
        assert shop.get("/healthz").body == OK[1]
        assert shop.stdout.read_text() == ""
        assert {line["logger"] for line in shop.log()} == {"gunicorn.error"}


def unapplied() -> list[str]:
    """The migrations behind shop.0004, of which Django's own apps have none."""
    names = sorted(path.stem for path in (BACKEND / "shop" / "migrations").glob("0*.py"))
    return [f"shop.{name}" for name in names[4:]]


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_noticed_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(silent.getsockname()[1])}
        with serving(tmp_path, **database) as shop:
            before = time.monotonic()
            assert shop.get("/readyz").status == 503
            assert time.monotonic() - before < 3.5
