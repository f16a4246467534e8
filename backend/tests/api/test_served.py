"""The write side on gunicorn with three workers: what a real socket and several processes change."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shop.models import Customer
from tests.support.serving import Shop, serving

JSON = {"Content_Type": "application/json"}


@pytest.fixture
def shop(transactional_db: None, deborah: Customer, tmp_path: Path) -> Iterator[Shop]:
    with serving(tmp_path, "--workers=3") as shop:
        yield shop


def raw(shop: Shop, head: str, body: bytes) -> bytes:
    """The first line of the answer to what is sent as it is."""
    with socket.create_connection(("127.0.0.1", shop.port), timeout=20) as line:
        line.sendall(
            f"POST /shop/api/token/revoke/ HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode() + body
        )
        line.shutdown(socket.SHUT_WR)
        return line.recv(12)


@pytest.mark.slow
def test_all_of_it(shop: Shop) -> None:
    """In one test, as starting the server takes seconds."""

    def revoke(_: int) -> int:
        return shop.post("/shop/api/token/revoke/", b'{"refresh": "x"}', **JSON).status

    def guess(_: int) -> int:
        body = json.dumps({"email": "deborah.bruen@example.com", "password": "wrong"}).encode()
        return shop.post("/shop/api/token/", body, **JSON).status

    for size in (65_537, 1024 * 1024):
        answer = shop.post("/shop/api/token/revoke/", b" " * size, **JSON)
        assert (answer.status, json.loads(answer.body)) == (413, {"error": "The body is longer than 64 KiB"})
    assert shop.post("/shop/api/token/revoke/", b"x" * 1024 * 1024, Content_Type="text/plain").status == 415
    chunked = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
    assert raw(shop, chunked, b'10\r\n{"refresh": "x"}\r\n0\r\n\r\n') == b"HTTP/1.1 411"
    assert raw(shop, "Content-Length: 16\r\n", b'{"refresh": "x"}') == b"HTTP/1.1 415"
    broken_off = "Content-Length: 200\r\nContent-Type: application/json\r\n"
    assert raw(shop, broken_off, b'{"refresh": "x"}') == b"HTTP/1.1 400"
    with ThreadPoolExecutor(9) as threads:
        assert Counter(threads.map(revoke, range(125))) == {204: 114, 429: 11}
        assert Counter(threads.map(guess, range(20))) == {401: 10, 429: 10}
    assert "deborah" not in shop.stdout.read_text() + shop.stderr.read_text()
