"""The webhook of Stripe: who may tell what, and that it is kept once."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Job, Order, Payment
from shop.payments.models import PaymentEvent
from shop.payments.opening import open_payment
from tests.support.fake_stripe import SECRET, FakeStripe, signed, stripe_for
from tests.support.jobs import do_jobs
from tests.support.openapi import assert_answer
from tests.support.races import at_once, meanwhile

PATH = "/shop/api/payment/stripe/webhook/"


def tell(body: bytes, signature: str, **headers: str) -> Any:
    """Send a body as Stripe does; the answer is as the OpenAPI document says."""
    sent = {"Stripe-Signature": signature, **headers}
    answer = Client().post(PATH, body, content_type="application/json; charset=utf-8", headers=sent)
    assert_answer("POST", PATH, answer)
    return answer


def send(event: Any, **signing: Any) -> Any:
    return tell(*signed(event, **signing))


@pytest.fixture
def fake(settings: Settings) -> Iterator[FakeStripe]:
    with stripe_for(settings) as fake:
        yield fake


@pytest.fixture
def payment(fake: FakeStripe, placed: Order) -> Payment:
    """Ada's, whose page is open, with no job about it."""
    opened = open_payment(customer_id=placed.customer_id, order_id=placed.pk)
    Job.objects.all().delete()
    return Payment.objects.get(pk=opened.payment_id)


def events() -> list[tuple[str, str, str]]:
    return list(PaymentEvent.objects.order_by("pk").values_list("event", "kind", "reference"))


def jobs() -> list[tuple[str, list[Any]]]:
    found = Job.objects.order_by("pk").values_list("task", "arguments")
    return [(task.rpartition(".")[2], arguments["args"]) for task, arguments in found]


def test_an_event_is_kept_once(payment: Payment, fake: FakeStripe) -> None:
    paid = fake.pay(payment.reference)
    for _ in range(2):
        answer = send(paid)
        assert (answer.status_code, answer.json()) == (200, {})
    assert events() == [(paid["id"], "checkout.session.completed", payment.reference)]
    assert jobs() == [("settle", [payment.pk])]
    assert "RateLimit" not in answer.headers


def test_of_twenty_at_once_one_is_kept(payment: Payment, fake: FakeStripe, transactional_db: None) -> None:
    paid = fake.pay(payment.reference)
    answers = at_once(*[partial(send, paid)] * 20)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len(events()) == len(jobs()) == 1


def test_it_costs_three_statements(
    payment: Payment, fake: FakeStripe, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """The event, its payment, the job; in a transaction, which are two more here."""
    paid = fake.pay(payment.reference)
    with django_assert_num_queries(5):
        send(paid)
    with django_assert_num_queries(3):
        send(paid)


def test_what_a_signature_must_be(payment: Payment, fake: FakeStripe) -> None:
    paid = fake.pay(payment.reference)
    body, good = signed(paid)
    _, of_another = signed(paid, secret="whsec_of_another")
    moment, _, signature = good.partition(",")
    bad = [
        "",
        of_another,
        signature,
        moment,
        f"{moment},{signature[:-1]}",
        f"{moment},{signature.replace('v1', 'v0')}",
        f"t={int(moment[2:]) + 1},{signature}",
        f"t=x,{signature}",
        f"t={'9' * 5000},{signature}",
        f"{moment},v1=ü",
        f"{moment},v1",
        ",",
    ]
    for header in bad:
        answer = tell(body, header)
        assert answer.status_code == 400, header
        message = "This is no event that Stripe signed in the last 5 minutes"
        assert answer.json() == {"error": message, "fields": {}}
    assert tell(body + b" ", good).status_code == 400
    assert not events()
    assert tell(body, f"{moment},v1={'0' * 64},{signature}").status_code == 200


@pytest.mark.parametrize(("age", "status"), [(301, 400), (290, 200), (-290, 200), (86400, 400)])
def test_how_old_it_may_be(payment: Payment, fake: FakeStripe, age: int, status: int) -> None:
    assert send(fake.pay(payment.reference), age=age).status_code == status


def test_both_of_two_secrets_work(payment: Payment, fake: FakeStripe, settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", SECRET]
    for secret, status in (("whsec_new", 200), (SECRET, 200), ("whsec_other", 400)):
        assert (
            send(fake.event("checkout.session.completed", {"id": "cs"}), secret=secret).status_code == status
        )


@pytest.mark.parametrize("provider", ["invoice", "test", "stripe"])
def test_it_answers_while_a_secret_is_set(
    fake: FakeStripe, db: None, settings: Settings, provider: str
) -> None:
    settings.SHOP_PAYMENT = provider
    event = fake.event("checkout.session.completed", {"id": "cs"})
    assert send(event).status_code == 200
    settings.STRIPE_WEBHOOK_SECRETS = []
    answer = send(event)
    assert (answer.status_code, answer.json()) == (404, {"error": "No secret of Stripe's events is set"})


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("customer.created", {"id": "cus_1", "email": "ada@example.com"}),
        ("payment_intent.succeeded", {"id": "pi_1"}),
        ("charge.succeeded", {"id": "ch_1", "payment_intent": "pi_1"}),
        ("charge.refunded", {"id": "ch_1", "payment_intent": None}),
        ("refund.created", {"id": "re_1"}),
    ],
)
def test_what_is_about_no_payment_is_dropped(fake: FakeStripe, db: None, kind: str, about: Any) -> None:
    assert send(fake.event(kind, about)).status_code == 200
    assert not events()
    assert not jobs()


def test_a_page_that_is_not_ours(fake: FakeStripe, db: None) -> None:
    """It may be one of ours whose answer has not come yet."""
    event = fake.event("checkout.session.completed", {"id": "cs_of_another_shop"})
    assert send(event).status_code == 200
    assert events() == [(event["id"], "checkout.session.completed", "cs_of_another_shop")]
    assert not jobs()


def test_what_is_told_of_money_finds_its_payment(payment: Payment, fake: FakeStripe) -> None:
    fake.pay(payment.reference)
    told = [
        fake.give_back(payment.reference, 100, "pending"),
        fake.settle_refunds(),
        fake.charge_back(payment.reference),
    ]
    intent = fake.sessions[payment.reference]["payment_intent"]
    for event in told:
        assert send(event).status_code == 200
    assert events() == [(event["id"], event["type"], intent) for event in told]
    assert jobs() == [("find_payment", [intent])] * 3
    Job.objects.filter(pk__gt=min(Job.objects.values_list("pk", flat=True))).delete()
    do_jobs()
    assert jobs()[:2] == [("find_payment", [intent]), ("settle", [payment.pk])]


def test_money_that_is_not_ours(fake: FakeStripe, db: None) -> None:
    assert (
        send(fake.event("refund.updated", {"id": "re", "payment_intent": "pi_of_another"})).status_code == 200
    )
    do_jobs()
    assert [task for task, _ in jobs()] == ["find_payment"]
    assert set(Job.objects.values_list("status", flat=True)) == {"done"}


def test_what_is_signed_and_makes_no_sense(fake: FakeStripe, db: None) -> None:
    for body in (
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"id": "evt_1", "type": "checkout.session.completed"}',
        b'{"id": 1, "type": "checkout.session.completed", "data": {"object": {"id": "cs_1"}}}',
        b'{"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs\\u0000"}}}',
        b'{"id": "evt\\ud800", "type": "checkout.session.completed", "data": {"object": {"id": "cs_1"}}}',
        json.dumps(
            {"id": "e" * 256, "type": "checkout.session.expired", "data": {"object": {"id": "cs"}}}
        ).encode(),
        json.dumps(
            {"id": "e", "type": "checkout.session." + "x" * 100, "data": {"object": {"id": "cs"}}}
        ).encode(),
        b'{"id": "evt_1", "type": "refund.failed", "data": {"object": {"payment_intent": {"id": "pi_1"}}}}',
    ):
        assert send(body).status_code == 400, body
        assert not events(), body


def test_unknown_members_and_a_member_twice_do_not_matter(fake: FakeStripe, db: None) -> None:
    body = (
        b'{"id": "evt_1", "new": {"of": ["next year", 1e999, "\\u0000"]}, "new": 2, '
        b'"type": "checkout.session.expired", '
        b'"data": {"object": {"id": "cs_1", "customer_details": {"name": "\\ud800"}}}}'
    )
    assert send(body).status_code == 200


def test_a_mebibyte(fake: FakeStripe, db: None) -> None:
    event = fake.event("checkout.session.completed", {"id": "cs", "filling": ""})
    event["data"]["object"]["filling"] = "x" * (1024 * 1024 - len(json.dumps(event)))
    assert send(event).status_code == 200
    event["data"]["object"]["filling"] += "x"
    answer = send(event)
    assert (answer.status_code, answer.json()) == (413, {"error": "The body is longer than 1024 KiB"})


def test_a_body_of_unknown_length(fake: FakeStripe, db: None) -> None:
    body, signature = signed(fake.event("checkout.session.completed", {"id": "cs"}))
    assert tell(body, signature, **{"Transfer-Encoding": "chunked"}).status_code == 411
    assert not events()


def test_a_token_and_a_type_do_not_matter(payment: Payment, fake: FakeStripe) -> None:
    body, signature = signed(fake.pay(payment.reference))
    headers = {"Stripe-Signature": signature, "Authorization": "Bearer x"}
    assert Client().post(PATH, body, content_type="text/plain", headers=headers).status_code == 200
    assert Client().get(PATH).status_code == 405


def test_nobody_is_limited(fake: FakeStripe, db: None, settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "on"
    bodies = [signed(fake.event("customer.created", {"id": "cus"})) for _ in range(130)]
    assert {tell(*body).status_code for body in bodies} == {200}


def test_what_could_not_be_kept_is_told_again(
    payment: Payment, fake: FakeStripe, transactional_db: None
) -> None:
    """503, and neither event nor job is there; then Stripe sends it once more."""
    paid = fake.pay(payment.reference)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    answer = meanwhile("LOCK TABLE job", partial(send, paid), end)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert not events()
    assert not jobs()
    assert send(paid).status_code == 200
    assert len(events()) == len(jobs()) == 1


def test_the_log_says_nothing_of_it(
    payment: Payment, fake: FakeStripe, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    body, _ = signed(fake.pay(payment.reference))
    tell(body, "t=1,v1=x")
    assert "cs_test" not in caplog.text + "".join(capfd.readouterr())
    assert "v1" not in caplog.text
