"""The production server: kept connections, workers that are replaced and stopped, and no request lost."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from django.db import connection, transaction

from shop.database.statements import CHUNK
from shop.models import Category
from tests import BACKEND
from tests.support.rows import fill
from tests.support.serving import Shop, environment, serving

pytestmark = pytest.mark.slow

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


def test_a_worker_gets_its_statements_from_before_the_fork() -> None:
    """Compiling them takes no database; one that cannot be compiled ends the start."""
    code = "import sys, webshop.wsgi; print('shop.catalog.endpoints' in sys.modules)"
    variables = environment(DATABASE_HOST="/nowhere")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=BACKEND, env=variables, capture_output=True, text=True
    )
    assert result.stdout == "True\n", result.stderr


@pytest.mark.parametrize("key", ["sk_test_of_the_shop", ""])
def test_who_pays_first_does_not_wait_for_stripes_library(key: str) -> None:
    code = "import sys, webshop.wsgi; print('stripe' in sys.modules)"
    variables = environment(STRIPE_SECRET_KEY=key)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=BACKEND, env=variables, capture_output=True, text=True
    )
    assert result.stdout == f"{bool(key)}\n", result.stderr


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
    rows = 30 * CHUNK
    fill(home, rows)
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


@pytest.mark.django_db(transaction=True)
def test_a_busy_worker_leaves_requests_to_its_neighbour(tmp_path: Path, home: Category) -> None:
    """But for two: one may wait for its thread, and by the other it sees that it is busy."""
    with serving(tmp_path, "--workers=2", "--threads=1") as shop, ThreadPoolExecutor(12) as pool:
        shop.workers(2)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE product IN ACCESS EXCLUSIVE MODE")
            busy = pool.submit(shop.get, PATH)
            time.sleep(0.5)
            others = []
            for _ in range(11):
                others.append(pool.submit(shop.get, "/healthz"))
                wait(others[-1:], timeout=0.5)
            assert sum(other.done() for other in others) >= 9
        assert {answer.result().status for answer in [busy, *others]} == {200}


@pytest.mark.django_db(transaction=True)
def test_a_busy_worker_keeps_no_connection(tmp_path: Path, home: Category) -> None:
    with serving(tmp_path, "--workers=1", "--threads=1") as shop, ThreadPoolExecutor(4) as pool:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE product IN ACCESS EXCLUSIVE MODE")
            answers = [pool.submit(shop.get, PATH) for _ in range(4)]
            time.sleep(0.5)
        assert "close" in {answer.result().headers["Connection"] for answer in answers}
        assert shop.get(PATH).headers["Connection"] == "keep-alive"


def client(shop: Shop, stack: ExitStack, sent: bytes) -> socket.socket:
    """Connect with the smallest of buffers on both sides, send this and read nothing."""
    line = stack.enter_context(socket.socket())
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 500)
    line.connect(("127.0.0.1", shop.port))
    line.sendall(sent)
    return line


def is_reset(line: socket.socket, pause: float = 0) -> bool:
    """Read bit by bit until the server ends the connection, and tell whether it broke it off."""
    line.settimeout(30)
    try:
        while line.recv(100):
            time.sleep(pause)
    except ConnectionResetError:
        return True
    return False


def request(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


def states() -> list[str]:
    """What the connections do that read a list in chunks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM pg_stat_activity WHERE query LIKE 'FETCH%'")
        return [state for (state,) in cursor]


@pytest.mark.django_db(transaction=True)
def test_slow_readers_hold_threads_for_a_while_and_no_transaction(tmp_path: Path, home: Category) -> None:
    rows = 10 * CHUNK
    fill(home, rows)
    with serving(tmp_path, "--graceful-timeout=1") as shop, ExitStack() as stack:
        readers = [client(shop, stack, request(PATH)) for _ in range(8)]
        with ThreadPoolExecutor(7) as pool:
            trickling = pool.map(is_reset, readers[:4], [0.02] * 4)  # the others do not read at all
            others = pool.map(shop.get, ["/healthz", f"{PATH}?limit=1"])
            log = pool.submit(shop.requests, 9)
            seen: set[str] = set()
            while not log.done():
                seen.update(states())
            assert seen - {"active"} == {"idle"}
            assert [line["message"] for line in log.result()].count("request broke off") == 8
            assert all(trickling)
            assert [answer.status for answer in others] == [200, 200]
        assert len(json.loads(shop.get(PATH).body)) == rows


@pytest.fixture(scope="module")
def one_worker(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with serving(tmp_path_factory.mktemp("shop"), "--workers=1", "--graceful-timeout=1") as shop:
        yield shop


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET ",
        request("/static/admin/js/vendor/jquery/jquery.js"),
        request("/healthz", "Connection: close"),
    ],
    ids=["says nothing", "stops within its request", "does not read a file", "does not close"],
)
def test_slow_clients_do_not_keep_others_waiting(one_worker: Shop, sent: bytes) -> None:
    with ExitStack() as stack:
        clients = [client(one_worker, stack, sent) for _ in range(12)]
        with closing(http.client.HTTPConnection("127.0.0.1", one_worker.port, timeout=8)) as other:
            other.request("GET", "/healthz")
            assert other.getresponse().status == 200
        assert sent == b"" or any(map(is_reset, clients)) is (b"Connection: close" not in sent)
