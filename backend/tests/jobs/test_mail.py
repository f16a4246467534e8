"""Mail: after the commit, and nobody waits for it."""

import smtplib
import threading
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction
from pytest_django import Settings

from shop.jobs.mail import send_mail
from tests.support.races import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

GATE = threading.Event()


class SlowBackend(EmailBackend):
    """Sends when the gate is open."""

    def send_messages(self, messages: Any) -> int:
        GATE.wait(30)
        return super().send_messages(messages)


class RefusingBackend(EmailBackend):
    def send_messages(self, _: Any) -> int:
        raise smtplib.SMTPRecipientsRefused({"ada@example.com": (550, b"no such user")})


def mails_under_way() -> int:
    return sum(thread.name == "mail" for thread in threading.enumerate())


def send(to: str = "ada@example.com") -> None:
    send_mail(to=to, subject="Hello", text="Text")


def test_a_mail_goes_out_after_the_commit(mailoutbox: list[Any]) -> None:
    with transaction.atomic():
        send()
        assert not mails_under_way()
    wait_until(lambda: bool(mailoutbox))
    assert (mailoutbox[0].to, mailoutbox[0].subject, mailoutbox[0].body) == (
        ["ada@example.com"],
        "Hello",
        "Text",
    )


def test_what_is_rolled_back_sends_none(mailoutbox: list[Any]) -> None:
    with transaction.atomic():
        send()
        transaction.set_rollback(True)
    assert not mails_under_way()
    assert mailoutbox == []


def test_nobody_waits_for_a_slow_server(settings: Settings, mailoutbox: list[Any]) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.SlowBackend"
    GATE.clear()
    send()
    assert mailoutbox == []
    GATE.set()
    wait_until(lambda: len(mail.outbox) == 1)


def test_a_mail_to_nobody_is_none(mailoutbox: list[Any]) -> None:
    send("")
    wait_until(lambda: not mails_under_way())
    assert mailoutbox == []


def test_a_failure_is_logged_without_the_address(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.RefusingBackend"
    send()
    wait_until(lambda: bool(caplog.records))
    assert [record.getMessage() for record in caplog.records] == [
        "a mail was not sent: SMTPRecipientsRefused"
    ]
    assert "ada@" not in caplog.text
