"""The log: a JSON line per request with its id, route, time and statements; nothing secret in any line."""

import datetime
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import Settings

from shop.database.statements import CHUNK
from shop.models import Category, Order
from tests.support.rows import fill
from tests.support.serving import Shop, developing, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with serving(tmp_path_factory.mktemp("shop"), "--workers=1") as shop:
        shop.log(4)  # of its start
        yield shop


@pytest.fixture
def shop(transactional_db: None, served: Shop) -> Shop:
    """One that has logged nothing yet."""
    served.forget()
    return served


@pytest.mark.django_db(transaction=True)
def test_a_request_is_one_line(shop: Shop, order: Order) -> None:
    answer = shop.get(f"/shop/api/order/{order.pk}/?limit=1")
    (line,) = shop.requests(1)
    assert 0 < line.pop("ms") < 20_000
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(line.pop("time"))
    assert datetime.timedelta(0) <= age < datetime.timedelta(seconds=20)
    assert line == {
        "level": "INFO",
        "logger": "webshop.request",
        "message": "request",
        "request_id": answer.headers["X-Request-ID"],
        "method": "GET",
        "route": "shop/api/order/<int:order_id>/",
        "path": f"/shop/api/order/{order.pk}/",
        "status": 200,
        "queries": 1,
    }


def test_every_kind_of_answer_has_its_line(shop: Shop) -> None:
    answers = [
        ("GET", "/shop/api/products/", "shop/api/products/", 200, 1),
        ("HEAD", "/shop/api/products/", "shop/api/products/", 200, 1),
        ("GET", "/shop/api/order/7/", "shop/api/order/<int:order_id>/", 404, 2),
        ("GET", "/shop/api/products/?hush=1", "shop/api/products/", 400, 0),
        ("GET", "/shop/api/nope/", "none", 404, 0),
        ("POST", "/shop/api/products/", "shop/api/products/", 405, 0),
        ("GET", "/nope", "none", 404, 0),
        ("GET", "/admin/login/", "admin/login/", 200, 0),
        ("GET", "/static/admin/css/base.css", "none", 200, 0),
        ("GET", "/shop/api/products/%0aFAKE/", "none", 404, 0),
        ("GET", "/%22%5C%C3%BC%F0%9F%9B%92%00/", "none", 404, 0),
    ]
    for number, (method, path, *expected) in enumerate(answers, start=1):
        shop.get(path, method)
        line = shop.requests(number)[-1]
        assert [line[key] for key in ("route", "status", "queries")] == expected, path
        assert line["method"] == method
        assert line["path"] == unquote(path.partition("?")[0])


@pytest.mark.django_db(transaction=True)
def test_a_long_list_has_its_line_when_it_is_sent(shop: Shop, home: Category) -> None:
    fill(home, 3 * CHUNK)
    assert len(shop.get("/shop/api/products/").body) > 3 * CHUNK
    (line,) = shop.requests(1)
    assert [line[key] for key in ("message", "status", "queries")] == ["request", 200, 2]


@pytest.mark.django_db(transaction=True)
def test_a_list_that_nobody_reads_to_its_end_broke_off(shop: Shop, home: Category) -> None:
    fill(home, 30 * CHUNK)
    with closing(socket.create_connection(("127.0.0.1", shop.port))) as connected:
        connected.sendall(b"GET /shop/api/products/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connected.recv(12) == b"HTTP/1.1 200"
    (line,) = shop.requests(1)
    found = [line[key] for key in ("level", "message", "route", "status", "queries")]
    assert found == ["WARNING", "request broke off", "shop/api/products/", 200, 2]


def test_only_a_proxy_gives_the_id(shop: Shop, tmp_path: Path) -> None:
    ids = [shop.get("/shop/api/products/", X_Request_ID="mine").headers["X-Request-ID"] for _ in range(2)]
    assert len({*ids, "mine"}) == 3
    assert all(len(given) == 32 and given.isalnum() for given in ids)
    (behind := tmp_path / "behind").mkdir()
    with serving(behind, DJANGO_BEHIND_PROXY="1") as proxied:
        for given in ("a", "A-z_0.9" + 57 * "x"):
            answer = proxied.get("/shop/api/products/", X_Request_ID=given)
            assert answer.headers["X-Request-ID"] == given
        for given in ("", "x" * 65, "a b", "ü", 'a"b', "a;b"):
            answer = proxied.get("/shop/api/products/", X_Request_ID=given)
            assert len(answer.headers["X-Request-ID"]) == 32


def test_who_reads_the_log_may_go(shop: Shop) -> None:
    assert shop.get("/shop/api/products/").status == 200
    shop.requests(1)
    (worker,) = shop.workers(1)
    soft, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, hard))  # from here on no file grows
    try:
        assert shop.get("/shop/api/products/").status == 200
        assert len(shop.requests(1)) == 1
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.django_db(transaction=True)
def test_a_failure_is_one_line_with_the_id_of_its_request(shop: Shop) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE product RENAME COLUMN price TO cost")
    try:
        answer = shop.get("/shop/api/products/?limit=7")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE product RENAME COLUMN cost TO price")
    assert answer.status == 500
    (failure,) = shop.log()
    assert [failure[key] for key in ("level", "logger", "message", "request_id")] == [
        "ERROR",
        "django.request",
        "Internal Server Error: /shop/api/products/",
        answer.headers["X-Request-ID"],
    ]
    assert failure["exc_info"].startswith("Traceback (most recent call last):\n")
    assert "limit=7" not in shop.stderr.read_text()
    assert shop.requests(1)[0]["status"] == 500


@pytest.mark.django_db(transaction=True)
def test_nothing_secret_is_logged(shop: Shop, admin_user: User) -> None:
    """In a query string, cookie, header or body, of good requests and of bad ones."""
    shop.get("/shop/api/products/?q=hush", Cookie="sessionid=hush", Authorization="hush", Referer="hush")
    shop.get("/shop/api/products/?q=hush%00", Cookie='sessionid="hush\\000"')
    shop.get("/admin/login/?next=/hush", Cookie="csrftoken=hush")
    shop.get("/shop/api/products/", Host="hush.example")
    body = b"username=admin&password=hush"
    kind = "application/x-www-form-urlencoded"
    head = f"Host: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    for hostile in (
        f"POST /admin/login/ HTTP/1.1\r\n{head}Origin: http://hush.example\r\n\r\n".encode() + body,
        f"POST /admin/login/ HTTP/1.1\r\n{head}Referer: http://hush.example/?hush\r\n\r\n".encode() + body,
        b"GET /?hush HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie hush\r\n\r\n",
        b"GET /?hush HUSH/1.1 hush\r\n\r\n",
    ):
        with closing(socket.create_connection(("127.0.0.1", shop.port))) as connected:
            connected.sendall(hostile)
            assert connected.recv(9) == b"HTTP/1.1 "
    shop.requests(6)
    shop.log(2)
    written = shop.stdout.read_text() + shop.stderr.read_text()
    assert "hush" not in written.lower()
    assert '"Invalid request"' in written


@pytest.mark.django_db
def test_a_request_under_way_gives_its_id_to_all_that_is_logged(
    client: Client, settings: Settings, home: Category, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BEHIND_PROXY = True
    seen: list[Any] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(getattr(record, "request_id", None))

    collector = Collector()
    (stderr,) = (handler for handler in logging.getLogger().handlers if handler.name == "stderr")
    for known in stderr.filters:
        collector.addFilter(known)
    logging.getLogger().addHandler(collector)

    def talkative(execute: Callable[..., Any], *arguments: Any) -> Any:
        logging.warning("a statement")
        return execute(*arguments)

    try:
        with connection.execute_wrapper(talkative):
            client.get("/shop/api/products/", headers={"x-request-id": "one"})
            client.get("/shop/api/low-stock/", headers={"x-request-id": "two"})
        logging.warning("between requests")
    finally:
        logging.getLogger().removeHandler(collector)
    assert seen == ["one", "two", None]


def test_development_has_lines_for_people(transactional_db: None, tmp_path: Path) -> None:
    with developing(tmp_path) as shop:
        assert len(shop.get("/shop/api/nope/").headers["X-Request-ID"]) == 32
        deadline = time.monotonic() + 20
        line, written = '"GET /shop/api/nope/ HTTP/1.1" 404', ""
        while line not in written and time.monotonic() < deadline:
            time.sleep(0.02)
            written = shop.stdout.read_text() + shop.stderr.read_text()
    assert line in written
    assert " WARNING django.request: Not Found: /shop/api/nope/\n" in written
    assert '{"' not in written
