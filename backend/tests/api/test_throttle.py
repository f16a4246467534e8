"""The counters by themselves; what they do for the admin's sign-in is in tests/webshop/test_sign_in.py."""

import time
from collections.abc import Iterator

import pytest
from django.core.cache import cache

from shop.api.throttle import Count, SignIn, account_of, count


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def test_a_window_begins_with_the_first_and_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    found = []
    for seconds in (0, 10, 59, 61):
        monkeypatch.setattr(time, "time", lambda moment=now + seconds: moment)
        found.append(count("writes:customer:1", 60))
    assert found == [Count(1, 60), Count(2, 50), Count(3, 1), Count(1, 60)]


def test_each_key_has_a_window_of_its_own() -> None:
    assert [count("a", 60).number, count("b", 3600).number, count("a", 60).number] == [1, 1, 2]
    assert count("b", 3600) == Count(2, 3600)


def refused(kind: str, name: str, address: str) -> bool:
    return SignIn(account_of(kind, name), address).refused_for() > 0


def test_an_account_is_its_kind_and_its_name() -> None:
    found = [refused("customer", "deborah@example.com", f"192.0.2.{n}") for n in range(11)]
    assert found == [False] * 10 + [True]
    assert not refused("staff", "deborah@example.com", "192.0.2.50")
    assert refused("customer", "Deborah@Example.com", "192.0.2.50")


def test_an_address_has_its_attempts_for_all_kinds_together() -> None:
    found = [refused(("customer", "staff")[n % 2], f"name {n}", "192.0.2.1") for n in range(51)]
    assert found == [False] * 50 + [True]


def test_success_forgets_the_failures() -> None:
    for _ in range(3):
        attempts = [SignIn(account_of("customer", "deborah@example.com"), "192.0.2.1") for _ in range(10)]
        assert [attempt.refused_for() for attempt in attempts] == [0] * 10
        attempts[-1].succeeded()
    assert count("sign-in:account:" + account_of("customer", "deborah@example.com"), 60).number == 1
