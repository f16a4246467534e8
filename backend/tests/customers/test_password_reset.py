"""A forgotten password: a mail with a token, which is good for one change within an hour."""

import re
import time
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.customers.accounts import RESET_SALT, reset_secret
from shop.customers.tokens import password_digest
from shop.models import Customer, Job, JobStatus, Mail
from tests.support.calling import Caller, bearer, told
from tests.support.jobs import do_jobs
from tests.support.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "correct horse battery", "another battery"
DEAD = {"error": "Not valid: token", "fields": {"token": ["This token is not valid (any more)."]}}


@pytest.fixture
def api(client: Client, settings: Settings) -> Caller:
    settings.SHOP_RATE_LIMITS = "off"
    settings.DEBUG = True  # where addresses of examples are mailed
    return Caller(client, {})


def ask(api: Caller, email: str = "deborah.bruen@example.com") -> Any:
    return api.post("password-reset/", {"email": email})


@pytest.fixture
def token(api: Caller, deborah: Customer, mailoutbox: list[Any]) -> str:
    """The token of a mail."""
    assert told(ask(api)) == (202, {})
    assert do_jobs() == 1
    (message,) = mailoutbox
    assert message.to == [deborah.email]
    assert message.subject == "Set a new password"
    (found,) = re.findall("^[A-Za-z0-9_:-]{40,}$", message.body, re.M)
    assert deborah.password not in message.body
    return str(found)


def confirm(api: Caller, token: Any, password: Any = NEW) -> Any:
    return api.post("password-reset/confirm/", {"token": token, "new_password": password})


def test_a_token_sets_a_new_password_once(api: Caller, deborah: Customer, token: str) -> None:
    old = Caller(Client(), bearer(deborah))
    answer = confirm(api, f" {token}\n")
    assert (answer.status_code, answer.content) == (204, b"")
    deborah.refresh_from_db()
    assert deborah.check_password(NEW)
    assert old.get(f"customer/{deborah.pk}/").status_code == 401
    assert told(confirm(api, token, "a third battery")) == (400, DEAD)
    assert api.post("token/", {"email": deborah.email, "password": NEW}).status_code == 200


@pytest.mark.parametrize(("password", "text"), [("short", "too short"), ("deborah.bruen", "too similar")])
def test_a_weak_password_does_not_spend_it(
    api: Caller, deborah: Customer, token: str, password: str, text: str
) -> None:
    answer = confirm(api, token, password)
    assert answer.status_code == 400
    assert text in answer.json()["fields"]["new_password"][0]
    assert confirm(api, token).status_code == 204


def test_it_is_good_for_an_hour(api: Caller, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3605)
    assert told(confirm(api, token)) == (400, DEAD)
    monkeypatch.setattr(time, "time", lambda: now + 3590)
    assert confirm(api, token).status_code == 204


@pytest.mark.parametrize("change", ["password", "email", "erased"])
def test_it_dies_with_the_password_and_the_address(
    api: Caller, deborah: Customer, token: str, change: str
) -> None:
    if change == "password":
        body = {"current_password": OLD, "new_password": "a third battery"}
        owner = Caller(Client(), bearer(deborah))
        assert owner.post(f"customer/{deborah.pk}/password/", body).status_code == 204
    elif change == "email":
        Customer.objects.update(email="new@example.com")
    else:
        deborah.delete()
    assert told(confirm(api, token)) == (400, DEAD)


def test_what_is_signed_for_something_else_is_none(api: Caller, deborah: Customer, token: str) -> None:
    value = signing.loads(token, salt=RESET_SALT)
    assert told(confirm(api, signing.dumps(value))) == (400, DEAD)
    assert told(confirm(api, signing.dumps([deborah.pk + 1, value[1]], salt=RESET_SALT))) == (400, DEAD)
    access = bearer(deborah)["Authorization"].removeprefix("Bearer ")
    assert told(confirm(api, access)) == (400, DEAD)


@pytest.mark.parametrize("token_", ["x", "🛒", ":::", "x\ny", "x" * 20_000])
def test_an_unknown_token(api: Caller, deborah: Customer, token_: str) -> None:
    assert told(confirm(api, token_)) == (400, DEAD)


@pytest.mark.parametrize("body", [{}, {"token": 1, "new_password": 1}, {"token": None, "new_password": ""}])
def test_what_is_missing_is_named(api: Caller, body: dict[str, Any]) -> None:
    answer = api.post("password-reset/confirm/", body)
    assert (answer.status_code, set(answer.json()["fields"])) == (400, {"token", "new_password"})


@pytest.mark.parametrize(("seconds", "mails"), [(3590, 1), (3610, 0)])
def test_one_that_could_not_be_sent_for_an_hour_is_dropped(
    api: Caller, deborah: Customer, mailoutbox: list[Any], seconds: int, mails: int
) -> None:
    ask(api)
    job = Job.objects.get()
    job.arguments["args"][1] -= seconds
    job.save()
    assert do_jobs() == 1
    assert len(mailoutbox) == mails


def test_no_row_holds_the_token_or_the_address(api: Caller, deborah: Customer, token: str) -> None:
    assert Job.objects.get().status == JobStatus.DONE
    rows = str(list(Job.objects.values()))
    assert token not in rows
    assert deborah.email not in rows
    assert not Mail.objects.exists()


def test_it_survives_a_new_secret_key(api: Caller, token: str, settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", ["of the tests"]
    assert confirm(api, token).status_code == 204


def test_who_was_erased_stays_so(
    api: Caller, deborah: Customer, jonas: Customer, mailoutbox: list[Any]
) -> None:
    Customer.objects.filter(pk=deborah.pk).update(email=f"deleted-{deborah.pk}@invalid")
    deborah.refresh_from_db()
    ask(api, deborah.email)
    ask(api, jonas.email)
    assert do_jobs() == 2
    assert [mail.to for mail in mailoutbox] == [[jonas.email]]
    digest = password_digest(reset_secret(deborah), "of the tests")
    assert told(confirm(api, signing.dumps([deborah.pk, digest], salt=RESET_SALT))) == (400, DEAD)


def test_of_two_at_once_one_wins(deborah: Customer, token: str) -> None:
    answers = at_once(
        *[
            lambda number=number: confirm(Caller(Client(), {}), token, f"battery number {number}")
            for number in range(3)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [204, 400, 400]


@pytest.mark.parametrize(
    "email", ["nobody@example.com", "nonsense", "🛒", "x" * 20_000, "deleted-1@invalid", "jonas@example.com "]
)
def test_the_answer_does_not_tell_who_is_a_customer(
    api: Caller, deborah: Customer, jonas: Customer, mailoutbox: list[Any], email: str
) -> None:
    known, unknown = ask(api), ask(api, email)
    assert do_jobs() == 2
    assert len(mailoutbox) == 1 + email.startswith("jonas")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"{}")
    differing = {"X-Request-ID"}
    assert {name: value for name, value in known.headers.items() if name not in differing} == {
        name: value for name, value in unknown.headers.items() if name not in differing
    }


def test_it_costs_the_same_for_all(
    api: Caller, deborah: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for email in ("deborah.bruen@example.com", "nobody@example.com"):
        with django_assert_num_queries(2):
            ask(api, email)


def test_no_log_has_the_address_or_the_token(
    api: Caller, token: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ask(api)
    confirm(api, token)
    logged = "".join((*capfd.readouterr(), caplog.text, *(str(vars(record)) for record in caplog.records)))
    assert "password-reset" in logged
    for secret in ("deborah.bruen", token, NEW):
        assert secret not in logged
