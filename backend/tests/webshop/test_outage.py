"""A database that goes away: 503 in JSON with Retry-After, and normal service when it is back.

Long answers, which are sent as they are read, break off visibly; and they take no memory.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from tests import BACKEND
from tests.support.cluster import copy_data
from webshop.postgres import DATABASE, USER, Server, postgres

pytestmark = pytest.mark.slow

URL = "http://127.0.0.1:{}"
PRODUCTS = "/shop/api/products/"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def shop(tmp_path: Path, migrated_data: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a shop in production, on a database that will run in tmp_path.

    A parameter adds to it.
    """
    copy_data(migrated_data, tmp_path)
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SECRET_KEY": "of the tests",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_HOST": str(tmp_path / "socket"),
        **getattr(request, "param", {}),
    }


@pytest.fixture(autouse=True)
def server(shop: dict[str, str], port: int, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """That shop on the production server."""
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "webshop.wsgi", "--bind", f"127.0.0.1:{port}"],
            cwd=BACKEND,
            env=shop,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_for(port)
        yield process
    finally:
        process.terminate()
        process.wait()


def warnings(directory: Path) -> list[str]:
    """What the log warns of."""
    lines = map(json.loads, (directory / "stderr").read_text().splitlines())
    return [line["message"] for line in lines if line["level"] == "WARNING" and line["request_id"]]


@contextmanager
def database(directory: Path) -> Iterator[Server]:
    """Run PostgreSQL where the shop looks for it."""
    with postgres(directory / "data", fsync="off") as server:
        socket_dir = directory / "socket"
        socket_dir.unlink(missing_ok=True)
        socket_dir.symlink_to(server.socket_dir)
        yield server


def get(
    port: int,
    query: str = "",
    path: str = PRODUCTS,
    headers: dict[str, str] | None = None,
    data: bytes | None = None,
) -> tuple[int, str | None, bytes]:
    request = urllib.request.Request(URL.format(port) + path + query, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, None, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"], error.read()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            get(port)
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the shop does not listen")


UNAVAILABLE = (503, "5", b'{"error": "The database is not available"}')
BUSY = (503, "5", b'{"error": "Something that this needs is being changed at this moment"}')


def test_a_killed_database_is_a_503_and_comes_back(tmp_path: Path, port: int, shop: dict[str, str]) -> None:
    assert get(port) == UNAVAILABLE
    with database(tmp_path) as server:
        assert [get(port) for _ in range(6)] == [(200, None, b"[]")] * 6
        server.process.kill()
        server.process.wait()
        known = len(warnings(tmp_path))
        assert [get(port) for _ in range(6)] == [UNAVAILABLE] * 6
        assert len(warnings(tmp_path)) == known + 6
    with database(tmp_path):
        assert [get(port) for _ in range(6)] == [(200, None, b"[]")] * 6
    with database(tmp_path):  # restarted between two requests: nobody notices
        assert [get(port) for _ in range(6)] == [(200, None, b"[]")] * 6


@pytest.mark.parametrize("shop", [{"PGOPTIONS": "-c lock_timeout=500ms"}], indirect=True)
def test_a_lock_that_is_held_is_a_503(tmp_path: Path, port: int, shop: dict[str, str]) -> None:
    with database(tmp_path) as postgresql:
        assert get(port) == (200, None, b"[]")
        with closing(psycopg2.connect(host=postgresql.socket_dir, user=USER, dbname=DATABASE)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE product")
                begun = time.monotonic()
                assert get(port) == BUSY
                assert 0.5 <= time.monotonic() - begun < 2
                said = "503, for the database says: canceling statement due to lock timeout"
                assert warnings(tmp_path)[-1] == said
            connection.rollback()
        assert get(port) == (200, None, b"[]")


@pytest.mark.parametrize("shop", [{"PGOPTIONS": "-c statement_timeout=500ms"}], indirect=True)
def test_a_statement_that_takes_too_long_is_a_503(tmp_path: Path, port: int, shop: dict[str, str]) -> None:
    with (
        database(tmp_path) as postgresql,
        closing(psycopg2.connect(host=postgresql.socket_dir, user=USER, dbname=DATABASE)) as connection,
    ):
        with connection, connection.cursor() as cursor:
            cursor.execute("ALTER TABLE product RENAME TO goods")
            cursor.execute("CREATE VIEW product AS SELECT goods.* FROM goods, pg_sleep(3)")
        begun = time.monotonic()
        assert get(port) == UNAVAILABLE
        assert 0.5 <= time.monotonic() - begun < 2


PAGE = b"<!doctype html><title>Webshop</title><p>The database is not available. Try again in a moment."


@pytest.mark.parametrize("shop", [{"SHOP_API_AUTH": "required"}], indirect=True)
def test_an_outage_is_a_503_for_pages_and_for_who_is_signed_in(
    tmp_path: Path, port: int, shop: dict[str, str]
) -> None:
    signed_in = {"Cookie": "sessionid=" + "a" * 32}

    def answers() -> list[tuple[int, str | None, bytes]]:
        paths = ("/admin/", "/admin/shop/product/", "/shop/api/customer-stats/")
        return [get(port, path=path, headers=signed_in) for path in paths]

    def sign_in() -> tuple[int, str | None, bytes]:
        """Post the form; its token needs no database."""
        headers = {"Cookie": "csrftoken=" + "a" * 32, "X-CSRFToken": "a" * 32}
        return get(port, path="/admin/login/", headers=headers, data=b"username=a&password=b")

    assert answers() == [(503, "5", PAGE), (503, "5", PAGE), UNAVAILABLE]
    assert sign_in() == (503, "5", PAGE)
    with database(tmp_path):
        assert [status for status, _, _ in answers()] == [200, 200, 401]
    assert answers() == [(503, "5", PAGE), (503, "5", PAGE), UNAVAILABLE]


ROWS = 40_000
FILL = f"""
    INSERT INTO category (category_name) VALUES ('Lamps');
    INSERT INTO product (name, price, category_id)
        SELECT 'Lamp' || repeat(' .', 98), 1, 1 FROM generate_series(1, {ROWS})
"""


def peak_memory(process: subprocess.Popen[bytes]) -> int:
    """The most memory that one of the workers had so far, in kB."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in children]
    return max(int(status.partition("VmHWM:")[2].split()[0]) for status in statuses)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_long_answer_takes_no_memory_and_breaks_off_visibly(
    tmp_path: Path, port: int, shop: dict[str, str], server: subprocess.Popen[bytes]
) -> None:
    with database(tmp_path) as postgresql:
        with closing(psycopg2.connect(host=postgresql.socket_dir, user=USER, dbname=DATABASE)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(FILL)
                for _ in range(6):
                    assert get(port, "?limit=1")[0] == 200
                before = peak_memory(server)
                for _ in range(3):
                    status, _, body = get(port)
                    assert (status, len(json.loads(body))) == (200, ROWS)
                assert len(body) > 10_000_000
                assert peak_memory(server) - before < 5 * 1024

                with urllib.request.urlopen(URL.format(port) + PRODUCTS) as response:
                    assert response.read(1) == b"["
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    )
                    with pytest.raises(http.client.IncompleteRead):
                        response.read()
        assert get(port, "?limit=1")[0] == 200
