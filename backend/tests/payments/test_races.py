"""Several at once about one payment, and what dies in between: real connections, real threads."""

import time
from collections.abc import Callable
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from shop.models import Job, Mail, Order, Payment, Product
from shop.orders.books import faults
from shop.orders.models import Actor
from shop.orders.workflow import cancel
from shop.payments import places
from shop.payments.expiring import expire_order, expire_orders
from shop.payments.opening import open_payment
from shop.payments.refunding import begin_refund, refund
from shop.payments.settling import accept, settle
from tests.payments.conftest import copies, pay_anew
from tests.payments.test_expiring import age
from tests.payments.test_settling import do_all_jobs, mails, states
from tests.support.calling import Caller, bearer
from tests.support.fake_provider import FakeProvider
from tests.support.races import at_once, crowd, meanwhile

pytestmark = pytest.mark.django_db(transaction=True)


def test_twenty_open_one_payment(fake: FakeProvider, placed: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for the page, as long as it takes."""
    at_first = fake.start

    def slow(payment: Payment) -> Any:
        time.sleep(0.3)
        return at_first(payment)

    monkeypatch.setattr(fake, "start", slow)
    monkeypatch.setattr(places, "LATE_SECONDS", 0.1)
    headers = bearer(placed.customer)
    path = f"customer/{placed.customer_id}/orders/{placed.pk}/payment/"
    answers = crowd(20, lambda _: Caller(Client(), headers).post(path, {}), range(20))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["url"].startswith("https://bank.example/")
    assert fake.calls == ["start"]
    assert Payment.objects.count() == 1


def test_a_provider_that_hangs_holds_two_requests(
    fake: FakeProvider, placed: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are told at once to come again, and leave their threads; what they began goes on then."""
    answered = Event()
    at_first = fake.start

    def hang(payment: Payment) -> Any:
        page = at_first(payment)
        answered.wait(30)
        return page

    monkeypatch.setattr(fake, "start", hang)
    monkeypatch.setattr(places, "LATE_SECONDS", 0.1)
    paths = [f"customer/{placed.customer_id}/orders/{order.pk}/payment/" for order in copies(placed, 5)]
    headers = bearer(placed.customer)
    done: list[HttpResponse] = []

    def pay(path: str) -> None:
        done.append(Caller(Client(), headers).post(path, {}))
        if len(done) == 3:
            answered.set()

    crowd(5, pay, paths)
    assert [answer.status_code for answer in done[:3]] == [503] * 3
    assert {answer.headers["Retry-After"] for answer in done[:3]} == {"5"}
    assert [answer.status_code for answer in done[3:]] == [201] * 2
    assert fake.calls == ["start"] * 2
    again = [Caller(Client(), headers).post(path, {}) for path in paths]
    assert [answer.status_code for answer in again] == [200] * 5
    assert fake.calls == ["start"] * 5


def test_twenty_ask_a_provider_that_is_away(fake: FakeProvider, placed: Order) -> None:
    fake.away = {"start"}
    headers = bearer(placed.customer)
    path = f"customer/{placed.customer_id}/orders/{placed.pk}/payment/"
    answers = crowd(20, lambda _: Caller(Client(), headers).post(path, {}), range(20))
    assert {answer.status_code for answer in answers} == {503}
    assert Payment.objects.count() == 1


def test_paid_against_cancelled(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    """Whoever is first: the order is cancelled, and the money goes back."""
    fake.pay(payment)
    at_once(lambda: settle.call(payment.pk), lambda: cancel(order_id=placed.pk, by=Actor.CUSTOMER))
    assert states(placed) in [("cancelled", ["refunding"]), ("cancelled", ["expired"])]
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])
    assert fake.calls.count("refund") == 1
    assert set(Product.objects.values_list("stock", flat=True)) == {2, 58}
    assert faults() == []


@pytest.mark.parametrize("winner", ["processing", "cancelled"])
def test_paid_while_another_moves_the_order(
    fake: FakeProvider, placed: Order, payment: Payment, winner: str
) -> None:
    """Who waits for the order sees what became of it meanwhile."""
    fake.pay(payment)
    moved = f"""
        UPDATE "order" SET status = '{winner}' WHERE order_id = {placed.pk};
        INSERT INTO order_history (order_id, status, by) VALUES ({placed.pk}, '{winner}', 'staff')
    """
    assert meanwhile(moved, lambda: settle.call(payment.pk)) is None
    paid = "paid" if winner == "processing" else "refunding"
    assert states(placed) == (winner, [paid])
    assert placed.history.count() == 2


def test_paid_against_expired(
    fake: FakeProvider, placed: Order, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paid between the question and the cancelling."""
    age(placed, hours=23)
    closed = fake.expire

    def paid_first(late: Payment) -> None:
        fake.pay(late)
        closed(late)

    monkeypatch.setattr(fake, "expire", paid_first)
    at_once(lambda: expire_orders.call(), lambda: settle.call(payment.pk))
    assert states(placed) == ("processing", ["paid"])
    assert faults() == []


def test_several_expire_one_order(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    age(placed, hours=23)
    results = at_once(*[lambda: expire_order(placed.pk)] * 4)
    assert results == [None] * 4
    assert states(placed) == ("cancelled", ["expired"])
    assert placed.history.count() == 2
    assert set(Product.objects.values_list("stock", flat=True)) == {2, 58}
    assert faults() == []


def test_expired_against_opened(fake: FakeProvider, placed: Order) -> None:
    """A page that opens at the last moment keeps the order from being cancelled."""
    age(placed, hours=23)
    begun = f"""
        SELECT FROM "order" WHERE order_id = {placed.pk} FOR NO KEY UPDATE;
        INSERT INTO payment (order_id, provider, amount, currency, key)
        VALUES ({placed.pk}, 'stripe', 1446.67, 'EUR', gen_random_uuid())
    """
    assert meanwhile(begun, lambda: expire_order(placed.pk)) is None
    assert states(placed) == ("pending", ["open"])
    expire_order(placed.pk)
    assert states(placed) == ("cancelled", ["expired"])


def test_two_payments_of_an_order_at_once(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.say(payment, status="expired")
    settle.call(payment.pk)
    second = pay_anew(placed)
    for one in (payment, second):
        fake.pay(one)
    at_once(*[lambda key=key: settle.call(key) for key in (payment.pk, second.pk) * 3])
    do_all_jobs()
    order, both = states(placed)
    assert (order, sorted(both)) == ("processing", ["paid", "refunded"])
    assert fake.calls.count("refund") == 1
    assert sorted(mails()) == ["paid", "placed", "refunded"]
    assert faults() == []


def test_the_same_event_many_times_at_once(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    assert at_once(*[lambda: settle.call(payment.pk)] * 8) == [None] * 8
    assert states(placed) == ("processing", ["paid"])
    assert mails() == ["placed", "paid"]
    assert placed.history.count() == 2


def test_two_refunds_at_once_are_one(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    settle.call(payment.pk)
    results = at_once(*[lambda: begin_refund(payment_id=payment.pk)] * 4)
    assert sorted(type(result).__name__ for result in results) == ["NoneType"] + ["NotRefundableError"] * 3
    at_once(*[lambda: refund.call(payment.pk)] * 4)
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded"])
    assert fake.refunds == {str(payment.key): payment.reference}
    assert mails() == ["placed", "paid", "refunded"]


def test_accepted_against_refunded(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment, Decimal("1.00"))
    settle.call(payment.pk)
    at_once(lambda: accept(payment_id=payment.pk), lambda: cancel(order_id=placed.pk, by=Actor.STAFF))
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])
    assert faults() == []


def test_opened_against_cancelled(fake: FakeProvider, placed: Order) -> None:
    at_once(
        lambda: open_payment(customer_id=placed.customer_id, order_id=placed.pk),
        lambda: cancel(order_id=placed.pk, by=Actor.CUSTOMER),
    )
    do_all_jobs()
    assert states(placed) in [("cancelled", ["expired"]), ("cancelled", [])]
    assert {report.status for report in fake.reports.values()} <= {"expired"}
    assert faults() == []


@pytest.mark.parametrize("statement", range(1, 9))
def test_a_crash_while_it_is_paid_leaves_all_or_nothing(
    fake: FakeProvider, placed: Order, payment: Payment, statement: int
) -> None:
    """The process ends at each statement; the job is done again."""
    fake.pay(payment)
    with pytest.raises(Killed):
        run_until(statement, lambda: settle.call(payment.pk))
    assert states(placed) in [("pending", ["open"]), ("processing", ["paid"])]
    do_all_jobs()
    assert states(placed) == ("processing", ["paid"])
    assert mails() == ["placed", "paid"]
    assert faults() == []


@pytest.mark.parametrize("statement", range(1, 6))
def test_a_crash_while_money_goes_back_leaves_one_refund(
    fake: FakeProvider, placed: Order, payment: Payment, statement: int
) -> None:
    fake.pay(payment)
    settle.call(payment.pk)
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    with pytest.raises(Killed):
        run_until(statement, lambda: refund.call(payment.pk))
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])
    assert fake.calls.count("refund") == 1
    assert Mail.objects.filter(kind="refunded").count() == 1
    assert not Job.objects.waiting().filter(queue="money").exists()
    assert faults() == []


class Killed(BaseException):
    """As kill -9 has it: nobody catches it."""


def run_until(statement: int, act: Callable[[], None]) -> None:
    """Let an act run until so many statements are through."""
    done = 0

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal done
        done += 1
        if done > statement:
            raise Killed
        return execute(*arguments)

    with connection.execute_wrapper(count):
        act()
