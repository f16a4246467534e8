"""Orders that nobody pays in time, payments of which no event comes, orders that have arrived."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Job, Order, OrderHistory, Payment, Product
from shop.orders.models import Actor
from shop.orders.workflow import cancel, set_status
from shop.payments.expiring import ask_open, complete_orders, expire_orders
from shop.payments.opening import OrderClosedError, open_payment
from shop.payments.provider import ProviderUnavailableError
from shop.payments.settling import settle
from shop.periodic import PERIODIC
from tests.payments.conftest import copies, pay_anew
from tests.payments.test_settling import do_all_jobs, history, mails, states
from tests.support.fake_provider import FakeProvider

pytestmark = pytest.mark.django_db


def age(order: Order, **time: float) -> None:
    """Let the order be older."""
    for step in order.history.order_by("-pk"):
        at = step.at - timedelta(**time)
        OrderHistory.objects.filter(pk=step.pk).update(at=at)
    Order.objects.filter(pk=order.pk).update(order_date=at.date())


def test_they_are_done_again_and_again() -> None:
    assert {task.name: seconds for task, seconds in PERIODIC.items()} | {
        "expire_orders": 60,
        "ask_open": 900,
        "complete_orders": 3600,
    } == {task.name: seconds for task, seconds in PERIODIC.items()}


def test_an_order_that_nobody_pays_is_cancelled(
    fake: FakeProvider, placed: Order, payment: Payment, computer: Product
) -> None:
    age(placed, hours=22, minutes=59)
    expire_orders.call()
    assert states(placed) == ("pending", ["open"])
    age(placed, minutes=1)
    expire_orders.call()
    assert states(placed) == ("cancelled", ["expired"])
    assert history(placed) == [("pending", "customer"), ("cancelled", "system")]
    assert mails() == ["placed", "cancelled"]
    assert fake.calls == ["start", "expire", "fetch"]
    computer.refresh_from_db()
    assert computer.stock == 2
    expire_orders.call()
    assert len(fake.calls) == 3


def test_the_hours_are_the_settings(placed: Order, payment: Payment, settings: Settings) -> None:
    settings.SHOP_PAYMENT_HOURS = 1
    age(placed, hours=1)
    expire_orders.call()
    assert states(placed) == ("cancelled", ["expired"])


def test_one_without_a_payment_is_cancelled(fake: FakeProvider, placed: Order) -> None:
    age(placed, hours=23)
    expire_orders.call()
    assert states(placed) == ("cancelled", [])
    assert fake.calls == []


def test_one_that_is_paid_at_the_last_moment_is_not(
    fake: FakeProvider, placed: Order, payment: Payment
) -> None:
    fake.pay(payment)
    age(placed, hours=23)
    expire_orders.call()
    assert states(placed) == ("processing", ["paid"])
    assert mails() == ["placed", "paid"]


def test_one_with_another_amount_waits_for_staff(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment, currency="USD")
    age(placed, hours=23)
    for _ in range(2):
        expire_orders.call()
    assert states(placed) == ("pending", ["disputed"])


@pytest.mark.parametrize("act", ["expire", "fetch"])
@pytest.mark.parametrize("way", ["away", "silent"])
def test_without_an_answer_it_waits(
    fake: FakeProvider, placed: Order, payment: Payment, act: str, way: str
) -> None:
    age(placed, hours=23)
    setattr(fake, way, {act})
    expire_orders.call()
    assert states(placed) == ("pending", ["open"])
    setattr(fake, way, set())
    expire_orders.call()
    assert states(placed) == ("cancelled", ["expired"])


def test_what_a_provider_refuses_keeps_no_other_order_waiting(
    fake: FakeProvider, placed: Order, payment: Payment
) -> None:
    age(placed, hours=23)
    fake.refusing = {"expire"}
    for _ in range(2):
        expire_orders.call()
    assert states(placed) == ("pending", ["open"])
    fake.refusing = set()
    expire_orders.call()
    assert states(placed) == ("cancelled", ["expired"])


def test_a_page_that_was_never_known_is_closed(fake: FakeProvider, placed: Order) -> None:
    fake.silent = {"start"}
    with pytest.raises(ProviderUnavailableError):
        pay_anew(placed)
    fake.silent = set()
    age(placed, hours=23)
    Payment.objects.update(expires_at=timezone.now())
    do_all_jobs()
    assert [report.status for report in fake.reports.values()] == ["expired"]
    expire_orders.call()
    assert states(placed) == ("cancelled", ["expired"])


def test_a_page_that_the_provider_never_made_keeps_nothing(fake: FakeProvider, placed: Order) -> None:
    fake.away = {"start"}
    with pytest.raises(ProviderUnavailableError):
        pay_anew(placed)
    fake.away, fake.refusing = set(), {"start"}
    age(placed, hours=23)
    expire_orders.call()
    assert states(placed) == ("cancelled", ["failed"])


def test_no_page_opens_after_the_deadline(fake: FakeProvider, placed: Order) -> None:
    age(placed, hours=23)
    with pytest.raises(OrderClosedError):
        open_payment(customer_id=placed.customer_id, order_id=placed.pk)
    assert fake.calls == []


@pytest.mark.parametrize("status", ["processing", "shipped", "completed", "cancelled"])
def test_one_that_staff_moved_on_does_not_expire(placed: Order, status: str) -> None:
    Order.objects.update(status=status)
    age(placed, hours=50)
    expire_orders.call()
    assert states(placed) == (status, [])


def test_invoices_and_samples_do_not_expire(placed: Order, order: Order) -> None:
    placed.delivery.payment_provider = "invoice"
    placed.delivery.save()
    age(placed, days=300)
    Order.objects.update(status="pending")
    expire_orders.call()
    assert set(Order.objects.values_list("status", flat=True)) == {"pending"}


def test_a_provider_that_is_away_is_left_alone(
    fake: FakeProvider, placed: Order, payment: Payment, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """After three orders without an answer, of which each may take ten seconds."""
    for number, copy in enumerate(copies(placed, 5)):
        pay_anew(copy)
        age(copy, hours=23 + number)
    fake.away = {"expire"}
    fake.calls.clear()
    expire_orders.call()
    assert fake.calls == ["expire"] * 3
    fake.away = set()
    expire_orders.call()
    assert Order.objects.filter(status="cancelled").count() == 5


def test_one_that_fails_or_is_gone_keeps_no_other_waiting(
    fake: FakeProvider,
    placed: Order,
    payment: Payment,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whichever comes first."""
    gone, broken, *_ = copies(placed, 4)
    for order in Order.objects.exclude(pk=placed.pk):
        pay_anew(order)
        age(order, hours=23)
    expire = fake.expire

    def fail(late: Payment) -> None:
        if late.order_id == broken.pk:
            raise ValueError("about ada@webshop.test")
        if late.order_id == gone.pk:
            Order.objects.filter(pk=gone.pk).delete()
        expire(late)

    monkeypatch.setattr(fake, "expire", fail)
    expire_orders.call()
    assert list(Order.objects.order_by("pk").values_list("status", flat=True)) == [
        "pending",
        "pending",
        "cancelled",
        "cancelled",
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"order {broken.pk}: ValueError, so it does not expire"
    ]


# Open payments ----------------------------------------------------------------------------------------------


def test_open_payments_are_asked_about(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    Job.objects.all().delete()
    for _ in range(3):
        ask_open.call()
    assert Job.objects.waiting().count() == 1
    do_all_jobs()
    assert states(placed) == ("processing", ["paid"])
    ask_open.call()
    assert not Job.objects.waiting().exclude(queue="mail").exists()


def test_without_an_answer_they_are_asked_next_time(fake: FakeProvider, payment: Payment) -> None:
    """No jobs pile up."""
    Job.objects.all().delete()
    fake.away = {"fetch"}
    for _ in range(3):
        ask_open.call()
        do_all_jobs()
    assert not Job.objects.waiting().exists()
    assert fake.calls == ["start"] + ["fetch"] * 3


# Pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["expire", "fetch"])
def test_a_page_is_closed_though_the_provider_is_away(
    fake: FakeProvider, placed: Order, payment: Payment, act: str
) -> None:
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    fake.away = {act}
    do_all_jobs()
    fake.away = set()
    do_all_jobs()
    assert fake.reports[payment.reference].status == "expired"
    assert not Job.objects.waiting().filter(queue="money").exists()


def test_a_page_that_was_begun_is_closed(fake: FakeProvider, placed: Order) -> None:
    fake.silent = {"start"}
    with pytest.raises(ProviderUnavailableError):
        pay_anew(placed)
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    fake.silent = set()
    do_all_jobs()
    assert [report.status for report in fake.reports.values()] == ["expired"]
    assert states(placed) == ("cancelled", ["expired"])
    assert not Job.objects.waiting().filter(queue="money").exists()


# Orders that have arrived -----------------------------------------------------------------------------------


def test_shipped_orders_are_completed(
    fake: FakeProvider, placed: Order, payment: Payment, settings: Settings
) -> None:
    settings.SHOP_COMPLETE_DAYS = 3
    fake.pay(payment)
    settle.call(payment.pk)
    set_status(order_id=placed.pk, to="shipped")  # type: ignore[arg-type]
    complete_orders.call()
    assert states(placed) == ("shipped", ["paid"])
    age(placed, days=3)
    complete_orders.call()
    assert states(placed) == ("completed", ["paid"])
    assert history(placed)[-1] == ("completed", "system")
    assert mails() == ["placed", "paid", "shipped"]


@pytest.mark.parametrize("status", ["pending", "processing", "cancelled"])
def test_no_others_are(placed: Order, status: str) -> None:
    Order.objects.update(status=status)
    age(placed, days=100)
    complete_orders.call()
    assert states(placed) == (status, [])
