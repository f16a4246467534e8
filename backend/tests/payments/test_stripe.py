"""Stripe alone, by its real library, against a stand-in: what is asked of it, and what its answers mean."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

import pytest
from django.utils import timezone
from pytest_django import Settings

from shop.orders.models import Payment, PaymentStatus
from shop.payments import stripe
from shop.payments.provider import Page, ProviderRefusedError, ProviderUnavailableError, Report
from shop.payments.stripe import Stripe
from tests import BACKEND
from tests.support.fake_stripe import FakeStripe, stripe_for

START, REFUND = "POST /v1/checkout/sessions", "POST /v1/refunds"


@pytest.fixture
def fake(settings: Settings) -> Iterator[FakeStripe]:
    with stripe_for(settings) as fake:
        yield fake


@pytest.fixture
def payment() -> Payment:
    """Of order 12, placed a moment ago, as it is in the database before anybody was asked."""
    now = timezone.now()
    return Payment(
        payment_id=7,
        order_id=12,
        provider="stripe",
        amount=Decimal("1446.67"),
        currency="EUR",
        created_at=now,
        changed_at=now,
        expires_at=now + timedelta(hours=23),
    )


@pytest.fixture
def session(fake: FakeStripe, payment: Payment) -> str:
    """The id of its page."""
    payment.reference = Stripe().start(payment).reference
    return payment.reference


def status_of(payment: Payment) -> PaymentStatus:
    return Stripe().fetch(payment).status


def test_the_page(fake: FakeStripe, payment: Payment) -> None:
    """An order is one line of it: names of products and of people are nobody else's business."""
    page = Stripe().start(payment)
    assert payment.expires_at
    closes = payment.expires_at.replace(microsecond=0)
    assert page == Page("cs_test_1", "https://checkout.stripe.com/c/pay/cs_test_1", closes)
    marks = {"payment_id": "7", "order_id": "12"}
    price = {"currency": "eur", "unit_amount": "144667", "product_data": {"name": "Order 12"}}
    assert fake.sessions["cs_test_1"]["params"] == {
        "mode": "payment",
        "allowed_payment_method_types": ["card"],
        "adaptive_pricing": {"enabled": "false"},
        "line_items": [{"quantity": "1", "price_data": price}],
        "client_reference_id": "7",
        "metadata": marks,
        "payment_intent_data": {"metadata": marks},
        "success_url": "https://shop.example.com/",
        "cancel_url": "https://shop.example.com/",
        "expires_at": str(int(closes.timestamp())),
    }
    assert fake.headers[0]["Idempotency-Key"] == f"{payment.key}-start"
    assert "X-Stripe-Client-Telemetry" not in fake.headers[0]
    assert "telemetry_id" not in fake.headers[0]["X-Stripe-Client-User-Agent"]


def test_the_page_leads_back(fake: FakeStripe, payment: Payment) -> None:
    payment.return_url = "https://shop.example.com/thanks?order=12"
    Stripe().start(payment)
    params = fake.sessions["cs_test_1"]["params"]
    assert (params["success_url"], params["cancel_url"]) == (payment.return_url, payment.return_url)


@pytest.mark.parametrize(
    ("left", "open_for"),
    [
        (timedelta(minutes=1), timedelta(minutes=35)),
        (timedelta(minutes=40), timedelta(minutes=40)),
        (timedelta(hours=23), timedelta(hours=23)),
        (timedelta(days=3), timedelta(hours=23, minutes=55)),
        (None, timedelta(hours=23, minutes=55)),
    ],
)
def test_the_page_closes_with_the_order(
    fake: FakeStripe, payment: Payment, left: timedelta | None, open_for: timedelta
) -> None:
    """As nearly as Stripe lets it, which takes 30 minutes to 24 hours; the shop itself closes it in time."""
    payment.expires_at = payment.created_at + left if left else None
    closes = (payment.created_at + open_for).replace(microsecond=0)
    assert Stripe().start(payment).expires_at == closes


def test_asked_again_it_is_the_same_page(fake: FakeStripe, payment: Payment) -> None:
    """Also when the first answer was lost, and the last one came minutes later."""
    fake.faults[START] = ["cut"]
    with pytest.raises(ProviderUnavailableError):
        Stripe().start(payment)
    pages = {Stripe().start(payment).reference for _ in range(2)}
    assert pages == set(fake.sessions) == {"cs_test_1"}


def test_the_same_key_with_another_page_is_refused(fake: FakeStripe, payment: Payment) -> None:
    Stripe().start(payment)
    payment.amount += 1
    with pytest.raises(ProviderRefusedError, match=r"^IdempotencyError 400$"):
        Stripe().start(payment)
    assert len(fake.sessions) == 1


@pytest.mark.parametrize("fault", ["busy", "limited", "broken", "away", "cut"])
def test_no_answer_is_no_verdict(fake: FakeStripe, payment: Payment, fault: str) -> None:
    fake.faults[START] = [fault]
    with pytest.raises(ProviderUnavailableError):
        Stripe().start(payment)
    assert len(fake.calls) == 1


def test_a_failure_that_stripe_keeps_ends_the_page(fake: FakeStripe, payment: Payment) -> None:
    """It gives its own failure again under the key, for a day: only another payment can be paid."""
    fake.faults[START] = ["broken"]
    with pytest.raises(ProviderUnavailableError, match=r"^APIError 500$"):
        Stripe().start(payment)
    with pytest.raises(ProviderRefusedError, match=r"^APIError 500$"):
        Stripe().start(payment)
    assert not fake.sessions


def test_what_it_says_no_to(fake: FakeStripe, payment: Payment) -> None:
    fake.faults[START] = ["refuse"]
    with pytest.raises(ProviderRefusedError, match=r"^CardError 402 card_declined$"):
        Stripe().start(payment)
    payment.amount = Decimal("0.49")
    payment.key = Payment().key
    with pytest.raises(ProviderRefusedError, match=r"^InvalidRequestError 400 amount_too_small$"):
        Stripe().start(payment)


def test_a_wrong_key_is_no_verdict(fake: FakeStripe, payment: Payment, settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_of_somebody_else"
    with pytest.raises(ProviderUnavailableError, match=r"^AuthenticationError 401$"):
        Stripe().start(payment)


def test_nor_is_a_payment_that_the_account_does_not_know(fake: FakeStripe, payment: Payment) -> None:
    payment.reference = "cs_test_of_another_account"
    for act in (Stripe().fetch, Stripe().expire, Stripe().refund):
        with pytest.raises(ProviderUnavailableError, match=r"^InvalidRequestError 404 resource_missing$"):
            act(payment)


def test_nobody_listens(fake: FakeStripe, payment: Payment, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ProviderUnavailableError, match=r"^APIConnectionError 0$"):
        Stripe().start(payment)


def test_a_slow_answer_is_not_waited_for(
    fake: FakeStripe, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stripe.CONNECT_SECONDS + stripe.ANSWER_SECONDS == 10
    monkeypatch.setattr(stripe, "ANSWER_SECONDS", 0.2)
    fake.faults[START] = ["hang"]
    begin = monotonic()
    with pytest.raises(ProviderUnavailableError):
        Stripe().start(payment)
    assert monotonic() - begin < 5
    assert Stripe().start(payment).reference == "cs_test_1"


def test_what_becomes_of_a_page(fake: FakeStripe, payment: Payment, session: str) -> None:
    assert Stripe().fetch(payment) == Report(PaymentStatus.OPEN)
    fake.refuse_card(session)
    assert status_of(payment) == PaymentStatus.OPEN
    fake.pay(session)
    assert Stripe().fetch(payment) == Report(PaymentStatus.PAID, Decimal("1446.67"), "EUR")


@pytest.mark.parametrize("tried", [False, True])
def test_a_page_whose_time_is_over(fake: FakeStripe, payment: Payment, session: str, tried: bool) -> None:
    if tried:
        fake.refuse_card(session)
    fake.close(session)
    assert Stripe().fetch(payment) == Report(PaymentStatus.EXPIRED)


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        ("processing", PaymentStatus.OPEN),
        ("requires_payment_method", PaymentStatus.FAILED),
        ("canceled", PaymentStatus.FAILED),
    ],
)
def test_a_page_that_is_done_without_money(
    fake: FakeStripe, payment: Payment, session: str, intent: str, expected: PaymentStatus
) -> None:
    fake.refuse_card(session)
    fake.sessions[session]["status"] = "complete"
    fake.intents[fake.sessions[session]["payment_intent"]]["status"] = intent
    assert status_of(payment) == expected


def test_paid_after_its_time_is_paid(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.close(session)
    fake.pay(session)
    assert status_of(payment) == PaymentStatus.PAID


@pytest.mark.parametrize(
    ("cents", "currency", "expected"),
    [
        (144666, "", (Decimal("1446.66"), "EUR")),
        (144667, "usd", (Decimal("1446.67"), "USD")),
        (1, "", (Decimal("0.01"), "EUR")),
        (99_999_999_99, "", (Decimal("99999999.99"), "EUR")),
    ],
)
def test_what_was_received_counts(
    fake: FakeStripe, payment: Payment, session: str, cents: int, currency: str, expected: tuple[Decimal, str]
) -> None:
    fake.pay(session, amount=cents, currency=currency)
    report = Stripe().fetch(payment)
    assert (report.amount, report.currency) == expected


def test_refunds_and_what_is_on_its_way(fake: FakeStripe, payment: Payment, session: str) -> None:
    """On more than one page of Stripe's list; those that failed are none."""
    fake.pay(session)
    for amount, status in [(100, "succeeded"), (20, "pending"), (3, "requires_action"), (4000, "failed")]:
        fake.give_back(session, amount, status)
    fake.give_back(session, 50_000, "canceled")
    report = Stripe().fetch(payment)
    assert (report.refunded, report.refunding) == (Decimal("1.00"), Decimal("0.23"))
    assert len([call for call in fake.calls if call == "GET /v1/refunds"]) == 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("warning_needs_response", False),
        ("warning_under_review", False),
        ("warning_closed", False),
        ("needs_response", True),
        ("under_review", True),
        ("lost", True),
        ("won", False),
    ],
)
def test_chargebacks(fake: FakeStripe, payment: Payment, session: str, status: str, expected: bool) -> None:
    fake.pay(session)
    fake.charge_back(session, status)
    assert Stripe().fetch(payment).is_charged_back is expected


def refunds(fake: FakeStripe) -> list[tuple[int, str]]:
    return [(refund["amount"], refund["status"]) for refund in fake.refunds.values()]


def test_a_refund_is_made_once(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.pay(session)
    for _ in range(3):
        Stripe().refund(payment)
    assert refunds(fake) == [(144667, "succeeded")]
    assert fake.calls.count(REFUND) == 1
    (headers,) = [sent for sent, call in zip(fake.headers, fake.calls, strict=True) if call == REFUND]
    assert headers["Idempotency-Key"] == f"{payment.key}-refund-0"
    assert Stripe().fetch(payment).refunded == Decimal("1446.67")


def test_a_refund_whose_answer_was_lost(fake: FakeStripe, payment: Payment, session: str) -> None:
    """Those that there are are asked for first; and a list that does not have it yet does no harm either."""
    fake.pay(session)
    fake.faults[REFUND] = ["cut"]
    with pytest.raises(ProviderUnavailableError):
        Stripe().refund(payment)
    late = dict(fake.refunds)
    fake.refunds.clear()
    Stripe().refund(payment)
    assert not fake.refunds, "the answer of then, under its key"
    fake.refunds.update(late)
    Stripe().refund(payment)
    assert refunds(fake) == [(144667, "succeeded")]


def test_a_refund_on_its_way_is_not_made_again(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.pay(session)
    fake.refunds_are = "pending"
    for _ in range(2):
        Stripe().refund(payment)
    report = Stripe().fetch(payment)
    assert (report.refunded, report.refunding) == (Decimal("0.00"), Decimal("1446.67"))
    fake.settle_refunds()
    Stripe().refund(payment)
    assert refunds(fake) == [(144667, "succeeded")]


def test_only_what_is_left_is_given_back(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.pay(session)
    fake.give_back(session, 100_000)
    Stripe().refund(payment)
    assert refunds(fake) == [(100_000, "succeeded"), (44_667, "succeeded")]


def test_what_was_received_is_given_back(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.pay(session, amount=500, currency="usd")
    Stripe().refund(payment)
    assert refunds(fake) == [(500, "succeeded")]


def test_what_was_not_paid_is_not_given_back(fake: FakeStripe, payment: Payment, session: str) -> None:
    Stripe().refund(payment)
    fake.refuse_card(session)
    Stripe().refund(payment)
    assert not fake.refunds


@pytest.mark.parametrize("at_once", [True, False])
def test_a_refund_that_fails(fake: FakeStripe, payment: Payment, session: str, at_once: bool) -> None:
    """It is told until staff begin another one, which is a new one then."""
    fake.pay(session)
    fake.refunds_are = "failed" if at_once else "pending"
    if at_once:
        with pytest.raises(ProviderRefusedError, match=r"^Refund failed$"):
            Stripe().refund(payment)
    else:
        Stripe().refund(payment)
        fake.settle_refunds("failed")
    with pytest.raises(ProviderRefusedError, match=r"^Refund failed$"):
        Stripe().refund(payment)
    assert Stripe().fetch(payment).refunding == 0
    fake.refunds_are = "succeeded"
    payment.changed_at = timezone.now() + timedelta(seconds=1)
    Stripe().refund(payment)
    assert refunds(fake) == [(144667, "failed"), (144667, "succeeded")]


def test_what_the_bank_took_cannot_be_given_back(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.pay(session)
    fake.charge_back(session)
    with pytest.raises(ProviderRefusedError, match=r"^InvalidRequestError 400 charge_disputed$"):
        Stripe().refund(payment)


def test_closing_a_page(fake: FakeStripe, payment: Payment, session: str) -> None:
    for _ in range(2):
        Stripe().expire(payment)
    assert status_of(payment) == PaymentStatus.EXPIRED
    path = f"POST /v1/checkout/sessions/{session}/expire"
    keys = {
        sent["Idempotency-Key"] for sent, call in zip(fake.headers, fake.calls, strict=True) if call == path
    }
    assert keys == {f"{payment.key}-expire"}


def test_closing_a_page_that_was_paid_or_is_over(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.pay(session)
    Stripe().expire(payment)
    assert status_of(payment) == PaymentStatus.PAID


def test_closing_a_page_that_stripe_keeps_open(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.faults[f"POST /v1/checkout/sessions/{session}/expire"] = ["refuse"]
    with pytest.raises(ProviderRefusedError):
        Stripe().expire(payment)
    assert status_of(payment) == PaymentStatus.OPEN


def test_a_lost_answer_to_closing_it(fake: FakeStripe, payment: Payment, session: str) -> None:
    fake.faults[f"POST /v1/checkout/sessions/{session}/expire"] = ["cut"]
    with pytest.raises(ProviderUnavailableError):
        Stripe().expire(payment)
    Stripe().expire(payment)
    assert status_of(payment) == PaymentStatus.EXPIRED


def test_errors_say_nothing_of_what_was_sent(
    fake: FakeStripe, payment: Payment, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library's own log would; it is below the level of the shop's."""
    fake.faults[START] = ["busy", "refuse"]
    for expected in (ProviderUnavailableError, ProviderRefusedError):
        with pytest.raises(expected) as failed:
            Stripe().start(payment)
        assert "Ada" not in str(failed.value)
        assert failed.value.__suppress_context__
    assert not logging.getLogger("stripe").isEnabledFor(logging.INFO)
    assert (caplog.text, capfd.readouterr()) == ("", ("", ""))


def test_nothing_is_imported_before_it_is_needed() -> None:
    program = (
        "import django, sys; django.setup(); import shop.urls, shop.periodic, shop.payments.stripe; "
        "sys.exit('stripe' in sys.modules)"
    )
    environment = {"PATH": "", "DJANGO_SETTINGS_MODULE": "webshop.settings", "DEBUG": "1"}
    subprocess.run([sys.executable, "-c", program], cwd=BACKEND, env=environment, check=True)


def test_amounts_are_exact() -> None:
    for cents in (0, 1, 10, 29, 57, 100, 1113, 99_999_999_99):
        amount = stripe.money(cents)
        assert int(amount * 100) == cents
        assert str(amount) == f"{cents // 100}.{cents % 100:02d}"


def test_times_are_aware(fake: FakeStripe, payment: Payment) -> None:
    assert Stripe().start(payment).expires_at.tzinfo is UTC
    assert stripe.closing_time(payment) > datetime.now(UTC)
