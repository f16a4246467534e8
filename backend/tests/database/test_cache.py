"""The cache that all replicas share: what it answers, and that nobody notices when Valkey goes away."""

import json
import logging
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import redis
from django.core.cache import cache
from pytest_django import Settings

from shop.database import cache as shared
from shop.models import Product
from tests.support.serving import replica
from tests.support.valkey import Valkey

pytestmark = pytest.mark.slow


def operations() -> list[object]:
    """What each operation answers, one after the other."""
    return [
        cache.get("a"),
        cache.get("a", "default"),
        cache.add("a", 1, 60),
        cache.add("a", 2, 60),
        cache.incr("a"),
        cache.decr("a", 5),
        cache.get("a"),
        cache.add("b", ("text ü\0", 1.5), 60),
        cache.get("b"),
        cache.get_many(["a", "b", "c"]),
        cache.has_key("b"),
        cache.touch("b", 60),
        cache.touch("c", 60),
        cache.set_many({"c": [1], "d": None}, 60),
        cache.add("d", 1, 60),
        cache.get("d", "default"),
        cache.get_or_set("e", "made", 60),
        cache.delete("b"),
        cache.delete("b"),
        cache.has_key("b"),
        cache.add("gone", 1, 0),
        cache.get("gone"),
    ]


ANSWERS = [
    *[None, "default", True, False, 2, -3, -3, True, ("text ü\0", 1.5), {"a": -3, "b": ("text ü\0", 1.5)}],
    *[True, True, False, [], False, None, "made", True, False, False, True, None],
]


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The log of the cache, without the details of an error."""
    return [
        (record.levelname, record.getMessage().partition(":")[0])
        for record in caplog.records
        if record.name == "shop.database.cache"
    ]


AWAY = ("WARNING", "the cache is away, each process uses its own meanwhile")
BACK = ("INFO", "the cache is back")


def test_each_operation_with_and_without_valkey(valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    assert operations() == ANSWERS
    cache.set("f", 1, 60)
    cache.delete_many(["c", "d", "f"])
    with pytest.raises(ValueError, match="not found"):
        cache.incr("c")
    with redis.Redis.from_url(valkey.url) as client:
        assert sorted(client.keys()) == [b"webshop:1:a", b"webshop:1:e"]
    assert messages(caplog) == []

    valkey.kill()
    assert operations() == ANSWERS
    cache.set("f", 1, 60)
    cache.delete_many(["c", "d", "f"])
    with pytest.raises(ValueError, match="not found"):
        cache.incr("c")
    assert cache.get("f") is None
    cache.clear()
    assert cache.get("e") is None
    assert messages(caplog) == [AWAY]


def test_what_other_code_wrote_is_not_there(valkey: Valkey) -> None:
    cache.set("good", [1], 60)
    with redis.Redis.from_url(valkey.url) as client:
        for content in (b"", b"nonsense", b"\x80\x05cshop.models\nGone\n."):
            client.set("webshop:1:key", content)
            assert cache.get("key", "default") == "default"
            assert cache.get_many(["key"]) == {}
            cache.set("key", "new", 60)
            assert cache.get("key") == "new"
    assert cache.get("good") == [1]


@pytest.mark.parametrize("address", ["redis://nowhere.invalid:6379/0", "redis://127.0.0.1:1/0"])
def test_a_valkey_that_was_never_there(
    valkey: Valkey, settings: Settings, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": address}}
    assert operations() == ANSWERS
    assert messages(caplog) == [AWAY]


def test_a_valkey_without_memory(valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory", 1)
    assert operations() == ANSWERS
    assert messages(caplog) == [AWAY]


def test_a_valkey_that_hangs_costs_one_operation_a_moment(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 600)
    assert cache.add("a", 1, 60)
    os.kill(valkey.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert cache.get("a") is None
    assert 0.2 < time.monotonic() - began < 1.5
    began = time.monotonic()
    for number in range(1000):
        cache.set("a", number, 60)
        assert cache.get("a") == number
    assert time.monotonic() - began < 1
    assert messages(caplog) == [AWAY]

    shared.clients[valkey.url].breaker.next_trial = 0
    began = time.monotonic()
    assert cache.get("a") == 999
    assert 0.2 < time.monotonic() - began < 1.5
    os.kill(valkey.process.pid, signal.SIGCONT)
    assert cache.get("a") == 999
    shared.clients[valkey.url].breaker.next_trial = 0
    assert cache.get("a") == 1
    assert messages(caplog) == [AWAY, BACK]


THREADS = 8


class Load:
    """Threads that write and read what is theirs alone, and remember each time that took long."""

    def __init__(self) -> None:
        """Nothing has gone wrong yet."""
        self.errors: list[BaseException] = []
        self.operations = 0
        self.slow: list[float] = []
        self.stopped = threading.Event()

    def work(self, name: str) -> None:
        """Go on until told to stop."""
        number = 0
        while not self.stopped.is_set():
            number += 1
            began = time.monotonic()
            try:
                cache.set(name, number, 60)
                # An older one is of the absence before, as each of the two caches keeps what it was given.
                assert (cache.get(name) or 0) <= number
                with suppress(ValueError):
                    cache.incr(name)
            except BaseException as error:  # noqa: BLE001
                self.errors.append(error)
                return
            self.operations += 3
            if time.monotonic() - began > shared.TIMEOUT_SECONDS:
                self.slow.append(time.monotonic())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it."""
        threads = [threading.Thread(target=self.work, args=[f"thread-{number}"]) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            for thread in threads:
                thread.join()


def goes_on(load: Load) -> None:
    """Wait until every thread has done something more."""
    target = load.operations + 300 * THREADS
    deadline = time.monotonic() + 20
    while load.operations < target:
        assert not load.errors
        assert time.monotonic() < deadline
        time.sleep(0.01)


def commands(valkey: Valkey) -> int:
    """How many commands Valkey has run since it was started."""
    with redis.Redis.from_url(valkey.url) as client:
        return int(client.info("stats")["total_commands_processed"])


def tries_again(valkey: Valkey, times: int) -> None:
    """Wait until so many more have found out that Valkey is still away."""
    breaker = shared.clients[valkey.url].breaker
    deadline = time.monotonic() + 20
    for _ in range(times):
        before = breaker.next_trial
        while breaker.next_trial < before + shared.PAUSE_SECONDS / 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_kill_9_under_load(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 0.1)
    caplog.set_level(logging.INFO, "shop.database.cache")
    load = Load()
    with load.running():
        for cycle in range(1, 3):
            goes_on(load)
            valkey.kill()
            goes_on(load)
            tries_again(valkey, 3)
            assert messages(caplog) == [AWAY, BACK] * (cycle - 1) + [AWAY]
            valkey.start()
            deadline = time.monotonic() + 20
            while messages(caplog) != [AWAY, BACK] * cycle:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            before = commands(valkey)
            goes_on(load)
            assert commands(valkey) - before > 100
    assert load.errors == []


def test_one_thread_at_a_time_finds_out_whether_a_hanging_valkey_is_back(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 0.5)
    load = Load()

    def later() -> int:
        """How many waited once it was known that Valkey hangs."""
        return len([moment for moment in load.slow if moment - began >= 0.75])

    with load.running():
        goes_on(load)
        os.kill(valkey.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        while later() < 2:
            assert time.monotonic() < began + 20
            time.sleep(0.01)
        os.kill(valkey.process.pid, signal.SIGCONT)
    assert load.errors == []
    assert len(load.slow) - later() <= THREADS
    # All 8 would have waited each time; a busy machine may add a few of its own.
    assert later() <= 6


def get(url: str) -> tuple[int, str]:
    """Return the stock of the first product, and the age of the answer."""
    with urllib.request.urlopen(f"{url}/shop/api/products/", timeout=10) as response:
        return json.load(response)[0]["stock"], str(response.headers["Age"])


@pytest.mark.django_db(transaction=True)
def test_replicas_share_the_answers_that_are_kept(valkey: Valkey, gloves: Product) -> None:
    environment = {"DJANGO_CACHE_URL": valkey.url, "SHOP_CACHE_SECONDS": "600"}
    with replica(**environment) as first:
        assert get(first) == (58, "0")
        Product.objects.filter(pk=gloves.pk).update(stock=1)
        with replica(**environment) as second:
            while (answer := get(second)) == (58, "0"):  # until it is a second old
                time.sleep(0.05)
            assert (answer[0], int(answer[1]) > 0) == (58, True)

            valkey.kill()
            assert get(first) == get(second) == (1, "0")
            valkey.start()
            assert get(second)[0] == 1
