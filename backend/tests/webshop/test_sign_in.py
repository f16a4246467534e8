"""The throttle of the admin's sign-in: who is refused when, over all replicas, and that the owner gets in."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import redis
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connections
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.api import throttle
from tests.support.serving import replica
from tests.support.valkey import Valkey
from webshop import sign_in

pytestmark = pytest.mark.django_db

RIGHT = "correct horse battery"
LOGIN = "/admin/login/"


class CountingHasher(MD5PasswordHasher):
    """Remembers the passwords that it had to hash."""

    hashed: list[str] = []

    def encode(self, password: str, salt: str) -> str:
        self.hashed.append(password)
        return super().encode(password, salt)


@pytest.fixture(autouse=True)
def _cache(request: pytest.FixtureRequest) -> Iterator[None]:
    """The process's own, if a test does not ask for Valkey."""
    if getattr(request, "param", "") == "Valkey":
        request.getfixturevalue("valkey")
    cache.clear()
    yield
    cache.clear()


with_both_caches = pytest.mark.parametrize("_cache", ["own", "Valkey"], indirect=True)
with_valkey = pytest.mark.parametrize("_cache", ["Valkey"], indirect=True)


@pytest.fixture
def hashed(settings: Settings) -> list[str]:
    """The passwords that were hashed."""
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    return CountingHasher.hashed


@pytest.fixture(autouse=True)
def owner(hashed: list[str]) -> User:
    user = User.objects.create_superuser("owner", password=RIGHT)
    hashed.clear()
    return user


def attempt(
    client: Client | None = None,
    username: str = "owner",
    password: str = "wrong",
    address: str = "198.51.100.1",
    forwarded: str | None = None,
) -> Any:
    """Try to sign in, from a new browser if none is given."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    form = {"username": username, "password": password}
    return (client or Client()).post(LOGIN, form, headers=headers, REMOTE_ADDR=address)


def statuses(number: int, **details: Any) -> Counter[int]:
    """Try so many times; return how many times which status came."""
    return Counter(attempt(**details).status_code for _ in range(number))


def error(response: Any) -> str:
    """Return the one error on the page."""
    (text,) = re.findall(r'<p class="errornote">\s*(.*?)\s*</p>', response.content.decode(), re.S)
    return str(text)


WRONG = (
    "Please enter the correct username and password for a staff account. Note that both fields may be "
    "case-sensitive."
)


@with_both_caches
def test_ten_attempts_and_no_more(
    hashed: list[str],
    caplog: pytest.LogCaptureFixture,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(10):
        response = attempt()
        assert (response.status_code, error(response)) == (200, WRONG)
        assert "Retry-After" not in response.headers
    assert len(hashed) == 10
    assert [record for record in caplog.records if record.name == "shop.api.throttle"] == []
    for password in ("wrong", RIGHT):
        with django_assert_num_queries(0):
            response = attempt(password=password)
        assert (response.status_code, error(response)) == (
            429,
            "Too many attempts. Try again in 15 minutes.",
        )
        assert 890 < int(response.headers["Retry-After"]) <= 900
        assert sign_in.COOKIE not in response.cookies
        assert "no-store" in response.headers["Cache-Control"]
        assert 'name="password"' in response.content.decode()
    assert len(hashed) == 10
    lines = [record.getMessage() for record in caplog.records if record.name == "shop.api.throttle"]
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"sign-in refused for \d+ s: 198\.51\.100\.1, account [0-9a-f]{12}", line)


def test_the_last_minute_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "SIGN_IN_SECONDS", 60)
    statuses(10)
    assert error(attempt()) == "Too many attempts. Try again in 1 minute."


def test_an_account_that_does_not_exist_is_counted_alike(hashed: list[str]) -> None:
    assert statuses(12, username="nobody") == {200: 10, 429: 2}
    assert len(hashed) == 10
    assert statuses(1) == {200: 1}


def test_the_spelling_of_a_name_does_not_matter() -> None:
    names = ["owner", "Owner", "OWNER", "ｏｗｎｅｒ", " owner "]
    assert [attempt(username=name).status_code for name in names * 2] == [200] * 10
    assert [attempt(username=name).status_code for name in names] == [429] * 5


@pytest.mark.slow
@with_both_caches
def test_fifty_attempts_from_an_address(hashed: list[str]) -> None:
    for number in range(50):
        assert attempt(username=f"user{number}").status_code == 200
    assert statuses(20) == {429: 20}
    assert len(hashed) == 50
    # Those twenty were nobody's attempts at the account.
    assert statuses(11, address="198.51.100.2") == {200: 10, 429: 1}


@pytest.mark.slow
def test_addresses_of_one_ipv6_network_are_one() -> None:
    for number in range(50):
        assert attempt(username=f"user{number}", address=f"2001:db8:0:1::{number:x}").status_code == 200
    assert statuses(1, address="2001:db8:0:1:ffff::1") == {429: 1}
    assert statuses(1, address="2001:db8:0:2::1") == {200: 1}


@pytest.mark.slow
@with_both_caches
def test_success_takes_the_attempts_back() -> None:
    for _ in range(3):
        statuses(9)
        assert attempt(password=RIGHT).status_code == 302
    assert statuses(11) == {200: 10, 429: 1}


@pytest.mark.slow
@with_both_caches
def test_success_takes_back_its_own_attempt_of_the_address() -> None:
    for number in range(49):
        attempt(username=f"user{number}")
    for _ in range(5):
        assert attempt(password=RIGHT).status_code == 302
    assert statuses(2) == {200: 1, 429: 1}


def test_the_right_password_of_one_who_is_no_staff_is_a_failure() -> None:
    User.objects.create_user("customer", password=RIGHT)
    assert statuses(11, username="customer", password=RIGHT) == {200: 10, 429: 1}


@with_both_caches
@pytest.mark.slow
def test_the_window_ends_though_attempts_go_on(monkeypatch: pytest.MonkeyPatch, hashed: list[str]) -> None:
    monkeypatch.setattr(throttle, "SIGN_IN_SECONDS", 3)
    began = time.monotonic()
    assert statuses(11) == {200: 10, 429: 1}
    waits = []
    while (response := attempt()).status_code == 429:
        waits.append(int(response.headers["Retry-After"]))
        time.sleep(0.05)
    assert 2 < time.monotonic() - began < 7
    assert waits == sorted(waits, reverse=True)
    assert set(waits) <= {1, 2, 3}
    assert len(hashed) == 11
    assert attempt(password=RIGHT).status_code == 302


@pytest.mark.slow
@with_both_caches
@pytest.mark.django_db(transaction=True)
def test_attempts_at_once_are_counted_before_the_password_is_checked(hashed: list[str]) -> None:
    found: list[int] = []
    start = threading.Barrier(20)

    def guess(thread: int) -> None:
        try:
            start.wait()
            for number in range(3):
                found.append(attempt(address=f"10.0.{thread}.{number}").status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guess, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(found) == {200: 10, 429: 50}
    assert hashed == ["wrong"] * 10


# The owner gets in


def known_browser(username: str = "owner") -> Client:
    """Return a browser that has signed in and out again."""
    client = Client()
    assert attempt(client, username, RIGHT).status_code == 302
    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302
    return client


@pytest.mark.slow
@with_both_caches
def test_a_browser_that_the_account_knows_gets_in_while_others_fail() -> None:
    client, second = known_browser(), known_browser()
    assert statuses(30) == {200: 10, 429: 20}
    assert attempt(password=RIGHT).status_code == 429
    assert attempt(client, password=RIGHT).status_code == 302

    # It has ten attempts of its own, which are no other browser's.
    client.post("/admin/logout/")
    assert [attempt(client).status_code for _ in range(10)] == [200] * 10
    assert attempt(client, password=RIGHT).status_code == 429
    assert attempt(second, password=RIGHT).status_code == 302


@pytest.mark.slow
def test_the_address_of_a_known_browser_does_not_matter() -> None:
    client = known_browser()
    for number in range(50):
        attempt(username=f"user{number}")
    assert attempt(password=RIGHT).status_code == 429
    assert attempt(client, password=RIGHT).status_code == 302


def test_the_cookie(settings: Settings) -> None:
    for secure in (False, True):
        settings.SESSION_COOKIE_SECURE = secure
        response = attempt(password=RIGHT)
        cookie = response.cookies[sign_in.COOKIE]
        assert (cookie["path"], cookie["max-age"], cookie["samesite"]) == ("/admin/", 31_536_000, "Lax")
        assert cookie["httponly"] is True
        assert bool(cookie["secure"]) is secure
        assert "owner" not in str(cookie)
    for response in (attempt(), Client().get(LOGIN)):
        assert sign_in.COOKIE not in response.cookies


def test_a_cookie_of_another_account_or_none_of_ours_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_superuser("other", password=RIGHT)
    mine, other = (known_browser(name).cookies[sign_in.COOKIE].value for name in ("owner", "other"))
    statuses(10)
    for value in (other, mine[:-1], f"{mine}x", mine.replace(":", ";"), "::", "a:b:c", "ü\0", "x" * 4000):
        client = Client()
        client.cookies[sign_in.COOKIE] = value
        assert attempt(client, password=RIGHT).status_code == 429
    client = Client()
    client.cookies[sign_in.COOKIE] = mine
    now = time.time()
    monkeypatch.setattr(throttle, "SIGN_IN_SECONDS", 2 * sign_in.COOKIE_SECONDS)
    cache.clear()
    statuses(10)
    monkeypatch.setattr(time, "time", lambda: now + sign_in.COOKIE_SECONDS + 60)
    assert attempt(client, password=RIGHT).status_code == 429
    monkeypatch.setattr(time, "time", lambda: now + sign_in.COOKIE_SECONDS - 60)
    assert attempt(client, password=RIGHT).status_code == 302


# What else there is to a request


@pytest.mark.slow
def test_a_header_is_believed_behind_a_proxy_alone(settings: Settings) -> None:
    for number in range(51):
        response = attempt(username=f"user{number}", forwarded=f"203.0.113.{number}")
    assert response.status_code == 429

    settings.BEHIND_PROXY = True
    for number in range(51):
        response = attempt(username=f"user{number}", forwarded=f"203.0.113.{number}")
        assert response.status_code == 200
    for number in range(49):
        assert attempt(username=f"guest{number}", forwarded="203.0.113.0").status_code == 200
    assert attempt(username="guest", forwarded="203.0.113.0").status_code == 429
    # A header that is none leaves the proxy's own address, which has had its fifty.
    assert attempt(username="guest", forwarded="'; DROP TABLE").status_code == 429


@pytest.mark.parametrize("username", ["x" * 10_000, "Jürgen 🛒", "%s%n\r\n\x1b[0m", "ﷺ" * 500])
def test_names_that_nobody_has_are_counted(username: str) -> None:
    assert statuses(11, username=username) == {200: 10, 429: 1}


def test_a_name_in_another_encoding_is_a_bad_request(hashed: list[str]) -> None:
    """Half a character, which UTF-8 has not."""
    parts = "".join(
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("username", "+2AA-"), ("password", "\\ud800"))
    )
    for charset, status in (("utf-7", 400), ("unicode_escape", 400), ("UTF-8", 200), ("utf8", 200)):
        kind = f"multipart/form-data; boundary=B; charset={charset}"
        response = Client().generic("POST", LOGIN, f"{parts}--B--\r\n", content_type=kind)
        assert response.status_code == status
    assert len(hashed) == 2


@pytest.mark.slow
def test_what_is_no_attempt_is_not_counted(hashed: list[str]) -> None:
    assert (
        statuses(20, username="ow\0ner")
        == statuses(20, password="")
        == statuses(20, username="")
        == {200: 20}
    )
    strict = Client(enforce_csrf_checks=True)
    assert {attempt(strict).status_code for _ in range(20)} == {403}
    assert hashed == []
    assert statuses(11) == {200: 10, 429: 1}


def test_where_the_sign_in_leads() -> None:
    client = Client()
    form = {"username": "owner", "password": RIGHT, "next": "/admin/shop/order/?q=1"}
    assert client.post(LOGIN, form).headers["Location"] == "/admin/shop/order/?q=1"
    assert client.get(LOGIN).headers["Location"] == "/admin/"
    assert attempt(client).status_code == 200  # who is signed in may do so again, and is counted

    foreign = Client().post(LOGIN, {**form, "next": "https://evil.example/"})
    assert foreign.status_code == 302
    assert "evil.example" not in foreign.headers["Location"]


# Several processes


def post(url: str, password: str = "wrong") -> int:
    """Try to sign in to a running shop; return the status."""
    form = {"username": "owner", "password": password, "csrfmiddlewaretoken": "a" * 32}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={'a' * 32}"}
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("POST", LOGIN, urlencode(form), headers)
        return connection.getresponse().status


@with_valkey
@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_replicas_count_together_and_each_by_itself_without_the_cache(valkey: Valkey, owner: User) -> None:
    owner.password = MD5PasswordHasher().encode(RIGHT, "salt")
    owner.save()
    variables = {"DJANGO_CACHE_URL": valkey.url, "DJANGO_SETTINGS_MODULE": "tests.support.cheap_hash"}
    with replica(**variables) as first, replica(**variables) as second:
        assert post(first, RIGHT) == 302
        assert [post(url) for url in (first, second) * 5] == [200] * 10
        assert [post(url, password) for url in (first, second) for password in ("wrong", RIGHT)] == [429] * 4
        valkey.kill()
        assert [post(first) for _ in range(11)] == [200] * 10 + [429]
        assert [post(second), post(second, RIGHT)] == [200, 302]


@pytest.mark.slow
@with_valkey
def test_no_counter_is_for_ever(valkey: Valkey) -> None:
    """Django's incr may find a counter and increase what has ended meanwhile, which then has no end."""
    attempt()
    with redis.Redis.from_url(valkey.url) as client:
        for key in client.scan_iter():
            client.set(key, 15)
        assert statuses(11) == {200: 10, 429: 1}
        assert client.dbsize() == 2
        for key in client.scan_iter():
            assert 0 < client.ttl(key) <= 900


@pytest.mark.parametrize(
    ("target", "page"),
    [
        ("/admin/shop/order/?q=anna", "/admin/shop/order/?q=anna"),
        ("", "/admin/"),
        ("//evil.example/", "/admin/"),
        ("https://evil.example/", "/admin/"),
        ("https:///evil.example/", "/admin/"),
        ("/\\evil.example/", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
    ],
)
def test_sign_in_leads_to_a_page_of_the_shop(target: str, page: str) -> None:
    client = Client()
    url = f"{LOGIN}?{urlencode({'next': target})}"
    form = client.get(url).context
    data = {"username": "owner", "password": RIGHT, "next": form["next"]}
    assert client.post(url, data)["Location"] == page
    assert client.get(page).status_code == 200
