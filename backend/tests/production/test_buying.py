"""The write side through nginx, three replicas and a standby: the next read shows what was written."""

import itertools
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from .stack import SAMPLE_DATA, Answer, Compose, inspect, kill, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

API = "/shop/api/"
PASSWORD = "an engine of numbers"
KIB = 1024

numbers = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def _as_it_was(shop: Compose) -> Iterator[None]:
    """Sell the sample products without end, and leave the sample data behind as they were."""
    shop.psql("UPDATE product SET stock = 1000000")
    yield
    shop.psql("TRUNCATE customer, category RESTART IDENTITY CASCADE")
    shop.psql(SAMPLE_DATA.read_text())


@dataclass
class Program:
    """Calls the API as a program does: with a token, each time on another connection."""

    shop: Compose
    token: str = ""
    customer_id: int = 0

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a value as JSON, or bytes, or parts of them, as they are; headers have _ for hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Cookie": "", **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        if body is not None:
            sent = {"Content-Type": "application/json", **sent}
        content = body if body is None or isinstance(body, bytes | Iterator) else json.dumps(body).encode()
        return self.shop.get(API + path, method, sent, body=content)

    def own(self, path: str) -> str:
        return f"customer/{self.customer_id}/{path}"

    def read(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return json.loads(answer.body)


def signed_in(shop: Compose, **names: str) -> dict[str, Any]:
    answer = Program(shop).ask("POST", "token/", names)
    assert answer.status == 200, answer
    return dict(json.loads(answer.body))


def staff(shop: Compose) -> Program:
    return Program(shop, signed_in(shop, username="staff", password=shop.password)["access"])


def customer(shop: Compose) -> Program:
    """Register, and sign in."""
    email = f"ada-{next(numbers)}@example.com"
    address = {"strasse": "Hauptstraße 1", "plz": "01067", "ort": "Dresden"}
    ada = {"first_name": "Ada", "last_name": "Lovelace", "email": email, "password": PASSWORD, **address}
    answer = Program(shop).ask("POST", "customer/", ada)
    assert answer.status == 201, answer
    found = signed_in(shop, email=email, password=PASSWORD)
    assert answer.headers["Location"] == f"{API}customer/{found['customer_id']}/"
    return Program(shop, found["access"], found["customer_id"])


@contextmanager
def standing_still(shop: Compose) -> Iterator[None]:
    """Let the standby replay nothing."""
    shop.psql("SELECT pg_wal_replay_pause()", "db-replica")
    try:
        yield
    finally:
        shop.psql("SELECT pg_wal_replay_resume()", "db-replica")


@contextmanager
def following(shop: Compose) -> Iterator[None]:
    yield


@pytest.mark.parametrize("standby", [following, standing_still])
def test_the_next_read_shows_what_was_written(shop: Compose, standby: Any) -> None:
    clerk = staff(shop)
    with standby(shop):
        ada = customer(shop)
        assert ada.read(ada.own(""))["first_name"] == "Ada"
        for number in range(1, 91):
            answer = ada.ask("PUT", ada.own("cart/items/1/"), {"quantity": number})
            assert answer.status in (200, 201), answer
            assert [line["quantity"] for line in ada.read(ada.own("cart/items/"))] == [number]
        for number in range(10):
            assert ada.ask("PATCH", ada.own(""), {"ort": f"Ort {number}"}).status == 200
            assert ada.read(ada.own(""))["ort"] == f"Ort {number}"
        for number in range(10):
            line = {"product_id": 2, "quantity": 1}
            assert ada.ask("POST", ada.own("cart/items/"), line).status == 201
            total = ada.read(ada.own("cart/"))["total"]
            placed = ada.ask(
                "POST", ada.own("orders/"), {"expected_total": total}, Idempotency_Key=f"{number}"
            )
            assert placed.status == 201, placed
            order = json.loads(placed.body)
            path = placed.headers["Location"].removeprefix(API)
            assert ada.read(path) == order
            assert ada.read(ada.own("orders/"))[0]["order_id"] == order["order_id"]
            assert ada.read(ada.own("cart/")) == {
                "customer_id": ada.customer_id,
                "items": [],
                "total": "0.00",
            }

            sent = {"status": "shipped", "carrier": "DHL", "tracking_number": f"JJD{number}"}
            moved = clerk.ask("POST", f"order/{order['order_id']}/status/", sent)
            assert moved.status == 200, moved
            assert clerk.read(path) == ada.read(path) == json.loads(moved.body)
            assert ada.read(path)["delivery"]["tracking_number"] == f"JJD{number}"
        assert clerk.read(f"order/{order['order_id']}/")[-1]["product_name"] == "Rustic Oak Bench"

    # The admin's session reads as well, from the standby as soon as that has it.
    wait_until("the order", lambda: shop.get(API + path).status == 200)
    assert json.loads(shop.get(API + path).body)["history"] == ada.read(path)["history"]


def padded(size: int) -> bytes:
    """A body of so many bytes that adds a line to a cart."""
    return b'{"product_id": 5, "quantity": 1}'.ljust(size)


def parts(body: bytes) -> Iterator[bytes]:
    """Send it in chunks, its length unsaid."""
    for begin in range(0, len(body), 10_000):
        yield body[begin : begin + 10_000]


def test_long_bodies(shop: Compose) -> None:
    """The shop tells it up to a MiB, nginx beyond; who sends all before reading reads it as well."""
    ada = customer(shop)
    path = ada.own("cart/items/")
    assert ada.ask("POST", path, padded(64 * KIB)).status == 201
    assert ada.ask("POST", path, parts(padded(64 * KIB))).status == 200
    nginx = {"error": "Content Too Large"}
    ours = {"error": "The body is longer than 64 KiB"}
    for size, said in [
        (64 * KIB + 1, ours),
        (KIB * KIB, ours),
        (KIB * KIB + 1, nginx),
        (20 * KIB * KIB, nginx),
    ]:
        for body in (padded(size), parts(padded(size))):
            answer = ada.ask("POST", path, body)
            assert (answer.status, json.loads(answer.body)) == (413, said), (size, answer)
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
    # Who is refused for something else is told that.
    assert Program(shop).ask("POST", path, padded(KIB * KIB)).status == 401
    assert ada.ask("POST", path, padded(KIB * KIB), Content_Type="text/plain").status == 415
    assert ada.ask("POST", "customer/1/cart/items/", padded(KIB * KIB)).status == 404
    assert [line["quantity"] for line in ada.read(path)] == [2]


def test_who_asks_before_sending_is_told_to_go_on(shop: Compose) -> None:
    ada = customer(shop)
    for size, first in ((64 * KIB, b"HTTP/1.1 100 Continue\r\n\r\n"), (2 * KIB * KIB, b"HTTP/1.1 413 ")):
        head = (
            f"POST {API}{ada.own('cart/items/')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {ada.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
        )
        with closing(socket.create_connection(("127.0.0.1", shop.port), timeout=20)) as line:
            line.sendall(head.encode())
            assert line.recv(4096).startswith(first)
            if b"100" in first:
                line.sendall(padded(size))
                assert line.recv(4096).startswith(b"HTTP/1.1 201 ")


def test_limits_count_over_all_replicas(shop: Compose) -> None:
    ada = customer(shop)
    path = ada.own("cart/items/9/")
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: ada.ask("DELETE", path), range(125)))
    assert {answer.status for answer in answers} == {204, 429}, [a for a in answers if a.status == 503]
    assert Counter(answer.status for answer in answers) == {204: 120, 429: 5}
    lines = [json.loads(line) for line in shop.logs("nginx").splitlines() if API + path in line]
    assert len({line["upstream"] for line in lines}) == 3
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"writes";q=120;w=60'}
    left = [re.fullmatch(r'"writes";r=(\d+);t=\d+', answer.headers["RateLimit"]) for answer in answers]
    assert sorted(int(found[1]) for found in left if found) == [0] * 5 + [*range(120)]
    for answer in answers:
        if answer.status == 429:
            assert list(json.loads(answer.body)) == ["error"]
            assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert ada.read(ada.own("cart/items/")) == []


# What asks for products takes four seconds.
SLOW = """
BEGIN;
ALTER TABLE product RENAME TO all_products;
CREATE VIEW product AS
    WITH pause AS MATERIALIZED (SELECT pg_sleep(4)) SELECT all_products.* FROM all_products, pause;
GRANT SELECT ON product TO PUBLIC;
COMMIT
"""
QUICK = "BEGIN; DROP VIEW product; ALTER TABLE all_products RENAME TO product; COMMIT"


@contextmanager
def slow(shop: Compose) -> Iterator[None]:
    shop.psql(SLOW)
    try:
        yield
    finally:
        shop.psql(QUICK)


def test_writes_and_whole_lists_may_take_longer(shop: Compose) -> None:
    """Than 2.5 s, after which any other read is a 503."""
    ada = customer(shop)
    reader = Program(shop)
    with slow(shop), ThreadPoolExecutor(3) as threads:
        write = threads.submit(ada.ask, "POST", ada.own("cart/items/"), {"product_id": 1, "quantity": 1})
        whole = threads.submit(reader.ask, "GET", "products/")
        page = threads.submit(reader.ask, "GET", "products/?limit=1")
        assert write.result().status == 201
        assert whole.result().status == 200
        assert len(json.loads(whole.result().body)) == 120
        assert (page.result().status, json.loads(page.result().body)) == (
            503,
            {"error": "The shop is not available"},
        )
        assert 2 < page.result().seconds < 3


def serving(shop: Compose, statement: str) -> str:
    """The replica that runs such a statement."""
    query = f"SELECT client_addr FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{statement}%'"
    wait_until("such a statement", lambda: shop.psql(f"{query} AND pid <> pg_backend_pid()"))
    address = shop.psql(f"{query} AND pid <> pg_backend_pid()")
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    (replica,) = (each for each in shop.containers("web") if address in inspect(each, template).split())
    return replica


def test_a_write_is_never_sent_twice(shop: Compose) -> None:
    """The replica that works on it is killed: perhaps it was done, so it is the caller who asks again."""
    ada = customer(shop)
    line = {"product_id": 1, "quantity": 1}
    assert ada.ask("POST", ada.own("cart/items/"), line).status == 201
    with slow(shop), ThreadPoolExecutor(1) as threads:
        body = json.dumps(line).ljust(60 * KIB).encode()
        write = threads.submit(ada.ask, "POST", ada.own("cart/items/"), body)
        kill(serving(shop, "shop_"))
        answer = write.result()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert json.loads(answer.body) == {"error": "The shop is not available"}
    assert [line["quantity"] for line in ada.read(ada.own("cart/items/"))] == [1]


class Buyer:
    """Places orders one after the other; what fails is asked again, the checkout with its key."""

    def __init__(self, shop: Compose) -> None:
        self.program = customer(shop)
        self.placed: dict[str, int] = {}

    def insist(self, method: str, path: str, body: Any, **headers: str) -> Any:
        """Ask until there is an answer."""
        deadline = time.monotonic() + 60
        while (answer := self.program.ask(method, self.program.own(path), body, **headers)).status == 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer.status in (200, 201), answer
        return json.loads(answer.body)

    def buy(self, key: str) -> None:
        line = self.insist("PUT", "cart/items/1/", {"quantity": 3})
        total = {"expected_total": line["subtotal"]}
        order = self.insist("POST", "orders/", total, Idempotency_Key=key)
        self.placed[key] = order["order_id"]
        again = self.insist("POST", "orders/", total, Idempotency_Key=key)
        assert again == order


def has_placed(buyers: list[Buyer], orders: int) -> bool:
    return sum(len(buyer.placed) for buyer in buyers) >= orders


def test_a_killed_replica_and_clients_who_ask_again(shop: Compose) -> None:
    """One order for each key, whatever was under way."""
    stock = int(shop.psql("SELECT stock FROM product WHERE product_id = 1"))
    buyers = [Buyer(shop) for _ in range(6)]
    over = threading.Event()

    def run(buyer: Buyer) -> None:
        for number in range(30):
            if over.is_set():
                return
            buyer.buy(f"order {number}")

    with ThreadPoolExecutor(len(buyers)) as threads:
        runs = [threads.submit(run, buyer) for buyer in buyers]
        for replica, count in zip(shop.containers("web")[:2], (6, 18), strict=True):
            wait_until("orders", partial(has_placed, buyers, count))
            kill(replica)
        wait_until("orders", partial(has_placed, buyers, 42))
        over.set()
        for each in runs:
            each.result()
    for buyer in buyers:
        orders = [order["order_id"] for order in buyer.program.read(buyer.program.own("orders/"))]
        assert sorted(orders) == sorted(buyer.placed.values())
        assert len(set(orders)) == len(orders)
    sold = 3 * sum(len(buyer.placed) for buyer in buyers)
    assert int(shop.psql("SELECT stock FROM product WHERE product_id = 1")) == stock - sold
    shop.wait()
    assert shop.execute("web", "python", "manage.py", "check_shop") == "The books balance."
