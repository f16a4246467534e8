"""What becomes of order and payment by what the provider says: each cell of the table."""

from decimal import Decimal
from typing import Any

import pytest

from shop.models import Job, Mail, Order, OrderStatus, Payment, PaymentStatus, Product
from shop.orders.books import wrong_payments
from shop.orders.models import Actor
from shop.orders.workflow import cancel, set_status
from shop.payments.provider import Report
from shop.payments.settling import NotDisputedError, accept, apply, mark_paid, settle
from tests.payments.conftest import pay_anew
from tests.support.fake_provider import FakeProvider
from tests.support.jobs import do_jobs, make_due

pytestmark = pytest.mark.django_db

OTHERS: list[dict[str, Any]] = [{"amount": Decimal("1446.66")}, {"currency": "USD"}]
FAILURES = [PaymentStatus.FAILED, PaymentStatus.EXPIRED]


def states(order: Order) -> tuple[str, list[str]]:
    """The statuses of the order and of its payments."""
    order.refresh_from_db()
    return order.status, list(order.payments.order_by("pk").values_list("status", flat=True))


def history(order: Order) -> list[tuple[str, str]]:
    return list(order.history.order_by("pk").values_list("status", "by"))


def mails() -> list[str]:
    return list(Mail.objects.order_by("pk").values_list("kind", flat=True))


def do_all_jobs() -> None:
    make_due()
    do_jobs()


def test_paid(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    settle.call(payment.pk)
    assert states(placed) == ("processing", ["paid"])
    assert history(placed) == [("pending", "customer"), ("processing", "payment")]
    assert mails() == ["placed", "paid"]
    payment.refresh_from_db()
    assert (payment.received, payment.received_currency) == (Decimal("1446.67"), "EUR")
    settle.call(payment.pk)
    assert states(placed) == ("processing", ["paid"])
    assert (len(history(placed)), len(mails())) == (2, 2)
    assert set(fake.calls) == {"start", "fetch"}


@pytest.mark.parametrize("status", ["processing", "shipped", "completed"])
def test_paid_when_staff_moved_the_order_on(
    fake: FakeProvider, placed: Order, payment: Payment, status: str
) -> None:
    set_status(order_id=placed.pk, to=OrderStatus(status))
    fake.pay(payment)
    settle.call(payment.pk)
    assert states(placed) == (status, ["paid"])
    assert history(placed)[1:] == [(status, "staff")]
    assert list(wrong_payments()) == []


@pytest.mark.parametrize("first", FAILURES)
def test_paid_twice(fake: FakeProvider, placed: Order, payment: Payment, first: PaymentStatus) -> None:
    """The first page said that it is over, and is paid all the same once the second was."""
    fake.say(payment, status=first)
    settle.call(payment.pk)
    second = pay_anew(placed)
    fake.pay(second)
    settle.call(second.pk)
    fake.pay(payment)
    settle.call(payment.pk)
    assert states(placed) == ("processing", ["refunding", "paid"])
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded", "paid"])
    assert mails() == ["placed", "paid", "refunded"]
    assert "twice" in Mail.objects.get(kind="refunded").text
    assert fake.calls.count("refund") == 1


def test_an_old_page_is_paid_while_another_is_open(
    fake: FakeProvider, placed: Order, payment: Payment
) -> None:
    fake.say(payment, status=PaymentStatus.EXPIRED)
    settle.call(payment.pk)
    second = pay_anew(placed)
    fake.pay(payment)
    settle.call(payment.pk)
    assert states(placed) == ("processing", ["paid", "expired"])
    do_all_jobs()
    assert fake.reports[second.reference].status == "expired"


def test_paid_after_the_order_was_cancelled(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    assert states(placed) == ("cancelled", ["expired"])
    settle.call(payment.pk)
    assert states(placed) == ("cancelled", ["refunding"])
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])
    assert fake.calls.count("refund") == 1
    assert mails() == ["placed", "cancelled", "refunded"]
    assert list(wrong_payments()) == []


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("status", ["pending", "shipped"])
def test_another_amount(
    fake: FakeProvider, placed: Order, payment: Payment, other: dict[str, Any], status: str
) -> None:
    Order.objects.update(status=status)
    fake.pay(payment, **other)
    settle.call(payment.pk)
    settle.call(payment.pk)
    assert states(placed) == (status, ["disputed"])
    assert mails() == ["placed", "payment_trouble"]
    mail = Mail.objects.get(kind="payment_trouble")
    assert (mail.recipients, mail.customer_id) == ("staff@shop.example", None)
    assert "Paid was 1446.6" in mail.text
    assert "Ada" not in mail.text + mail.html


@pytest.mark.parametrize("other", OTHERS)
def test_another_amount_of_an_order_that_is_paid(
    fake: FakeProvider, placed: Order, payment: Payment, other: dict[str, Any]
) -> None:
    fake.say(payment, status=PaymentStatus.FAILED)
    settle.call(payment.pk)
    second = pay_anew(placed)
    fake.pay(second)
    settle.call(second.pk)
    fake.pay(payment, **other)
    settle.call(payment.pk)
    do_all_jobs()
    assert states(placed) == ("processing", ["refunded", "paid"])


@pytest.mark.parametrize("other", OTHERS)
def test_another_amount_of_an_order_that_is_cancelled(
    fake: FakeProvider, placed: Order, payment: Payment, other: dict[str, Any]
) -> None:
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    fake.pay(payment, **other)
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])


@pytest.mark.parametrize("end", FAILURES)
@pytest.mark.parametrize("status", ["pending", "shipped"])
def test_failed(fake: FakeProvider, placed: Order, payment: Payment, end: PaymentStatus, status: str) -> None:
    """The order stays, and another payment can be opened."""
    Order.objects.update(status=status)
    fake.say(payment, status=end)
    settle.call(payment.pk)
    assert states(placed) == (status, [end])
    assert pay_anew(placed).status == "open"
    assert mails() == ["placed"]


@pytest.mark.parametrize("end", FAILURES)
def test_failed_after_it_was_paid(
    fake: FakeProvider, placed: Order, payment: Payment, end: PaymentStatus
) -> None:
    fake.pay(payment)
    settle.call(payment.pk)
    apply(payment.pk, Report(end))
    apply(payment.pk, Report(PaymentStatus.OPEN))
    assert states(placed) == ("processing", ["paid"])


@pytest.mark.parametrize("end", FAILURES)
def test_failed_after_the_order_was_cancelled(
    fake: FakeProvider, placed: Order, payment: Payment, end: PaymentStatus
) -> None:
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    apply(payment.pk, Report(end))
    assert states(placed) == ("cancelled", ["expired"])


def test_cancelled_while_paid(fake: FakeProvider, placed: Order, payment: Payment, computer: Product) -> None:
    fake.pay(payment)
    settle.call(payment.pk)
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    assert states(placed) == ("cancelled", ["refunding"])
    assert "refund" not in fake.calls
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    do_all_jobs()
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])
    assert fake.calls.count("refund") == 1
    assert mails() == ["placed", "paid", "cancelled", "refunded"]
    computer.refresh_from_db()
    assert computer.stock == 2


def test_cancelled_while_disputed(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment, Decimal("1.00"))
    settle.call(payment.pk)
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    assert states(placed) == ("cancelled", ["refunding"])
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])


def test_cancelled_with_an_open_page(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    assert states(placed) == ("cancelled", ["expired"])
    assert "expire" not in fake.calls
    do_all_jobs()
    assert fake.calls.count("expire") == 1
    assert fake.reports[payment.reference].status == "expired"
    assert states(placed) == ("cancelled", ["expired"])


def test_refunded_at_the_provider(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    settle.call(payment.pk)
    fake.say(payment, refunded=payment.amount)
    settle.call(payment.pk)
    settle.call(payment.pk)
    assert states(placed) == ("processing", ["refunded"])
    assert mails() == ["placed", "paid", "refunded", "payment_trouble"]
    assert "refund" not in fake.calls
    assert Payment.objects.get().note == "It was refunded at the provider"


def test_partly_refunded_at_the_provider(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    fake.say(payment, refunded=Decimal("5.00"))
    settle.call(payment.pk)
    settle.call(payment.pk)
    assert states(placed) == ("processing", ["paid"])
    assert mails() == ["placed", "paid", "payment_trouble"]
    assert Payment.objects.get().note == "So much of it was refunded at the provider: 5.00"


def test_charged_back(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    settle.call(payment.pk)
    fake.say(payment, is_charged_back=True)
    settle.call(payment.pk)
    settle.call(payment.pk)
    assert states(placed) == ("processing", ["paid"])
    assert mails() == ["placed", "paid", "payment_trouble"]
    assert Payment.objects.get().note == "The customer's bank took the money back"


def test_no_answer_is_asked_again(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    fake.pay(payment)
    fake.away = {"fetch"}
    do_all_jobs()
    assert states(placed) == ("pending", ["open"])
    assert Job.objects.waiting().filter(queue="money").count() == 1
    fake.away = set()
    do_all_jobs()
    assert states(placed) == ("processing", ["paid"])


# What staff do ----------------------------------------------------------------------------------------------


def test_staff_accept_another_amount(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    with pytest.raises(NotDisputedError):
        accept(payment_id=payment.pk)
    fake.pay(payment, Decimal("1400.00"))
    settle.call(payment.pk)
    accept(payment_id=payment.pk)
    assert states(placed) == ("processing", ["paid"])
    assert history(placed)[1:] == [("processing", "staff")]
    assert mails()[-1] == "paid"
    assert list(wrong_payments()) == []


def test_staff_mark_invoices_as_paid(placed: Order, order: Order) -> None:
    """Of an order that was not placed here, too."""
    placed.delivery.payment_provider = "invoice"
    placed.delivery.save()
    begun = pay_anew(placed)
    assert (begun.provider, begun.status, begun.url) == ("invoice", "open", None)
    assert mark_paid(orders=[placed.pk, order.pk]) == {placed.pk: "pending", order.pk: "completed"}
    assert states(placed) == ("processing", ["paid"])
    assert states(order) == ("completed", ["paid"])
    assert history(placed)[1:] == [("processing", "staff")]
    assert mark_paid(orders=[placed.pk, order.pk]) == {}
    assert mails() == ["placed", "paid", "paid"]
    assert {payment.received for payment in Payment.objects.all()} == {
        Decimal("1446.67"),
        Decimal("471.98"),
    }
    assert list(wrong_payments()) == []


def test_staff_mark_nothing_else_as_paid(placed: Order, payment: Payment, order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(status="cancelled")
    assert mark_paid(orders=[placed.pk, order.pk, 0]) == {}
    assert states(placed) == ("pending", ["open"])
    assert mails() == ["placed"]
