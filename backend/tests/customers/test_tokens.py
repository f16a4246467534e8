"""Signing in over the API: what tokens are, what kills them, and that two at once both live."""

import json
import re
from collections import Counter
from datetime import timedelta
from itertools import product
from typing import Any

import jwt
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from shop.customers import tokens
from shop.models import Customer, RefreshToken
from tests.support.calling import Caller, bearer, told
from tests.support.races import at_once

pytestmark = pytest.mark.django_db

RIGHT = "correct horse battery"
EMAIL = "deborah.bruen@example.com"
WRONG_EMAIL = {"error": "The e-mail address or the password is wrong"}
WRONG_NAME = {"error": "The username or the password is wrong"}
DEAD = {"error": "The refresh token is not valid"}


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def api(client: Client) -> Caller:
    return Caller(client, {})


@pytest.fixture
def clerk(db: None) -> User:
    return User.objects.create_user("clerk", password=RIGHT, is_staff=True, is_superuser=True)


def sign_in(api: Caller, email: str = EMAIL, password: str = RIGHT) -> Any:
    return api.post("token/", {"email": email, "password": password})


def refresh(api: Caller, token: str) -> Any:
    return api.post("token/refresh/", {"refresh": token})


def lives(access: str, customer: Customer) -> bool:
    headers = {"Authorization": f"Bearer {access}"}
    answer = Client().get(f"/shop/api/customer/{customer.pk}/", headers=headers)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def test_a_customer_signs_in(api: Caller, deborah: Customer) -> None:
    answer = sign_in(api)
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert {name: body[name] for name in body if name not in ("access", "refresh")} == {
        "token_type": "Bearer",
        "expires_in": 900,
        "customer_id": deborah.pk,
    }
    assert re.fullmatch("[A-Za-z0-9_-]{43}", body["refresh"])
    assert lives(body["access"], deborah)
    stored = RefreshToken.objects.get()
    assert bytes(stored.token_hash).hex() != body["refresh"]
    assert len(bytes(stored.token_hash)) == 32


def test_staff_sign_in(api: Caller, clerk: User, deborah: Customer) -> None:
    answer = api.post("token/", {"username": " clerk ", "password": RIGHT})
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"access", "refresh", "token_type", "expires_in", "username"}
    assert body["username"] == "clerk"
    assert lives(body["access"], deborah)
    again = refresh(api, body["refresh"]).json()
    assert again["username"] == "clerk"
    assert lives(again["access"], deborah)


@pytest.mark.parametrize("email", [EMAIL, " Deborah.Bruen@EXAMPLE.com\u3000"])
def test_the_spelling_of_an_address_does_not_matter(api: Caller, deborah: Customer, email: str) -> None:
    assert sign_in(api, email).status_code == 200


def test_any_text_may_be_wrong(api: Caller, deborah: Customer, clerk: User, settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    names = ("nobody", "", "x" * 20_000, "ﷺ🛒", "%s%n\r\n", "a\nb\x1f", "a@b.example", "clerk\u00a0")
    for name, password in product(names, ("", "wrong", f" {RIGHT}", "x" * 20_000, "🛒")):
        for kind, error in (("email", WRONG_EMAIL), ("username", WRONG_NAME)):
            answer = api.post("token/", {kind: name, "password": password})
            assert told(answer) == (401, error), (kind, name, password)
            assert answer.headers["WWW-Authenticate"] == "Bearer", (kind, name, password)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"email", "username", "password"}),
        ({"password": "x"}, {"email", "username"}),
        ({"email": "a", "username": "b", "password": "x"}, {"email", "username"}),
        ({"email": "a"}, {"password"}),
        ({"email": 1, "password": "x"}, {"email"}),
        ({"email": "a", "password": None}, {"password"}),
        ({"email": None, "password": "x"}, {"email"}),
        ({"email": "a", "password": "x", "otp": "1"}, {"otp"}),
    ],
)
def test_a_body_is_of_one_kind(api: Caller, body: dict[str, Any], fields: set[str]) -> None:
    answer = api.post("token/", body)
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == fields


@pytest.mark.parametrize("flags", [{"is_active": False}, {"is_staff": False}])
def test_who_is_no_active_staff_cannot_sign_in(api: Caller, clerk: User, flags: dict[str, bool]) -> None:
    first = api.post("token/", {"username": "clerk", "password": RIGHT}).json()
    User.objects.update(**flags)
    assert told(api.post("token/", {"username": "clerk", "password": RIGHT})) == (401, WRONG_NAME)
    assert told(refresh(api, first["refresh"])) == (401, DEAD)
    assert api.post("token/revoke/", {"refresh": first["refresh"]}).status_code == 204


class CountingHasher(PBKDF2PasswordHasher):
    """Remembers how often it hashed."""

    iterations = 10
    hashed: list[int] = []

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        self.hashed.append(iterations or self.iterations)
        return super().encode(password, salt, iterations)


def test_an_unknown_account_takes_as_long(
    api: Caller, deborah: Customer, clerk: User, settings: Settings
) -> None:
    """It hashes as often."""
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    Customer.objects.update(password=make_password(RIGHT))
    User.objects.update(password=make_password(RIGHT))
    Customer.objects.create(first_name="E", last_name="E", email="deleted-9@invalid", password="!x")
    for body in (
        {"email": EMAIL},
        {"email": "nobody@example.com"},
        {"email": "deleted-9@invalid"},
        {"username": "clerk"},
        {"username": "nobody"},
    ):
        CountingHasher.hashed.clear()
        assert api.post("token/", {**body, "password": "wrong"}).status_code == 401
        assert CountingHasher.hashed == [10]


# Access tokens


def key() -> bytes:
    return tokens.signing_key("of the tests")


def forged(access: str, secret: Any, algorithm: str) -> str:
    """The token, signed in another way."""
    claims = jwt.decode(access, options={"verify_signature": False})
    return jwt.encode(claims, secret, algorithm=algorithm, headers={"typ": "at+jwt"})


def test_an_access_token_says_what_the_contract_says(api: Caller, deborah: Customer) -> None:
    access = sign_in(api).json()["access"]
    assert jwt.get_unverified_header(access) == {"alg": "HS256", "typ": "at+jwt"}
    claims = jwt.decode(access, key(), algorithms=["HS256"], audience="webshop-api")
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti", "sid", "kind", "pwd"}
    assert (claims["sub"], claims["kind"], claims["exp"] - claims["iat"]) == (
        str(deborah.pk),
        "customer",
        900,
    )
    assert len(key()) == 32
    assert deborah.password not in access
    other = jwt.decode(sign_in(api).json()["access"], key(), algorithms=["HS256"], audience="webshop-api")
    assert claims["jti"] != other["jti"]
    assert claims["sid"] != other["sid"]


ODD: list[Any] = [[], {}, 17, -1, "", True, "x", "9" * 5000, 1e300]
HOSTILE: list[dict[str, Any]] = [
    *({name: None} for name in ("iss", "aud", "sub", "iat", "exp", "jti", "sid", "kind", "pwd")),
    *({name: value} for name in ("iss", "aud", "sub", "sid", "kind", "pwd") for value in ODD),
    *({"exp": value} for value in ODD[:-1]),
    {"iss": "another"},
    {"aud": ["webshop-api"]},
    {"aud": "another"},
    {"nbf": 2**40},
    {"kind": "staff"},
    {"kind": ["customer"]},
    {"sub": "0"},
    {"sub": "٣"},
    {"sub": "-1"},
    {"sub": str(2**31)},
    {"sub": str(2**63)},
    {"sid": "0" * 32},
    {"sid": "zz"},
    {"pwd": "0" * 64},
    {"pwd": "ü"},
]


def with_claims(access: str, changes: dict[str, Any]) -> str:
    """The token with other claims, of any type; None leaves one out."""
    claims = jwt.decode(access, options={"verify_signature": False}) | changes
    payload = json.dumps({name: value for name, value in claims.items() if value is not None})
    return jwt.api_jws.encode(payload.encode(), key(), "HS256", headers={"typ": "at+jwt"})


def test_other_claims_are_refused(api: Caller, deborah: Customer) -> None:
    access = sign_in(api).json()["access"]
    assert lives(with_claims(access, {}), deborah)
    for changes in HOSTILE:
        assert not lives(with_claims(access, changes), deborah), changes


def test_no_claim_breaks_anything(api: Caller, deborah: Customer) -> None:
    access = sign_in(api).json()["access"]
    for name in ("iat", "jti", "exp", "nbf", "x"):
        for value in [*ODD, float("inf"), float("nan")]:
            lives(with_claims(access, {name: value}), deborah)


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"typ": ["at+jwt"]},
        {"typ": "AT+JWT "},
        {"crit": ["exp"]},
        {"b64": False},
        {"kid": 17},
    ],
    ids=str,
)
def test_another_header_is_refused(api: Caller, deborah: Customer, header: dict[str, Any]) -> None:
    access = sign_in(api).json()["access"]
    claims = json.dumps(jwt.decode(access, options={"verify_signature": False}))
    segments = [json.dumps({"alg": "HS256", "typ": "at+jwt"} | header), claims]
    signed = ".".join(jwt.utils.base64url_encode(text.encode()).decode() for text in segments)
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed.encode(), key())
    assert not lives(f"{signed}.{jwt.utils.base64url_encode(signature).decode()}", deborah)


def test_another_algorithm_or_key_is_refused(api: Caller, deborah: Customer) -> None:
    access = sign_in(api).json()["access"]
    assert lives(forged(access, key(), "HS256"), deborah)
    assert not lives(forged(access, None, "none"), deborah)
    for secret, algorithm in ((key() * 2, "HS512"), (key() * 2, "HS384"), (b"x" * 32, "HS256")):
        assert not lives(forged(access, secret, algorithm), deborah)
    head, payload, signature = access.split(".")
    for token in (
        f"{head}.{payload}.",
        f"{head}.{payload}",
        f"..{signature}",
        "...",
        f"{access}.{access}",
        access[:-2],
        "W1tb" * 2000,
        jwt.utils.base64url_encode(b"[" * 50_000).decode() + f".{payload}.{signature}",
    ):
        assert not lives(token, deborah)


def test_an_access_token_ends(api: Caller, deborah: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now - timedelta(seconds=895))
    assert lives(sign_in(api).json()["access"], deborah)
    monkeypatch.setattr(timezone, "now", lambda: now - timedelta(seconds=901))
    assert not lives(sign_in(api).json()["access"], deborah)


def test_a_clock_may_be_behind(api: Caller, deborah: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request may come to another replica."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(seconds=5))
    assert lives(sign_in(api).json()["access"], deborah)


def test_tokens_survive_a_new_secret_key(api: Caller, deborah: Customer, settings: Settings) -> None:
    old, other = sign_in(api).json(), sign_in(api).json()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", ["of the tests"]
    assert lives(old["access"], deborah)
    new = refresh(api, old["refresh"]).json()
    assert lives(new["access"], deborah)
    settings.SECRET_KEY_FALLBACKS = []
    assert not lives(old["access"], deborah)
    assert lives(new["access"], deborah)
    assert told(refresh(api, other["refresh"])) == (401, DEAD)
    assert refresh(api, new["refresh"]).status_code == 200


# Refresh tokens


def age(**seconds: float) -> None:
    """Move what is stored of tokens into the past."""
    for column, number in seconds.items():
        for token in RefreshToken.objects.exclude(**{column: None}):
            moment = getattr(token, column) - timedelta(seconds=number)
            RefreshToken.objects.filter(pk=token.pk).update(**{column: moment})


def test_a_refresh_token_is_rotated(api: Caller, deborah: Customer) -> None:
    first = sign_in(api).json()
    answer = refresh(api, first["refresh"])
    second = answer.json()
    assert answer.status_code == 200
    assert set(second) == {"access", "refresh", "token_type", "expires_in", "customer_id"}
    assert second["refresh"] != first["refresh"]
    assert lives(first["access"], deborah)
    assert lives(second["access"], deborah)
    assert refresh(api, second["refresh"]).status_code == 200
    assert RefreshToken.objects.values("family").distinct().count() == 1


def test_a_stolen_token_kills_the_family(api: Caller, deborah: Customer) -> None:
    first, other = sign_in(api).json(), sign_in(api).json()
    second = refresh(api, first["refresh"]).json()
    age(spent_at=11)
    answer = refresh(api, first["refresh"])
    assert told(answer) == (401, DEAD)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert not lives(first["access"], deborah)
    assert not lives(second["access"], deborah)
    assert told(refresh(api, second["refresh"])) == (401, DEAD)
    assert lives(other["access"], deborah)


def test_a_spent_one_gives_another_pair_for_ten_seconds(api: Caller, deborah: Customer) -> None:
    first = sign_in(api).json()
    children = [refresh(api, first["refresh"]).json() for _ in range(3)]
    assert all(lives(child["access"], deborah) for child in children)
    age(spent_at=9)
    last = refresh(api, first["refresh"])
    assert last.status_code == 200
    assert refresh(api, children[0]["refresh"]).status_code == 200
    # One of its children was used: whoever comes with the parent now is somebody else.
    assert told(refresh(api, first["refresh"])) == (401, DEAD)
    assert not lives(last.json()["access"], deborah)


@pytest.mark.django_db(transaction=True)
def test_the_death_of_a_family_is_committed(api: Caller, deborah: Customer) -> None:
    first = sign_in(api).json()
    refresh(api, first["refresh"])
    age(spent_at=11)
    assert refresh(api, first["refresh"]).status_code == 401
    assert not RefreshToken.objects.exists()


@pytest.mark.parametrize(("column", "days"), [("issued_at", 30), ("signed_in_at", 90)])
def test_tokens_grow_old(api: Caller, deborah: Customer, column: str, days: int) -> None:
    first = sign_in(api).json()
    age(**{column: days * 86_400 - 5})
    second = refresh(api, first["refresh"])
    assert second.status_code == 200
    age(**{column: days * 86_400 + 1})
    assert told(refresh(api, second.json()["refresh"])) == (401, DEAD)


def test_an_access_token_does_not_outlive_its_family(api: Caller, deborah: Customer) -> None:
    first = sign_in(api).json()
    age(signed_in_at=90 * 86_400 - 60)
    second = refresh(api, first["refresh"]).json()
    claims = jwt.decode(second["access"], options={"verify_signature": False})
    assert 55 <= claims["exp"] - claims["iat"] <= 61
    assert 55 <= second["expires_in"] <= 60


def test_revoking_ends_a_sign_in(api: Caller, deborah: Customer) -> None:
    first, other = sign_in(api).json(), sign_in(api).json()
    second = refresh(api, first["refresh"]).json()
    answer = api.post("token/revoke/", {"refresh": first["refresh"]})
    assert (answer.status_code, answer.content) == (204, b"")
    assert not lives(first["access"], deborah)
    assert not lives(second["access"], deborah)
    assert refresh(api, second["refresh"]).status_code == 401
    assert lives(other["access"], deborah)
    assert api.post("token/revoke/", {"refresh": first["refresh"]}).status_code == 204


@pytest.mark.parametrize("token", ["x", "🛒", "x\ny", "x" * 20_000, "a" * 43])
def test_an_unknown_refresh_token(api: Caller, token: str) -> None:
    assert told(refresh(api, token)) == (401, DEAD)
    assert api.post("token/revoke/", {"refresh": token}).status_code == 204


@pytest.mark.parametrize("body", [{}, {"refresh": None}, {"refresh": 1}, {"refresh": ""}, {"refresh": []}])
def test_a_refresh_token_is_a_text(api: Caller, body: dict[str, Any]) -> None:
    for path in ("token/refresh/", "token/revoke/"):
        answer = api.post(path, body)
        assert answer.status_code == 400
        assert set(answer.json()["fields"]) == {"refresh"}


@pytest.mark.parametrize("change", [{"password": "another"}, None])
def test_tokens_die_with_the_password_whoever_changes_it(
    api: Caller, deborah: Customer, change: dict[str, str] | None
) -> None:
    first = sign_in(api).json()
    if change:
        Customer.objects.update(**change)
    else:
        Customer.objects.all().delete()
    assert not lives(first["access"], deborah)
    assert told(refresh(api, first["refresh"])) == (401, DEAD)


# Several at once


@pytest.mark.django_db(transaction=True)
def test_two_refreshes_at_once_both_get_a_pair(deborah: Customer) -> None:
    first = sign_in(Caller(Client(), {})).json()
    answers = at_once(*[lambda: refresh(Caller(Client(), {}), first["refresh"])] * 4)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["refresh"] for answer in answers}) == 4
    assert all(lives(answer.json()["access"], deborah) for answer in answers)


@pytest.mark.django_db(transaction=True)
def test_revoking_and_refreshing_at_once_leave_nothing_alive(deborah: Customer) -> None:
    for _ in range(10):
        api = Caller(Client(), {})
        first = sign_in(api).json()
        at_once(
            lambda: refresh(Caller(Client(), {}), first["refresh"]),  # noqa: B023
            lambda: api.post("token/revoke/", {"refresh": first["refresh"]}),  # noqa: B023
        )
        assert not RefreshToken.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["customer", "staff"])
def test_four_sign_ins_at_once_renew_the_hash_once_and_all_live(
    deborah: Customer, settings: Settings, kind: str
) -> None:
    old = PBKDF2PasswordHasher().encode(RIGHT, "salt", 10)
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True, password=old)
    Customer.objects.update(password=old)
    body = {"email": EMAIL} if kind == "customer" else {"username": "boss"}
    answers = at_once(
        *[lambda: Caller(Client(), {}).post("token/", {**body, "password": RIGHT}) for _ in range(4)]
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    account: Any = deborah if kind == "customer" else boss
    account.refresh_from_db()
    assert account.password.startswith("md5$")  # the first of the tests' hashers
    assert all(lives(answer.json()["access"], deborah) for answer in answers)
    assert all(
        refresh(Caller(Client(), {}), answer.json()["refresh"]).status_code == 200 for answer in answers
    )


def test_a_hash_is_renewed_before_the_tokens_are_made(api: Caller, deborah: Customer) -> None:
    Customer.objects.update(password=PBKDF2PasswordHasher().encode(RIGHT, "salt", 10))
    assert sign_in(api, password="wrong").status_code == 401
    deborah.refresh_from_db()
    assert deborah.password.startswith("pbkdf2")
    first = sign_in(api).json()
    second = sign_in(api).json()
    assert lives(first["access"], deborah)
    assert lives(second["access"], deborah)


@pytest.mark.django_db(transaction=True)
def test_who_signs_in_while_the_account_is_erased_gets_no_token_that_lives(deborah: Customer) -> None:
    """Neither is it a failure of the server."""
    for _ in range(5):
        Customer.objects.all().delete()
        deborah.pk = None
        deborah.save(force_insert=True)
        erase = {"current_password": RIGHT}
        owner = Caller(Client(), bearer(deborah))
        answers = at_once(
            lambda: sign_in(Caller(Client(), {})),
            lambda: owner.ask("DELETE", f"customer/{deborah.pk}/", erase),  # noqa: B023
        )
        assert answers[0].status_code in (200, 401)
        assert answers[1].status_code == 204
        assert not RefreshToken.objects.exists()


# Throttled


def statuses(number: int, **body: str) -> Counter[int]:
    api = Caller(Client(), {})
    return Counter(api.post("token/", {"password": "wrong"} | body).status_code for _ in range(number))


def test_ten_attempts_at_an_account_and_no_more(
    api: Caller, deborah: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    assert statuses(12, email=EMAIL) == {401: 10, 429: 2}
    answer = sign_in(api)
    assert answer.status_code == 429
    assert 890 < int(answer.headers["Retry-After"]) <= 900
    assert answer.headers["RateLimit-Policy"] == '"sign-ins";q=50;w=900, "sign-ins-of-account";q=10;w=900'
    assert re.fullmatch(
        r'"sign-ins";r=37;t=\d+, "sign-ins-of-account";r=0;t=\d+', answer.headers["RateLimit"]
    )
    assert statuses(1, email="other@example.com") == {401: 1}
    assert statuses(1, username=EMAIL) == {401: 1}
    assert EMAIL not in caplog.text
    assert RIGHT not in caplog.text


def test_an_answer_says_what_is_left(api: Caller, deborah: Customer) -> None:
    for left in (9, 8):
        answer = sign_in(api, password="wrong")
        assert f'"sign-ins-of-account";r={left};' in answer.headers["RateLimit"]


def test_fifty_attempts_of_an_address(api: Caller, deborah: Customer) -> None:
    for number in range(50):
        assert statuses(1, email=f"user{number}@example.com") == {401: 1}
    assert statuses(12, email=EMAIL) == {429: 12}
    elsewhere = Caller(Client(REMOTE_ADDR="198.51.100.7"), {})
    assert sign_in(elsewhere).status_code == 200


def test_what_is_no_attempt_counts_for_the_address(api: Caller, deborah: Customer) -> None:
    """One too many is a 429 whatever its body is."""
    answers = [api.post("token/", {}) for _ in range(50)]
    assert {answer.status_code for answer in answers} == {400}
    assert answers[-1].headers["RateLimit"].startswith('"sign-ins";r=0;')
    for answer in (api.post("token/", {}), Client().post("/shop/api/token/"), sign_in(api)):
        assert answer.status_code == 429


def test_success_takes_the_attempts_back(api: Caller, deborah: Customer) -> None:
    for _ in range(5):
        assert statuses(9, email=EMAIL) == {401: 9}
        assert sign_in(api).status_code == 200
    # Those forty-five are still the address's.
    assert statuses(6, email=EMAIL) == {401: 5, 429: 1}


def test_the_admins_sign_in_counts_the_same_staff(clerk: User) -> None:
    assert statuses(10, username="clerk") == {401: 10}
    form = {"username": "clerk", "password": RIGHT}
    assert Client().post("/admin/login/", form).status_code == 429
    cache.clear()
    assert Client().post("/admin/login/", form).status_code == 302


@pytest.mark.slow
def test_off_lifts_the_limits(api: Caller, clerk: User, deborah: Customer, settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    assert statuses(60, username="clerk") == {401: 60}
    answer = sign_in(api)
    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers
    wrong = {"username": "clerk", "password": "wrong"}
    assert {Client().post("/admin/login/", wrong).status_code for _ in range(60)} == {200}
    assert Client().post("/admin/login/", wrong | {"password": RIGHT}).status_code == 302


def test_a_sign_in_costs_a_fixed_number_of_queries(
    api: Caller, deborah: Customer, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    with django_assert_num_queries(5):  # account, savepoint, its lock, the token, savepoint
        answer = sign_in(api)
    with django_assert_num_queries(6):  # savepoint, lock, token, spent, the next one, savepoint
        refresh(api, answer.json()["refresh"])


def test_no_log_has_a_password_or_a_token(
    api: Caller, deborah: Customer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    body = sign_in(api).json()
    sign_in(api, password="a wrong one")
    refresh(api, body["refresh"])
    refresh(api, body["access"])
    lives(body["access"], deborah)
    lives(body["access"] + "x", deborah)
    api.post("token/revoke/", {"refresh": body["refresh"]})
    logged = "".join((*capfd.readouterr(), caplog.text, *(str(vars(record)) for record in caplog.records)))
    assert "shop/api/token/" in logged
    for secret in (RIGHT, "a wrong one", body["access"], body["refresh"], EMAIL, deborah.password):
        assert secret not in logged
