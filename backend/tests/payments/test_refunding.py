"""Money goes back once, whatever happens in between."""

from decimal import Decimal

import pytest
from pytest_django import Settings

from shop.models import Job, Mail, Order, Payment, PaymentStatus
from shop.orders.models import Actor
from shop.orders.workflow import cancel
from shop.payments.opening import open_payment
from shop.payments.refunding import (
    NotRefundableError,
    StillRefundingError,
    begin_refund,
    mark_refunded,
    refund,
)
from shop.payments.settling import mark_paid, settle
from tests.payments.conftest import pay_anew
from tests.payments.test_settling import do_all_jobs, mails, states
from tests.support.fake_provider import FakeProvider

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(fake: FakeProvider, payment: Payment) -> Payment:
    fake.pay(payment)
    settle.call(payment.pk)
    payment.refresh_from_db()
    return payment


def test_staff_refund_a_payment(fake: FakeProvider, placed: Order, paid: Payment) -> None:
    begin_refund(payment_id=paid.pk)
    assert states(placed) == ("processing", ["refunding"])
    with pytest.raises(NotRefundableError):
        begin_refund(payment_id=paid.pk)
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded"])
    assert mails() == ["placed", "paid", "refunded"]
    assert "sent back what you paid" in Mail.objects.get(kind="refunded").text
    with pytest.raises(NotRefundableError):
        begin_refund(payment_id=paid.pk)
    with pytest.raises(NotRefundableError):
        mark_refunded(payment_id=paid.pk)
    assert fake.calls.count("refund") == 1


def test_an_order_that_goes_on_after_a_refund_can_be_paid_again(
    fake: FakeProvider, placed: Order, paid: Payment
) -> None:
    begin_refund(payment_id=paid.pk)
    do_all_jobs()
    assert open_payment(customer_id=placed.customer_id, order_id=placed.pk).created
    assert states(placed) == ("processing", ["refunded", "open"])


@pytest.mark.parametrize("status", ["open", "failed", "expired", "refunded", "refunding"])
def test_what_was_not_paid_is_not_refunded(payment: Payment, status: str) -> None:
    Payment.objects.update(status=status)
    for act in (begin_refund, mark_refunded):
        with pytest.raises(NotRefundableError):
            act(payment_id=payment.pk)
    assert Payment.objects.get().status == status


def test_a_refund_that_was_asked_for_and_not_answered_is_one(
    fake: FakeProvider, placed: Order, paid: Payment
) -> None:
    do_all_jobs()
    begin_refund(payment_id=paid.pk)
    fake.silent = {"refund"}
    do_all_jobs()
    assert states(placed) == ("processing", ["refunding"])
    fake.silent = set()
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded"])
    assert fake.calls.count("refund") == 1  # it is asked first which exist
    assert fake.refunds == {str(paid.key): paid.reference}


def test_a_refund_on_its_way_is_waited_for(fake: FakeProvider, placed: Order, paid: Payment) -> None:
    fake.slow_refunds = True
    begin_refund(payment_id=paid.pk)
    for _ in range(3):
        do_all_jobs()
        assert states(placed) == ("processing", ["refunding"])
    with pytest.raises(StillRefundingError):
        refund.call(paid.pk)
    assert fake.calls.count("refund") == 1
    assert mails() == ["placed", "paid"]
    fake.say(paid, refunding=Decimal("0.00"), refunded=paid.amount)
    settle.call(paid.pk)
    assert states(placed) == ("processing", ["refunded"])
    do_all_jobs()
    assert mails() == ["placed", "paid", "refunded"]
    assert not Job.objects.waiting().filter(queue="money").exists()


def test_a_refund_that_is_refused_is_tried_again_or_made_by_hand(
    fake: FakeProvider, placed: Order, paid: Payment
) -> None:
    fake.refusing = {"refund"}
    cancel(order_id=placed.pk, by=Actor.STAFF)
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refund_failed"])
    assert mails() == ["placed", "paid", "cancelled", "payment_trouble"]
    assert Payment.objects.get().note == "Refund refused: no"
    begin_refund(payment_id=paid.pk)
    assert states(placed) == ("cancelled", ["refunding"])
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refund_failed"])
    assert mails()[4:] == ["payment_trouble"]
    mark_refunded(payment_id=paid.pk)
    assert states(placed) == ("cancelled", ["refunded"])
    assert mails()[5:] == ["refunded"]


def test_another_try_has_another_key(fake: FakeProvider, placed: Order, paid: Payment) -> None:
    """Under the first one a provider may say for ever that it refuses."""
    fake.refusing = {"refund"}
    begin_refund(payment_id=paid.pk)
    do_all_jobs()
    fake.refusing = set()
    begin_refund(payment_id=paid.pk)
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded"])
    assert set(fake.refunds) == {str(Payment.objects.get().key)} != {str(paid.key)}


def test_a_refund_that_is_refused_as_it_was_made_is_made(
    fake: FakeProvider, placed: Order, paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody refunds it at the provider between the question and the refund."""
    begin_refund(payment_id=paid.pk)

    def made_elsewhere(payment: Payment) -> None:
        fake.say(payment, refunded=payment.amount)
        fake.asked("refund")

    monkeypatch.setattr(fake, "refund", made_elsewhere)
    fake.refusing = {"refund"}
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded"])
    assert mails() == ["placed", "paid", "refunded"]


def test_money_jobs_never_die_and_staff_are_told_once(
    fake: FakeProvider, placed: Order, paid: Payment
) -> None:
    do_all_jobs()
    fake.away = {"fetch"}
    begin_refund(payment_id=paid.pk)
    for _ in range(12):
        do_all_jobs()
    (job,) = Job.objects.filter(task="shop.payments.refunding.refund")
    assert (job.status, job.attempts) == ("waiting", 12)
    assert mails() == ["placed", "paid", "failing"]
    assert states(placed) == ("processing", ["refunding"])
    fake.away = set()
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded"])


def test_an_invoice_is_repaid_by_hand(fake: FakeProvider, placed: Order) -> None:
    placed.delivery.payment_provider = "invoice"
    placed.delivery.save()
    mark_paid(orders=[placed.pk])
    cancel(order_id=placed.pk, by=Actor.STAFF)
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunding"])
    mark_refunded(payment_id=placed.payments.get().pk)
    assert states(placed) == ("cancelled", ["refunded"])
    assert mails() == ["placed", "paid", "cancelled", "refunded"]
    assert fake.calls == []


@pytest.mark.parametrize("provider", ["stripe", "invoice"])
def test_of_nothing_there_is_nothing_to_refund(
    fake: FakeProvider, placed: Order, settings: Settings, provider: str
) -> None:
    Order.objects.update(total_amount=0)
    placed.delivery.payment_provider = provider
    placed.delivery.save()
    payment = pay_anew(placed)
    assert (payment.status, payment.url) == (PaymentStatus.PAID, None)
    assert states(placed) == ("processing", ["paid"])
    assert placed.history.last().by == "payment"  # type: ignore[union-attr]
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])
    assert mails() == ["placed", "paid", "cancelled"]
    assert fake.calls == []


def test_a_refund_that_does_not_arrive_is_told_to_staff(
    fake: FakeProvider, placed: Order, paid: Payment, settings: Settings
) -> None:
    settings.SHOP_STAFF_EMAIL = ["staff@webshop.test"]
    begin_refund(payment_id=paid.pk)
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded"])
    fake.say(paid, refunded=Decimal("0.00"))
    for _ in range(2):
        settle.call(paid.pk)
    assert states(placed) == ("processing", ["refund_failed"])
    assert mails() == ["placed", "paid", "refunded", "payment_trouble"]
    mark_refunded(payment_id=paid.pk)
    settle.call(paid.pk)
    assert states(placed) == ("processing", ["refunded"])
