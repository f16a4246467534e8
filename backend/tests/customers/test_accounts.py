"""Registering, the profile, the password."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Customer, RefreshToken
from tests.support.calling import Caller, bearer, told
from tests.support.races import at_once, meanwhile

pytestmark = pytest.mark.django_db

ADA = {
    "first_name": "Ada",
    "last_name": "Lovelace 🛒",
    "email": "ada@example.com",
    "strasse": "Hauptstraße 1",
    "plz": "10115",
    "ort": "Berlin",
}
PASSWORD = "correct horse battery"
NEW = {**ADA, "password": PASSWORD}
REQUIRED = ["This field is required."]
TAKEN = {"error": "There is a customer with this e-mail address already", "code": "email_taken"}
WRONG = {"error": "The current password is wrong"}


@pytest.fixture
def anybody(client: Client) -> Caller:
    return Caller(client, {})


@pytest.fixture
def owner(client: Client, deborah: Customer) -> Caller:
    return Caller(client, bearer(deborah))


# Registering


def test_registering(anybody: Caller) -> None:
    answer = anybody.post("customer/", NEW)
    customer = Customer.objects.get()
    assert told(answer) == (201, {"customer_id": customer.pk, **ADA})
    assert answer.headers["Location"] == f"/shop/api/customer/{customer.pk}/"
    assert answer.headers["Cache-Control"] == "no-store"
    assert customer.check_password(PASSWORD)
    assert anybody.post("token/", {"email": ADA["email"], "password": PASSWORD}).status_code == 200


def test_the_address_may_come_later(anybody: Caller) -> None:
    answer = anybody.post("customer/", {name: NEW[name] for name in NEW if name not in ("strasse", "plz")})
    assert answer.status_code == 201
    assert {answer.json()[name] for name in ("strasse", "plz")} == {""}
    empty = {"email": "b@example.com", "strasse": "", "plz": " ", "ort": ""}
    assert anybody.post("customer/", NEW | empty).status_code == 201


def test_text_is_trimmed_but_the_password(anybody: Caller) -> None:
    body = {"first_name": "\u3000Ada\n", "email": " ADA@Example.COM\u00a0", "password": f" {PASSWORD}\t"}
    answer = anybody.post("customer/", NEW | body)
    assert (answer.json()["first_name"], answer.json()["email"]) == ("Ada", "ada@example.com")
    assert Customer.objects.get().check_password(f" {PASSWORD}\t")


def longer(number: int) -> dict[str, list[str]]:
    return {"x": [f"Ensure this value has at most {number} characters (it has {number + 1})."]}


BAD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"first_name": ""}, {"first_name": REQUIRED}),
    ({"last_name": "\u2003"}, {"last_name": REQUIRED}),
    ({"first_name": "x" * 101}, {"first_name": longer(100)["x"]}),
    ({"last_name": "x" * 101}, {"last_name": longer(100)["x"]}),
    ({"strasse": "x" * 201}, {"strasse": longer(200)["x"]}),
    ({"plz": "x" * 21}, {"plz": longer(20)["x"]}),
    ({"ort": "x" * 101}, {"ort": longer(100)["x"]}),
    ({"ort": None}, {"ort": ["This must not be null."]}),
    ({"plz": 10115}, {"plz": ["This must be a string."]}),
    ({"email": "ada"}, {"email": ["Enter a valid email address."]}),
    ({"email": "deleted-1@invalid"}, {"email": ["Enter a valid email address."]}),
    ({"email": "ada@example.com\0"}, {"email": ["This has a null byte or half a surrogate pair."]}),
    ({"password": ""}, {"password": REQUIRED}),
    ({"password": "x" * 129}, {"password": longer(128)["x"]}),
    ({"password": 17}, {"password": ["This must be a string."]}),
    ({"password": "password"}, {"password": ["This password is too common."]}),
    ({"password": "lovelaces"}, {"password": ["The password is too similar to the last name."]}),
    (
        {"password": "123"},
        {
            "password": [
                "This password is too short. It must contain at least 8 characters.",
                "This password is too common.",
                "This password is entirely numeric.",
            ]
        },
    ),
    ({"customer_id": 1}, {"customer_id": ["Unknown member."]}),
    (
        {"password": None, "email": 1},
        {"password": ["This must not be null."], "email": ["This must be a string."]},
    ),
]


def test_what_is_bad_is_named(anybody: Caller) -> None:
    for change, fields in BAD:
        answer = anybody.post("customer/", NEW | {"last_name": "Lovelace"} | change)
        error = f"Not valid: {', '.join(sorted(fields))}"
        assert told(answer) == (400, {"error": error, "fields": fields}), change
        assert not Customer.objects.exists(), change


def test_what_is_missing_is_named(anybody: Caller) -> None:
    answer = anybody.post("customer/", {})
    assert answer.json()["fields"] == dict.fromkeys(
        ("first_name", "last_name", "email", "password"), REQUIRED
    )


def test_the_longest_of_all(anybody: Caller) -> None:
    body = {"first_name": "ä" * 100, "last_name": "🛒" * 100, "password": "äöü 🛒 " * 21}
    assert anybody.post("customer/", NEW | body).status_code == 201


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@example.com "])
def test_an_address_belongs_to_one(
    anybody: Caller, email: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert anybody.post("customer/", NEW).status_code == 201
    assert told(anybody.post("customer/", NEW | {"email": email})) == (409, TAKEN)
    assert Customer.objects.count() == 1
    logged = "".join((*capfd.readouterr(), caplog.text, *(str(vars(record)) for record in caplog.records)))
    assert "shop/api/customer/" in logged
    assert "ada@" not in logged.lower()
    assert PASSWORD not in logged


def test_small_letters_that_python_and_postgresql_see_otherwise(anybody: Caller) -> None:
    for sign in "\u0130\u1e9e\u03a3\u1c89\ua7dc\u10a0\u13a0":
        assert anybody.post("customer/", NEW | {"email": f"x@{sign}a.example"}).status_code in (201, 400)


@pytest.mark.django_db(transaction=True)
def test_two_with_one_address_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    answers = at_once(*[lambda: Caller(Client(), {}).post("customer/", NEW)] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert Customer.objects.count() == 1
    logged = "".join(capfd.readouterr())
    assert "shop/api/customer/" in logged
    assert "ada@" not in logged


# The profile


def profile(customer: Customer) -> dict[str, Any]:
    return {
        "customer_id": customer.pk,
        "first_name": "Deborah",
        "last_name": "Bruen",
        "email": "deborah.bruen@example.com",
        "strasse": "",
        "plz": "",
        "ort": "",
    }


def test_the_profile(owner: Caller, deborah: Customer) -> None:
    answer = owner.get(f"customer/{deborah.pk}/")
    assert told(answer) == (200, profile(deborah))
    assert answer.headers["Cache-Control"] == "private, no-cache"


def patch(owner: Caller, customer: Customer, body: Any) -> Any:
    return owner.ask("PATCH", f"customer/{customer.pk}/", body)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"first_name": "Débora"},
        {"last_name": "\u3000Groß "},
        {"strasse": "A 1", "plz": "1", "ort": "B"},
        {"strasse": "", "plz": " ", "ort": ""},
        {"email": "New@Example.com", "current_password": PASSWORD},
        {"email": "deborah.bruen@example.com", "current_password": PASSWORD},
        {"current_password": PASSWORD},
        {"current_password": PASSWORD, "ort": "Bonn"},
    ],
    ids=str,
)
def test_a_change(owner: Caller, deborah: Customer, jonas: Customer, change: dict[str, str]) -> None:
    expected = profile(deborah) | {name: text.strip() for name, text in change.items()}
    expected["email"] = expected["email"].lower()
    expected.pop("current_password", None)
    for _ in range(2):
        assert told(patch(owner, deborah, change)) == (200, expected)
    assert told(owner.get(f"customer/{deborah.pk}/")) == (200, expected)
    jonas.refresh_from_db()
    assert (jonas.first_name, jonas.email) == ("Jonas", "jonas@example.com")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"first_name": ""}, {"first_name": REQUIRED}),
        ({"last_name": " "}, {"last_name": REQUIRED}),
        ({"email": "", "current_password": PASSWORD}, {"email": REQUIRED}),
        ({"email": "new@example.com"}, {"current_password": REQUIRED}),
        ({"email": "new"}, {"current_password": REQUIRED, "email": ["Enter a valid email address."]}),
        ({"email": None}, {"current_password": REQUIRED, "email": ["This must not be null."]}),
        ({"ort": None}, {"ort": ["This must not be null."]}),
        ({"current_password": None}, {"current_password": ["This must not be null."]}),
        ({"current_password": "wrong", "ort": 1}, {"ort": ["This must be a string."]}),
        ({"strasse": "x" * 201}, {"strasse": longer(200)["x"]}),
        ({"password": "new"}, {"password": ["Unknown member."]}),
        ({"customer_id": 1}, {"customer_id": ["Unknown member."]}),
    ],
    ids=str,
)
def test_a_bad_change(
    owner: Caller, deborah: Customer, change: dict[str, Any], fields: dict[str, Any]
) -> None:
    answer = patch(owner, deborah, change)
    assert (answer.status_code, answer.json()["fields"]) == (400, fields)
    assert owner.get(f"customer/{deborah.pk}/").json() == profile(deborah)


@pytest.mark.parametrize(
    "change",
    [
        {"current_password": "wrong"},
        {"current_password": ""},
        {"current_password": f"{PASSWORD} "},
        {"current_password": "x" * 10_000, "ort": "Bonn"},
        {"current_password": "wrong", "email": "new@example.com"},
        {"current_password": "", "email": "jonas@example.com"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_wrong_password_comes_before_a_taken_address(
    owner: Caller, deborah: Customer, jonas: Customer, change: dict[str, str]
) -> None:
    assert told(patch(owner, deborah, change)) == (403, WRONG)
    assert owner.get(f"customer/{deborah.pk}/").json() == profile(deborah)


def test_an_address_of_another(owner: Caller, deborah: Customer, jonas: Customer) -> None:
    change = {"email": "JONAS@example.com", "current_password": PASSWORD, "ort": "Bonn"}
    assert told(patch(owner, deborah, change)) == (409, TAKEN)
    assert owner.get(f"customer/{deborah.pk}/").json() == profile(deborah)


@pytest.mark.django_db(transaction=True)
def test_an_address_that_is_taken_meanwhile(owner: Caller, deborah: Customer, jonas: Customer) -> None:
    change = {"email": "new@example.com", "current_password": PASSWORD}
    take = f"UPDATE customer SET email = 'new@example.com' WHERE customer_id = {jonas.pk}"
    answer = meanwhile(take, lambda: patch(owner, deborah, change))
    assert told(answer) == (409, TAKEN)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change", [{"first_name": "Eve"}, {"first_name": "Eve", "current_password": PASSWORD}]
)
def test_a_change_while_the_customer_is_erased(
    owner: Caller, deborah: Customer, change: dict[str, str]
) -> None:
    """What is erased stays so."""
    erase = (
        "UPDATE customer SET first_name = 'Deleted', password = '!',"
        f" email = 'deleted-{deborah.pk}@invalid' WHERE customer_id = {deborah.pk}"
    )
    answer = meanwhile(erase, lambda: patch(owner, deborah, change))
    assert answer.status_code == (403 if "current_password" in change else 404)
    deborah.refresh_from_db()
    assert deborah.first_name == "Deleted"


@pytest.mark.django_db(transaction=True)
def test_a_change_while_the_row_goes(owner: Caller, deborah: Customer) -> None:
    delete = f"DELETE FROM customer WHERE customer_id = {deborah.pk}"
    answer = meanwhile(delete, lambda: patch(owner, deborah, {"first_name": "Eve"}))
    assert told(answer) == (404, {"error": "Customer not found"})


def test_confirming_a_password_keeps_the_tokens(owner: Caller, deborah: Customer, client: Client) -> None:
    """Even if its hash is of an older kind: that is renewed at the next sign-in."""
    deborah.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", 10)
    deborah.save()
    caller = Caller(client, bearer(deborah))
    assert patch(caller, deborah, {"current_password": PASSWORD}).status_code == 200
    assert caller.get(f"customer/{deborah.pk}/").status_code == 200


# The password


def change_password(owner: Caller, customer: Customer, current: Any, new: Any) -> Any:
    return owner.post(f"customer/{customer.pk}/password/", {"current_password": current, "new_password": new})


def test_a_new_password_ends_all_tokens(owner: Caller, anybody: Caller, deborah: Customer) -> None:
    signed_in = anybody.post("token/", {"email": deborah.email, "password": PASSWORD}).json()
    answer = change_password(owner, deborah, PASSWORD, "another battery")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not RefreshToken.objects.exists()
    answer = owner.get(f"customer/{deborah.pk}/")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert anybody.post("token/refresh/", {"refresh": signed_in["refresh"]}).status_code == 401
    for password, status in ((PASSWORD, 401), ("another battery", 200)):
        assert anybody.post("token/", {"email": deborah.email, "password": password}).status_code == status


@pytest.mark.parametrize(
    ("current", "new", "status"),
    [
        ("wrong", "another battery", 403),
        ("wrong", "short", 400),
        (PASSWORD, "short", 400),
        (PASSWORD, "deborah.bruen", 400),
        (PASSWORD, "x" * 129, 400),
        ("", "another battery", 400),
        (PASSWORD, None, 400),
        (PASSWORD, "", 400),
    ],
)
def test_a_password_that_is_not_changed(
    owner: Caller, deborah: Customer, current: Any, new: Any, status: int
) -> None:
    answer = change_password(owner, deborah, current, new)
    assert answer.status_code == status
    if status == 403:
        assert answer.json() == WRONG
    else:
        assert set(answer.json()["fields"]) == {"new_password" if current else "current_password"}
    deborah.refresh_from_db()
    assert deborah.check_password(PASSWORD)
    assert owner.get(f"customer/{deborah.pk}/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_new_passwords_at_once_one_wins(owner: Caller, deborah: Customer) -> None:
    names = ["another battery", "yet another battery", "a third battery"]
    answers = at_once(
        *[
            lambda name=name: change_password(Caller(Client(), owner.headers), deborah, PASSWORD, name)
            for name in names
        ]
    )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 401, 403}
    deborah.refresh_from_db()
    assert deborah.check_password(names[statuses.index(204)])


def test_what_each_costs(
    owner: Caller,
    anybody: Caller,
    deborah: Customer,
    settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    with django_assert_num_queries(5):  # two are the savepoint of the test
        anybody.post("customer/", NEW)
    with django_assert_num_queries(2):
        patch(owner, deborah, {})
    with django_assert_num_queries(5):
        patch(owner, deborah, {"ort": "Bonn"})


def test_order_of_refusals(owner: Caller, client: Client, deborah: Customer, jonas: Customer) -> None:
    """405, 401, 404, 429, 415, 413, 400, 403, 422, 409: what is put right gives way to the next."""
    own, others = f"customer/{deborah.pk}/", f"customer/{jonas.pk}/"
    bad = json.dumps({"email": "jonas@example.com", "current_password": "wrong", "x": 1}).encode()
    wrong = json.dumps({"email": "jonas@example.com", "current_password": "wrong"}).encode()
    taken = json.dumps({"email": "jonas@example.com", "current_password": PASSWORD}).encode()
    long = b"x" * 65_537
    nobody = Caller(client, {})
    text, type_ = {"Content_Type": "text/plain"}, {"Content_Type": "application/json"}
    found = [
        nobody.ask("PUT", others, long, **text).status_code,
        nobody.ask("PATCH", others, long, **text).status_code,
        owner.ask("PATCH", others, long, **text).status_code,
        owner.ask("PATCH", own, long, **text).status_code,
        owner.ask("PATCH", own, long, **type_).status_code,
        *(owner.ask("PATCH", own, body, **type_).status_code for body in (bad, wrong, taken)),
    ]
    assert found == [405, 401, 404, 415, 413, 400, 403, 409]
    for _ in range(120):
        owner.ask("PATCH", own, wrong)
    assert owner.ask("PATCH", own, long, **text).status_code == 429
    assert owner.ask("PATCH", others, long, **text).status_code == 404
    answer = owner.ask("PATCH", own, taken)
    assert re.fullmatch(r'"writes";r=0;t=\d+', answer.headers["RateLimit"])


# Guessing the current password


def test_a_stolen_token_does_not_do_to_guess_the_password(owner: Caller, deborah: Customer) -> None:
    path = f"customer/{deborah.pk}/"
    deborah.set_password(PASSWORD)
    deborah.save()
    owner.headers = bearer(deborah)

    def statuses(password: str) -> list[int]:
        body = {"current_password": password}
        return [
            owner.ask("PATCH", path, body).status_code,
            owner.post(f"{path}password/", body | {"new_password": PASSWORD}).status_code,
            owner.ask("DELETE", path, body).status_code,
        ]

    wrong = [status for _ in range(3) for status in statuses("a guess")]
    assert wrong == [403] * 9
    assert owner.ask("PATCH", path, {"current_password": PASSWORD}).status_code == 200
    wrong = [status for _ in range(4) for status in statuses("a guess")]
    assert wrong == [*[403] * 10, 429, 429]
    answer = owner.ask("PATCH", path, {"current_password": PASSWORD})
    assert answer.status_code == 429
    assert 890 < int(answer.headers["Retry-After"]) <= 900
    assert owner.ask("PATCH", path, {"ort": "Bremen"}).status_code == 200
