"""How much a caller may ask: counted for all processes, told in headers, refused beyond."""

import re
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from pytest_django import DjangoAssertNumQueries, Settings

from shop.api.limits import Limit
from shop.models import Category, Customer, RequestCount
from tests.support.calling import Caller, bearer, told
from tests.support.races import at_once

pytestmark = pytest.mark.django_db

LIMIT = Limit("three", 3, 60)


def used(answer: Any) -> str:
    """What the header says, without the seconds."""
    return re.sub(r"t=\d+", "t", answer.headers["RateLimit"])


def customer(deborah: Customer, address: str = "127.0.0.1") -> Caller:
    return Caller(Client(REMOTE_ADDR=address), bearer(deborah))


def anybody(address: str = "127.0.0.1") -> Caller:
    return Caller(Client(REMOTE_ADDR=address), {})


def revoke(caller: Caller) -> Any:
    return caller.post("token/revoke/", {"refresh": "x"})


def use_up(caller: Caller, number: int = 120) -> Counter[int]:
    return Counter(revoke(caller).status_code for _ in range(number))


def end_windows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE request_count SET ends_at = statement_timestamp() - interval '1 s'")


def test_a_window_counts_from_its_first_request() -> None:
    assert [LIMIT.count("a")[0] for _ in range(5)] == [2, 1, 0, -1, -2]
    assert LIMIT.count("b")[0] == 2
    assert Limit("other", 3, 60).count("a")[0] == 2
    with connection.cursor() as cursor:
        cursor.execute("UPDATE request_count SET ends_at = ends_at - interval '20 s'")
    assert LIMIT.count("a") == (-3, 40)
    end_windows()
    assert LIMIT.count("a") == (2, 60)


def test_what_has_ended_goes(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(20):
        LIMIT.count(f"old {number}")
    end_windows()
    for number in range(9):
        with django_assert_num_queries(2):
            LIMIT.count(f"new {number}")
    assert RequestCount.objects.count() == 20 - 18 + 9
    with django_assert_num_queries(1):
        LIMIT.count("new 0")


def test_the_table_tells_no_address(deborah: Customer) -> None:
    assert anybody("203.0.113.7").post("password-reset/", {"email": deborah.email}).status_code == 202
    keys = {bytes(key) for key in RequestCount.objects.values_list("key", flat=True)}
    assert len(keys) == 2
    guessed = ("203.0.113.7", deborah.email, "password-resets 203.0.113.7")
    assert not keys & {sha256(text.encode()).digest() for text in guessed}
    RequestCount.objects.all().delete()
    with override_settings(SECRET_KEY="another"):
        anybody("203.0.113.7").post("password-reset/", {"email": deborah.email})
    assert not keys & {bytes(key) for key in RequestCount.objects.values_list("key", flat=True)}


@pytest.mark.django_db(transaction=True)
def test_those_at_once_are_all_counted() -> None:
    counts = at_once(*[lambda: LIMIT.count("a")[0]] * 12)
    assert sorted(counts, reverse=True) == list(range(2, -10, -1))


def test_writes_of_a_customer(deborah: Customer, jonas: Customer) -> None:
    """Wherever they come from, refused or not."""
    first, second = customer(deborah), customer(deborah, "203.0.113.7")
    path = f"customer/{deborah.pk}/"
    answer = first.ask("PATCH", path, {})
    assert answer.status_code == 200
    assert answer.headers["RateLimit-Policy"] == '"writes";q=120;w=60'
    assert answer.headers["RateLimit"] == '"writes";r=119;t=60'
    refused: list[tuple[Any, dict[str, str], int, str]] = [
        (b"x", {"Content_Type": "text/plain"}, 415, ""),
        (b"x", {}, 400, ""),
        (b"x" * 65_537, {}, 413, ""),
        ({"current_password": "wrong"}, {}, 403, ', "passwords";r=9;t'),
    ]
    for left, (body, headers, status, more) in enumerate(refused):
        answer = second.ask("PATCH", path, body, **headers)
        assert (answer.status_code, used(answer)) == (status, f'"writes";r={118 - left};t{more}')
    answer = first.ask("PATCH", f"customer/{jonas.pk}/", {})
    assert (answer.status_code, used(answer)) == (404, '"writes";r=114;t')
    for _ in range(114):
        assert first.ask("PATCH", path, b"x").status_code == 400
    answer = second.ask("PATCH", path, {"ort": "Bonn"})
    assert answer.status_code == 429
    assert used(answer) == '"writes";r=0;t'
    seconds = int(answer.headers["Retry-After"])
    assert 30 < seconds <= 60
    assert answer.json() == {"error": f"Too many requests: try again in {seconds} s"}
    assert answer.headers["Cache-Control"] == "no-store"
    deborah.refresh_from_db()
    assert deborah.ort == ""
    assert customer(jonas).ask("PATCH", f"customer/{jonas.pk}/", {}).status_code == 200
    assert revoke(anybody()).status_code == 204
    end_windows()
    assert first.ask("PATCH", path, {}).status_code == 200


@pytest.mark.slow
def test_reads_are_not_limited(deborah: Customer) -> None:
    caller = customer(deborah)
    use_up(caller)
    for path in ("products/", f"customer/{deborah.pk}/"):
        answer = caller.get(path)
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers


def test_staff_are_counted_by_themselves(deborah: Customer) -> None:
    """A customer and a staff user may have the same number."""
    boss = User.objects.create(pk=deborah.pk, username="boss", is_staff=True, is_superuser=True)
    caller = Caller(Client(), bearer(boss))
    for left in (119, 118):
        answer = caller.post("order/0/status/", {"status": "shipped"})
        assert (answer.status_code, used(answer)) == (404, f'"writes";r={left};t')
    assert used(customer(deborah).ask("PATCH", f"customer/{deborah.pk}/", {})) == '"writes";r=119;t'


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}])
def test_who_is_unknown_counts_for_the_address(deborah: Customer, header: dict[str, str]) -> None:
    """Without a token, or with a bad one, which is told first."""
    stranger = Caller(Client(REMOTE_ADDR="203.0.113.7"), header)
    for left in (119, 118):
        answer = stranger.ask("PATCH", f"customer/{deborah.pk}/", {})
        assert (answer.status_code, used(answer)) == (401, f'"writes";r={left};t')
    for _ in range(120):
        answer = stranger.ask("PATCH", f"customer/{deborah.pk}/", {})
    assert (answer.status_code, used(answer)) == (401, '"writes";r=0;t')
    assert revoke(anybody("203.0.113.7")).status_code == 429
    assert revoke(anybody("203.0.113.8")).status_code == 204
    assert customer(deborah, "203.0.113.7").ask("PATCH", f"customer/{deborah.pk}/", {}).status_code == 200


def test_a_token_does_not_count_where_anybody_may_call(deborah: Customer) -> None:
    answer = revoke(customer(deborah))
    assert used(answer) == used(revoke(anybody("203.0.113.7"))) == '"writes";r=119;t'
    assert used(revoke(anybody())) == '"writes";r=118;t'


def test_one_network_of_ipv6_is_one(client: Client) -> None:
    assert used(revoke(anybody("2001:db8::1"))) == '"writes";r=119;t'
    assert used(revoke(anybody("2001:db8::2"))) == '"writes";r=118;t'
    assert used(revoke(anybody("2001:db8:0:1::1"))) == '"writes";r=119;t'


def test_the_address_is_the_proxys_word(settings: Settings) -> None:
    settings.BEHIND_PROXY = True
    for address in ("203.0.113.7", "203.0.113.8"):
        answer = anybody().post("token/revoke/", {"refresh": "x"}, X_Forwarded_For=address)
        assert used(answer) == '"writes";r=119;t'


def test_registering(home: Category) -> None:
    body = {"first_name": "A", "last_name": "B", "password": "correct horse battery"}
    for number in range(19):
        answer = anybody().post("customer/", body | {"email": f"{number}@example.com"})
        assert (answer.status_code, used(answer)) == (201, f'"registrations";r={19 - number};t')
    assert answer.headers["RateLimit-Policy"] == '"registrations";q=20;w=3600'
    assert anybody().post("customer/", {}).status_code == 400
    answer = anybody().post("customer/", body | {"email": "20@example.com"})
    assert answer.status_code == 429
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert Customer.objects.count() == 19
    assert anybody("203.0.113.7").post("customer/", body | {"email": "20@example.com"}).status_code == 201
    assert used(revoke(anybody())) == '"writes";r=119;t'


def test_resets_of_an_address() -> None:
    for number in range(5):
        answer = anybody().post("password-reset/", {"email": f"{number}@example.com"})
        assert told(answer) == (202, {})
    policies = '"password-resets";q=5;w=3600, "password-resets-of-email";q=5;w=3600'
    assert answer.headers["RateLimit-Policy"] == policies
    assert used(answer) == '"password-resets";r=0;t, "password-resets-of-email";r=4;t'
    answer = anybody().post("password-reset/", b"x", Content_Type="text/plain")
    assert (answer.status_code, used(answer)) == (429, '"password-resets";r=0;t')


def test_resets_of_an_email() -> None:
    for number in range(5):
        answer = anybody(f"203.0.113.{number}").post("password-reset/", {"email": "a@example.com"})
        assert answer.status_code == 202
    answer = anybody("203.0.113.9").post("password-reset/", {"email": " A@Example.com"})
    assert (answer.status_code, used(answer)) == (
        429,
        '"password-resets";r=4;t, "password-resets-of-email";r=0;t',
    )
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600


@pytest.mark.slow
def test_off_lifts_all(settings: Settings, deborah: Customer) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    assert use_up(anybody(), 121) == {204: 121}
    for _ in range(21):
        assert anybody().post("customer/", {}).status_code == 400
        assert anybody().post("password-reset/", {"email": "a@example.com"}).status_code == 202
    assert "RateLimit" not in anybody().post("customer/", {}).headers
    assert not RequestCount.objects.exists()
