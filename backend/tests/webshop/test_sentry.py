"""Reports to Sentry: an unexpected failure is told, and nothing of what the caller sent with it."""

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests import BACKEND
from tests.support.serving import serving

SECRET = "987654321"


class Sentry(ThreadingHTTPServer):
    """An endpoint of Sentry that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received: list[str] = []

    def events(self, number: int) -> list[dict[str, Any]]:
        """Wait for so many events, and return them."""
        deadline = time.monotonic() + 20
        while len(found := [event for body in self.received if (event := last_item(body))]) < number:
            assert time.monotonic() < deadline, self.received
            time.sleep(0.05)
        return found


def last_item(envelope: str) -> dict[str, Any]:
    """Return the event of an envelope, whose last two lines are the header of an item and the item."""
    *_, header, item = envelope.splitlines()
    return json.loads(item) if json.loads(header)["type"] == "event" else {}


class Receiver(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.received.append(body.decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with Sentry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def broken(transactional_db: None) -> Iterator[None]:
    """A database in which two columns have other names than the code has for them."""
    columns = [("product", "price", "cost"), ("auth_user", "username", "login")]
    with connection.cursor() as cursor:
        for table, name, other in columns:
            cursor.execute(f"ALTER TABLE {table} RENAME COLUMN {name} TO {other}")
    yield
    with connection.cursor() as cursor:
        for table, name, other in columns:
            cursor.execute(f"ALTER TABLE {table} RENAME COLUMN {other} TO {name}")


@pytest.mark.slow
def test_a_failure_is_told_without_what_the_caller_sent(broken: None, tmp_path: Path, sentry: Sentry) -> None:
    dsn = tmp_path / "dsn"
    dsn.write_text(f"http://key@127.0.0.1:{sentry.server_port}/7\n")
    token = "a" * 32
    body = f"csrfmiddlewaretoken={token}&username=x{SECRET}&password=y{SECRET}&next=/".encode()
    with serving(tmp_path, SENTRY_DSN_FILE=str(dsn)) as shop:
        secrets = {"Authorization": SECRET, "X_Secret": SECRET, "Referer": f"http://127.0.0.1/?{SECRET}"}
        headers = {**secrets, "Cookie": f"csrftoken={token}; sessionid=s{SECRET}"}
        page = shop.get(f"/shop/api/products/?limit=7&offset={SECRET}", **headers)
        headers["Content_Type"] = "application/x-www-form-urlencoded"
        login = shop.post(f"/admin/login/?q={SECRET}", body, **headers)
        assert (page.status, login.status) == (500, 500)
        assert shop.get("/shop/api/products/", Host=f"x{SECRET}.example").status == 400
        assert shop.get(f"/shop/api/products/?x={SECRET}").status == 400
        assert shop.get("/shop/api/nope/").status == 404
        events = sentry.events(2)
    assert SECRET not in "".join(sentry.received)
    assert [event["exception"]["values"][-1]["type"] for event in events] == ["ProgrammingError"] * 2
    url = f"http://127.0.0.1:{shop.port}"
    assert [event["request"] for event in events] == [
        {"method": "GET", "url": f"{url}/shop/api/products/"},
        {"method": "POST", "url": f"{url}/admin/login/"},
    ]


def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sentry_sdk.py").write_text("raise ModuleNotFoundError('sentry_sdk')")
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BACKEND,
        env={
            "PATH": "",
            "DEBUG": "1",
            "PYTHONPATH": str(tmp_path),
            "SENTRY_DSN": "https://key@sentry.example/1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "manage.py: SENTRY_DSN is set, but sentry-sdk is not installed: uv sync --extra sentry\n"
    assert (result.returncode, result.stderr) == (1, expected)
