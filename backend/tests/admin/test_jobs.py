"""Jobs and mails in the admin."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from shop.admin.jobs import KINDS
from shop.models import Job, Mail, Order
from tests import BACKEND
from tests.admin.test_actions import messages_of, run
from tests.admin.test_admin import keys_of, page_url


def filters_of(client: Client, table: type[Model]) -> list[str]:
    """Where the filters beside a list lead."""
    page = client.get(page_url(table, "changelist")).content.decode()
    _, _, beside = page.partition('id="changelist-filter"')
    return [unescape(link) for link in re.findall(r'<a href="(\?.+?)"', beside)]


SEND = "shop.jobs.mail.send_written"
QUEUES = ["default", "mail", "money", "asking"]
OF_JOBS = [f"status__exact={status}" for status in ("waiting", "done", "dead")]
OF_JOBS += [f"queue={queue}" for queue in QUEUES]


@pytest.mark.parametrize(("table", "filters"), [(Job, OF_JOBS), (Mail, [f"kind={kind}" for kind in KINDS])])
def test_the_filters_beside_a_list_work(
    admin_client: Client, placed: Order, table: type[Model], filters: list[str]
) -> None:
    """They are known without reading a table that may have a million rows."""
    with CaptureQueriesContext(connection) as queries:
        assert filters_of(admin_client, table) == ["?_facets=True", *(f"?{query}" for query in filters)]
    assert "DISTINCT" not in " ".join(query["sql"] for query in queries)
    for query in filters:
        assert admin_client.get(f"{page_url(table, 'changelist')}?{query}").status_code == 200, query


def test_each_kind_of_mail_has_its_filter() -> None:
    templates = {path.stem for path in (BACKEND / "shop/templates/shop/mail").glob("*.txt")}
    assert set(KINDS) == templates - {"order", "password_reset"}


def test_a_filter_keeps_what_it_says(admin_client: Client, placed: Order) -> None:
    paid = Mail.objects.create(order=placed, kind="paid", recipients="a@b.de", subject="Paid", text="x")
    assert keys_of(admin_client, Mail, kind="paid") == [paid.pk]
    assert keys_of(admin_client, Job, queue="mail") == [Job.objects.get().pk]
    assert keys_of(admin_client, Job, queue="money") == []


def test_jobs_and_mails_are_searched_by_what_has_an_index(admin_client: Client, placed: Order) -> None:
    mail, job = Mail.objects.get(), Job.objects.get()
    for found in (str(placed.pk), placed.customer.email):
        assert keys_of(admin_client, Mail, q=found) == [mail.pk]
    assert keys_of(admin_client, Mail, q="nobody@webshop.test") == []
    for found in (str(job.pk), "send_written"):
        assert keys_of(admin_client, Job, q=found) == [job.pk]
    assert keys_of(admin_client, Job, q="prune") == []


def test_dead_jobs_are_found(admin_client: Client, placed: Order) -> None:
    dead = Job.objects.create(task="shop.jobs.gone", arguments={}, queue="default", status="dead")
    assert Job.objects.count() == 2
    assert keys_of(admin_client, Job, status__exact="dead") == [dead.pk]


@pytest.mark.parametrize(
    ("action", "said", "log", "left"),
    [
        ("retry", "2 jobs will be tried again.", "Tried again.", ["waiting", "waiting", "waiting"]),
        ("discard", "1 job was discarded.", "Discarded.", ["waiting", "waiting"]),
    ],
)
def test_staff_act_on_jobs_and_it_is_logged(
    admin_client: Client, action: str, said: str, log: str, left: list[str]
) -> None:
    later = timezone.now() + timedelta(hours=20)
    about: dict[str, Any] = {"task": "shop.jobs.gone", "arguments": {}}
    dead = Job.objects.create(**about, queue="default", status="dead")
    failed = Job.objects.create(**about, queue="money", attempts=9, error="TimeoutError", due_at=later)
    fresh = Job.objects.create(**about, queue="money", due_at=later)
    response = run(admin_client, action, dead, failed, fresh)
    assert messages_of(response) == [("success", said)]
    logged = [dead.pk, failed.pk] if action == "retry" else [dead.pk]
    assert list(LogEntry.objects.order_by("pk").values_list("object_id", "change_message")) == [
        (str(key), log) for key in logged
    ]
    assert list(Job.objects.order_by("pk").values_list("status", flat=True)) == left
    assert Job.objects.filter(due_at__lte=timezone.now()).count() == (2 if action == "retry" else 0)
    assert messages_of(run(admin_client, action, fresh))[-1][0] == "warning"


def test_a_mail_whose_job_is_discarded_says_so(admin_client: Client, placed: Order) -> None:
    about = {"kind": "paid", "recipients": "a@b.de", "subject": "Paid", "text": "x", "order": placed}
    refused, sent = (
        Mail.objects.create(**about, dropped="refused with 550"),
        Mail.objects.create(**about, sent_at=timezone.now()),
    )
    for mail in (refused, sent):
        Job.objects.create(task=SEND, arguments={"args": [mail.pk], "kwargs": {}}, queue="mail")
    Job.objects.update(status="dead")
    run(admin_client, "discard", *Job.objects.all())
    assert not Job.objects.exists()
    assert list(Mail.objects.order_by("pk").values_list("dropped", flat=True)) == [
        "given up",
        "refused with 550",
        "",
    ]
    page = admin_client.get(page_url(Order, "change", placed.pk)).content.decode()
    assert "Never: given up" in page
    assert "Waiting" not in page


def test_who_may_only_look_acts_on_none(client: Client, clerk: Any) -> None:
    dead = Job.objects.create(task="shop.jobs.gone", arguments={}, queue="default", status="dead")
    clerk("view_job")
    run(client, "discard", dead)
    assert Job.objects.get().status == "dead"
