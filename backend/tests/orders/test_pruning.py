"""`prune`: what need not be kept any more goes, and nothing else."""

from datetime import date, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from shop.models import (
    Customer,
    Delivery,
    IdempotencyKey,
    Job,
    Mail,
    Order,
    OrderNote,
    PaymentEvent,
    RefreshToken,
)
from shop.orders.books import faults

pytestmark = pytest.mark.django_db


def prune() -> str:
    out = StringIO()
    call_command("prune", stdout=out)
    return out.getvalue()


def years_ago(years: int, days: int = 0) -> date:
    today = timezone.now().date()
    return today.replace(year=today.year - years, day=min(today.day, 28)) - timedelta(days=days)


@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_emptied_in_time(placed: Order, settings: Settings) -> None:
    placed.notes.create(text="Rings twice", username="clerk")
    Order.objects.update(order_date=years_ago(8, -5))
    assert prune().startswith("Gone: 0 deliveries, 0 notes,")
    Order.objects.update(order_date=years_ago(8, 5))
    settings.SHOP_KEEP_YEARS = 9
    assert prune().startswith("Gone: 0 deliveries,")
    assert (Delivery.objects.get().last_name, OrderNote.objects.count()) == ("Lovelace", 1)
    settings.SHOP_KEEP_YEARS = 8
    assert prune().startswith("Gone: 1 deliveries, 1 notes,")
    assert not OrderNote.objects.exists()
    delivery = Delivery.objects.get()
    assert {delivery.first_name, delivery.last_name, delivery.strasse, delivery.plz, delivery.ort} == {""}
    assert prune().startswith("Gone: 0 deliveries,")
    assert faults() == []


def test_what_has_expired_goes(ada: Customer) -> None:
    now = timezone.now()
    for days in (1, 3):
        key = IdempotencyKey.objects.create(customer=ada, key=str(days), request_digest=b"", answer="{}")
        IdempotencyKey.objects.filter(pk=key.pk).update(created_at=now - timedelta(days=days))
    for name, issued, signed_in in ((b"a", 29, 89), (b"b", 31, 31), (b"c", 1, 91)):
        RefreshToken.objects.create(
            token_hash=name,
            family=uuid4(),
            customer=ada,
            issued_at=now - timedelta(days=issued),
            signed_in_at=now - timedelta(days=signed_in),
        )
    for minutes in (1, -1):
        Session.objects.create(session_key=str(minutes), expire_date=now + timedelta(minutes=minutes))
    gone = (
        "Gone: 0 deliveries, 0 notes, 0 invoices, 1 keys, 2 tokens, 0 jobs, 0 mails, 0 events, 0 imports.\n"
    )
    assert prune() == gone
    assert IdempotencyKey.objects.get().key == "1"
    assert bytes(RefreshToken.objects.get().token_hash) == b"a"
    assert Session.objects.get().session_key == "1"


def test_done_jobs_old_mails_and_events_go(deborah: Customer) -> None:
    now = timezone.now()
    for days in (6, 8):
        Job.objects.create(
            task="a", arguments={}, queue="default", status="done", finished_at=now - timedelta(days)
        )
    Job.objects.create(
        task="a", arguments={}, queue="default", status="dead", finished_at=now - timedelta(800)
    )
    for days in (364, 366):
        Mail.objects.create(
            customer=deborah, kind="placed", recipients="", text="", written_at=now - timedelta(days)
        )
    for provider, days in (("stripe", 59), ("stripe", 61), ("test", 61)):
        old = {"kind": "paid", "reference": "", "received_at": now - timedelta(days)}
        PaymentEvent.objects.create(provider=provider, event=str(days), **old)
    gone = (
        "Gone: 0 deliveries, 0 notes, 0 invoices, 0 keys, 0 tokens, 1 jobs, 1 mails, 1 events, 0 imports.\n"
    )
    assert prune() == gone
    assert set(Job.objects.values_list("status", flat=True)) == {"done", "dead"}
    assert set(PaymentEvent.objects.values_list("provider", "event")) == {("stripe", "59"), ("test", "61")}
