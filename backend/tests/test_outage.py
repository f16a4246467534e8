"""A database that goes away: 503 in JSON with Retry-After, and normal service when it is back."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from webshop.postgres import Server, postgres

URL = "http://127.0.0.1:{}/shop/api/products/"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def shop(tmp_path: Path, port: int) -> Iterator[dict[str, str]]:
    """The shop on the production server, on a database whose socket will be in tmp_path; its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SECRET_KEY": "of the tests",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_HOST": str(tmp_path / "socket"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "webshop.wsgi", "--bind", f"127.0.0.1:{port}"],
        cwd=settings.BASE_DIR,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(port)
    yield environment
    process.terminate()
    process.wait()


@contextmanager
def database(directory: Path) -> Iterator[Server]:
    """Run PostgreSQL where the shop looks for it."""
    with postgres(directory / "data") as server:
        socket_dir = directory / "socket"
        socket_dir.unlink(missing_ok=True)
        socket_dir.symlink_to(server.socket_dir)
        yield server


def get(port: int) -> tuple[int, str | None, bytes]:
    try:
        with urllib.request.urlopen(URL.format(port), timeout=10) as response:
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


def test_a_killed_database_is_a_503_and_comes_back(tmp_path: Path, port: int, shop: dict[str, str]) -> None:
    assert get(port) == UNAVAILABLE
    with database(tmp_path) as server:
        migrate = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(migrate, cwd=settings.BASE_DIR, env=shop, check=True)
        assert [get(port) for _ in range(6)] == [(200, None, b"[]")] * 6
        server.process.kill()
        server.process.wait()
        assert [get(port) for _ in range(6)] == [UNAVAILABLE] * 6
    with database(tmp_path):
        assert [get(port) for _ in range(6)] == [(200, None, b"[]")] * 6
    with database(tmp_path):  # restarted between two requests: nobody notices
        assert [get(port) for _ in range(6)] == [(200, None, b"[]")] * 6
