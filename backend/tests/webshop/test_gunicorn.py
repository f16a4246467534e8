"""The production server: kept connections, workers that are replaced and stopped, and no request lost."""

import http.client
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from shop.database.statements import CHUNK
from shop.models import Category, Product
from tests.support.serving import Shop, serving

PATH = "/shop/api/products/"


def test_a_connection_is_kept(transactional_db: None, tmp_path: Path) -> None:
    with serving(tmp_path) as shop, closing(http.client.HTTPConnection("127.0.0.1", shop.port)) as connection:
        connection.connect()
        socket = connection.sock
        for _ in range(3):
            connection.request("GET", PATH)
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"[]")
            assert connection.sock is socket


def ask(shop: Shop, requests: int, *, keep: bool) -> list[int]:
    """Return the statuses of so many requests, one after the other.

    A kept connection that the server said it closes is made anew, as every client and proxy does.
    """
    statuses = []
    with closing(http.client.HTTPConnection("127.0.0.1", shop.port, timeout=30)) as connection:
        for _ in range(requests):
            connection.request("GET", PATH, headers={} if keep else {"Connection": "close"})
            response = connection.getresponse()
            statuses.append(response.status)
            assert json.loads(response.read()) == []
    return statuses


@pytest.mark.parametrize("keep", [False, True], ids=["close", "keep-alive"])
def test_workers_are_replaced_without_losing_a_request(
    transactional_db: None, tmp_path: Path, *, keep: bool
) -> None:
    with serving(tmp_path, "--max-requests=100", "--max-requests-jitter=20") as shop:
        before = set(shop.workers(2))
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: ask(shop, 150, keep=keep), range(8)))
        assert results == [[200] * 150] * 8
        assert not before & set(shop.workers(2))


@pytest.mark.django_db(transaction=True)
def test_a_stop_finishes_what_is_under_way(tmp_path: Path, home: Category) -> None:
    rows = 100 * CHUNK
    Product.objects.bulk_create(Product(name="Lamp", price=1, category=home) for _ in range(rows))
    with serving(tmp_path) as shop, closing(http.client.HTTPConnection("127.0.0.1", shop.port)) as connection:
        connection.request("GET", PATH)
        response = connection.getresponse()
        first = response.read(1)
        shop.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert len(json.loads(first + response.read())) == rows
        assert shop.process.wait(10) == 0


def test_several_threads_answer_at_once(transactional_db: None, tmp_path: Path) -> None:
    """Each on a connection of its own to the database."""
    with serving(tmp_path, "--workers=1", "--threads=4") as shop:
        barrier = threading.Barrier(4)

        def concurrent(_: int) -> list[int]:
            barrier.wait()
            return ask(shop, 50, keep=True)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(concurrent, range(4))) == [[200] * 50] * 4
