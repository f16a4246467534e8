"""Orders paid at Stripe from end to end: what crosses, what is lost, what is told twice, who is killed.

Whatever happens, there is one payment, one refund of what must not stay, and the books balance.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from shop.models import Cart, CartItem, Job, Mail, Order, OrderHistory, Payment, Product
from shop.orders import workflow
from shop.orders.books import faults
from shop.orders.checkout import place_order
from shop.orders.models import Actor
from shop.payments.expiring import expire_orders
from shop.payments.models import PaymentEvent
from shop.payments.opening import open_payment
from shop.payments.provider import ProviderUnavailableError
from shop.payments.refunding import begin_refund
from shop.payments.settling import accept
from tests.jobs.test_processes import worker
from tests.payments.test_webhook import send
from tests.support.calling import Caller
from tests.support.fake_stripe import KEY, SECRET, FakeStripe, stripe_for
from tests.support.jobs import do_jobs, make_due
from tests.support.races import at_once, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

START, REFUND = "POST /v1/checkout/sessions", "POST /v1/refunds"
CENTS = 144667


@pytest.fixture
def fake(settings: Settings) -> Iterator[FakeStripe]:
    with stripe_for(settings) as fake:
        yield fake


@pytest.fixture(autouse=True)
def staff_is_told(settings: Settings) -> None:
    settings.SHOP_STAFF_EMAIL = ["staff@shop.example.com"]


@pytest.fixture
def order(fake: FakeStripe, placed: Order) -> Order:
    """Ada's, to be paid at Stripe: 1446.67."""
    return placed


@pytest.fixture
def page(order: Order) -> str:
    """The session on whose page it can be paid."""
    return opened(order).reference


def opened(order: Order) -> Payment:
    payment_id = open_payment(customer_id=order.customer_id, order_id=order.pk).payment_id
    return Payment.objects.get(pk=payment_id)


def work() -> None:
    """Do all jobs, those as well that wait to be tried again."""
    for _ in range(10):
        make_due()
        if not do_jobs():
            return


def told(order: Order) -> tuple[str, list[str]]:
    """The status of an order, and those of its payments."""
    order.refresh_from_db()
    payments = Payment.objects.filter(order=order).order_by("pk")
    return order.status, list(payments.values_list("status", flat=True))


def history(order: Order) -> list[tuple[str, str]]:
    steps = OrderHistory.objects.filter(order=order).order_by("pk")
    return list(steps.values_list("status", "by"))


def mails(order: Order) -> list[str]:
    """The kinds of mails that its customer gets."""
    return list(Mail.objects.filter(order=order).order_by("pk").values_list("kind", flat=True))


def staff_mails() -> int:
    return Mail.objects.filter(kind="payment_trouble").count()


def refunds(fake: FakeStripe) -> list[tuple[int, str]]:
    return [(refund["amount"], refund["status"]) for refund in fake.refunds.values()]


@pytest.fixture(autouse=True)
def _books(transactional_db: None) -> Iterator[None]:
    """Whatever a test did, afterwards they balance."""
    yield
    assert faults() == []


def test_from_the_page_to_the_parcel(fake: FakeStripe, order: Order, buyer: Caller) -> None:
    path = f"customer/{order.customer_id}/orders/{order.pk}/"
    answer = buyer.post(f"{path}payment/", {})
    assert (answer.status_code, answer.json()["url"]) == (201, fake.sessions["cs_test_1"]["url"])
    assert buyer.post(f"{path}payment/", {}).json() == answer.json()
    assert send(fake.pay("cs_test_1")).status_code == 200
    work()
    assert told(order) == ("processing", ["paid"])
    assert history(order) == [("pending", "customer"), ("processing", "payment")]
    assert mails(order) == ["placed", "paid"]
    shown = buyer.get(path).json()["payment"]
    assert (shown["status"], shown["amount"], shown["currency"]) == ("paid", "1446.67", "EUR")
    assert buyer.post(f"{path}payment/", {}).json()["code"] == "already_paid"


def test_an_event_that_is_lost_is_not_missed(fake: FakeStripe, order: Order, page: str) -> None:
    fake.pay(page)
    work()
    assert told(order) == ("processing", ["paid"])


def test_events_twice_late_and_in_any_order(fake: FakeStripe, order: Order, page: str) -> None:
    """What Stripe says when it is asked counts, not what it said by itself."""
    late = fake.event("checkout.session.expired", fake.sessions[page])
    paid = fake.pay(page)
    for event in (paid, late, paid, late):
        assert send(event).status_code == 200
        do_jobs()
    assert PaymentEvent.objects.count() == 2
    assert told(order) == ("processing", ["paid"])
    assert mails(order) == ["placed", "paid"]
    assert not fake.refunds


def test_a_page_that_nobody_paid_makes_room_for_another(fake: FakeStripe, order: Order, page: str) -> None:
    send(fake.close(page))
    do_jobs()
    assert told(order) == ("pending", ["expired"])
    other = opened(order)
    assert other.reference != page
    send(fake.pay(other.reference))
    work()
    assert told(order) == ("processing", ["expired", "paid"])


# Asked, and not answered ------------------------------------------------------------------------------------


def test_of_twenty_at_once_one_asks(fake: FakeStripe, order: Order) -> None:
    pay = partial(open_payment, customer_id=order.customer_id, order_id=order.pk)
    found = at_once(*[pay] * 20)
    assert Counter(one.created for one in found) == {True: 1, False: 19}
    assert len({one.payment_id for one in found}) == len(fake.sessions) == 1


def test_the_event_comes_before_the_answer(fake: FakeStripe, order: Order) -> None:
    fake.faults[START] = ["hang"]
    thread = Thread(target=lambda: at_once(partial(opened, order)))
    thread.start()
    wait_until(lambda: bool(fake.sessions))
    assert send(fake.pay("cs_test_1")).status_code == 200
    assert Payment.objects.get().reference == ""
    do_jobs()
    assert told(order) == ("pending", ["open"])
    fake.go_on.set()
    thread.join()
    do_jobs()
    assert told(order) == ("processing", ["paid"])
    assert len(fake.sessions) == 1


@pytest.mark.parametrize("asks_again", [True, False])
def test_the_page_was_made_and_not_told(
    fake: FakeStripe, order: Order, buyer: Caller, asks_again: bool
) -> None:
    """Also who died then: the customer who asks again gets it, and if nobody does, a job asks."""
    fake.faults[START] = ["cut"]
    path = f"customer/{order.customer_id}/orders/{order.pk}/payment/"
    answer = buyer.post(path, {})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    if asks_again:
        assert buyer.post(path, {}).json()["url"] == fake.sessions["cs_test_1"]["url"]
    else:
        work()
    assert [payment.reference for payment in Payment.objects.all()] == list(fake.sessions) == ["cs_test_1"]
    send(fake.pay("cs_test_1"))
    work()
    assert told(order) == ("processing", ["paid"])


def test_a_page_that_stripe_refuses(fake: FakeStripe, order: Order, buyer: Caller) -> None:
    fake.faults[START] = ["refuse"]
    path = f"customer/{order.customer_id}/orders/{order.pk}/payment/"
    answer = buyer.post(path, {})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_refused")
    assert buyer.post(path, {}).status_code == 201
    assert told(order) == ("pending", ["failed", "open"])


def test_a_failure_that_stripe_keeps_makes_room_for_another(
    fake: FakeStripe, order: Order, buyer: Caller
) -> None:
    fake.faults[START] = ["broken"]
    path = f"customer/{order.customer_id}/orders/{order.pk}/payment/"
    assert [buyer.post(path, {}).status_code for _ in range(3)] == [503, 409, 201]
    assert told(order) == ("pending", ["failed", "open"])


@pytest.mark.parametrize("fault", ["cut", "away", "busy"])
def test_a_refund_that_is_not_answered(fake: FakeStripe, order: Order, page: str, fault: str) -> None:
    send(fake.pay(page))
    do_jobs()
    fake.faults[REFUND] = [fault]
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    do_jobs()
    assert told(order) == ("cancelled", ["refunding"])
    work()
    assert told(order) == ("cancelled", ["refunded"])
    assert refunds(fake) == [(CENTS, "succeeded")]
    assert mails(order) == ["placed", "paid", "cancelled", "refunded"]


def test_a_refund_on_its_way_is_waited_for(fake: FakeStripe, order: Order, page: str) -> None:
    send(fake.pay(page))
    do_jobs()
    fake.refunds_are = "pending"
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    work()
    assert told(order) == ("cancelled", ["refunding"])
    fake.settle_refunds()
    work()
    assert told(order) == ("cancelled", ["refunded"])
    assert refunds(fake) == [(CENTS, "succeeded")]


def test_a_refund_that_fails_and_is_tried_again(fake: FakeStripe, order: Order, page: str) -> None:
    send(fake.pay(page))
    do_jobs()
    fake.refunds_are = "pending"
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    do_jobs()
    send(fake.settle_refunds("failed"))
    work()
    assert told(order) == ("cancelled", ["refund_failed"])
    assert staff_mails() == 1
    fake.refunds_are = "succeeded"
    for refund in fake.refunds.values():
        refund["created"] -= 60
    begin_refund(payment_id=Payment.objects.get().pk)
    work()
    assert told(order) == ("cancelled", ["refunded"])
    assert refunds(fake) == [(CENTS, "failed"), (CENTS, "succeeded")]


# What crosses -----------------------------------------------------------------------------------------------


def test_the_next_page_is_paid_and_then_the_one_that_was_over(
    fake: FakeStripe, order: Order, page: str
) -> None:
    send(fake.close(page))
    do_jobs()
    for reference in (opened(order).reference, page):
        send(fake.pay(reference))
        work()
    assert told(order) == ("processing", ["refunded", "paid"])
    assert refunds(fake) == [(CENTS, "succeeded")]
    assert mails(order).count("paid") == 1


def test_a_page_that_was_over_is_paid_while_the_next_one_is_open(
    fake: FakeStripe, order: Order, page: str
) -> None:
    """Then nobody can pay on that any more."""
    send(fake.close(page))
    do_jobs()
    following = opened(order).reference
    send(fake.pay(page))
    work()
    assert told(order) == ("processing", ["paid", "expired"])
    assert fake.sessions[following]["status"] == "expired"
    assert not fake.refunds


def test_two_payments_at_once(fake: FakeStripe, order: Order, page: str) -> None:
    send(fake.close(page))
    do_jobs()
    pages = [page, opened(order).reference]
    events = [fake.pay(reference) for reference in pages]
    assert {answer.status_code for answer in at_once(*(partial(send, event) for event in events))} == {200}
    at_once(*[do_jobs] * 4)
    work()
    status, payments = told(order)
    assert (status, sorted(payments)) == ("processing", ["paid", "refunded"])
    assert refunds(fake) == [(CENTS, "succeeded")]
    assert mails(order).count("paid") == 1


@pytest.fixture
def orders(fake: FakeStripe, basket: Cart, gloves: Product) -> list[Order]:
    """Six orders of Ada's of a pair of gloves each."""
    Product.objects.update(stock=1000)
    basket.items.all().delete()
    placed = []
    for _ in range(6):
        CartItem.objects.create(cart=basket, product=gloves, quantity=1)
        placed.append(place_order(customer_id=basket.customer_id, expected_total=None, by=Actor.CUSTOMER))
    return [Order.objects.get(pk=one.order_id) for one in placed]


@pytest.mark.parametrize("is_heard_of", [False, True])
def test_paid_against_cancelled(
    fake: FakeStripe, orders: list[Order], gloves: Product, is_heard_of: bool
) -> None:
    """Whoever is first: the order is cancelled, its stock is back, and the money goes back once."""
    events = [fake.pay(opened(one).reference) for one in orders]
    cancel = [partial(workflow.cancel, order_id=one.pk, by=Actor.CUSTOMER) for one in orders]
    hear = [partial(send, event) for event in events]
    if is_heard_of:
        at_once(*hear)
        results = at_once(*cancel, *[do_jobs] * 3)
    else:
        results = at_once(*cancel, *hear, *[do_jobs] * 3)
    assert not [result for result in results if isinstance(result, Exception)]
    work()
    assert [told(one) for one in orders] == [("cancelled", ["refunded"])] * 6
    assert refunds(fake) == [(23599, "succeeded")] * 6
    gloves.refresh_from_db()
    assert gloves.stock == 1000


def test_cancelled_with_an_open_page(fake: FakeStripe, order: Order, page: str) -> None:
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    assert told(order) == ("cancelled", ["expired"])
    work()
    assert fake.sessions[page]["status"] == "expired"
    assert not fake.refunds


def test_cancelled_with_an_open_page_and_paid_nevertheless(fake: FakeStripe, order: Order, page: str) -> None:
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    fake.pay(page)
    work()
    assert told(order) == ("cancelled", ["refunded"])
    assert refunds(fake) == [(CENTS, "succeeded")]


def test_cancelled_before_the_page_was_told_of(fake: FakeStripe, order: Order) -> None:
    """Its page is found by its key, and closed."""
    fake.faults[START] = ["cut"]
    with pytest.raises(ProviderUnavailableError):
        opened(order)
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    work()
    assert told(order) == ("cancelled", ["expired"])
    assert [session["status"] for session in fake.sessions.values()] == ["expired"]


def let_time_pass() -> None:
    """Let all orders be older than they may be without being paid."""
    OrderHistory.objects.update(at=timezone.now() - timedelta(hours=23, minutes=1))
    Order.objects.update(order_date=(timezone.now() - timedelta(hours=24)).date())


def test_an_order_that_nobody_pays_expires(
    fake: FakeStripe, order: Order, page: str, computer: Product
) -> None:
    let_time_pass()
    expire_orders.call()
    assert told(order) == ("cancelled", ["expired"])
    assert history(order)[-1] == ("cancelled", "system")
    computer.refresh_from_db()
    assert computer.stock == 2


@pytest.mark.parametrize("fault", ["cut", "away", "busy"])
def test_an_order_does_not_expire_without_an_answer(
    fake: FakeStripe, order: Order, page: str, fault: str
) -> None:
    let_time_pass()
    fake.faults[f"POST /v1/checkout/sessions/{page}/expire"] = [fault]
    expire_orders.call()
    assert told(order) == ("pending", ["open"])
    expire_orders.call()
    assert told(order) == ("cancelled", ["expired"])


@pytest.mark.parametrize(
    ("ends", "expected"),
    [("pay", ("processing", ["paid"])), ("close", ("cancelled", ["expired"]))],
)
def test_a_page_that_stripe_failed_to_close_is_waited_for(
    fake: FakeStripe, order: Order, page: str, ends: str, expected: Any
) -> None:
    """Asked under the same key it would only fail again."""
    let_time_pass()
    fake.faults[f"POST /v1/checkout/sessions/{page}/expire"] = ["broken"]
    for _ in range(2):
        expire_orders.call()
        assert told(order) == ("pending", ["open"])
    getattr(fake, ends)(page)
    expire_orders.call()
    assert told(order) == expected


def test_an_order_whose_page_was_never_told_of_expires(fake: FakeStripe, order: Order) -> None:
    fake.faults[START] = ["cut"]
    with pytest.raises(ProviderUnavailableError):
        opened(order)
    let_time_pass()
    expire_orders.call()
    assert told(order) == ("cancelled", ["expired"])
    assert [session["status"] for session in fake.sessions.values()] == ["expired"]


def test_paid_against_expiry(fake: FakeStripe, orders: list[Order], gloves: Product) -> None:
    """Who pays in time has an order; who pays as the page closes gets the money back."""
    pages = [opened(one).reference for one in orders]
    let_time_pass()
    at_once(
        expire_orders.call,
        expire_orders.call,
        *(partial(lambda page: send(fake.pay(page)), page) for page in pages),
        *[do_jobs] * 3,
    )
    work()
    outcomes = Counter(str(told(one)) for one in orders)
    kept, gone = "('processing', ['paid'])", "('cancelled', ['refunded'])"
    assert outcomes.keys() <= {kept, gone}
    assert refunds(fake) == [(23599, "succeeded")] * outcomes[gone]
    gloves.refresh_from_db()
    assert gloves.stock == 1000 - outcomes[kept]


@pytest.mark.parametrize(("amount", "currency"), [(CENTS - 1, ""), (CENTS + 1, ""), (CENTS, "usd")])
@pytest.mark.parametrize("takes_it", [True, False])
def test_another_amount_waits_for_the_staff(
    fake: FakeStripe, order: Order, page: str, amount: int, currency: str, takes_it: bool
) -> None:
    send(fake.pay(page, amount=amount, currency=currency))
    work()
    assert told(order) == ("pending", ["disputed"])
    assert staff_mails() == 1
    payment = Payment.objects.get()
    if takes_it:
        accept(payment_id=payment.pk)
        assert told(order) == ("processing", ["paid"])
        return
    begin_refund(payment_id=payment.pk)
    work()
    assert told(order) == ("pending", ["refunded"])
    assert refunds(fake) == [(amount, "succeeded")]


def test_a_refund_by_stripes_dashboard(fake: FakeStripe, order: Order, page: str) -> None:
    send(fake.pay(page))
    work()
    event = fake.give_back(page, CENTS)
    for _ in range(2):
        send(event)
        work()
    assert told(order) == ("processing", ["refunded"])
    assert staff_mails() == 1


def test_a_part_that_is_refunded_there(fake: FakeStripe, order: Order, page: str) -> None:
    """When the order is cancelled, the rest goes back."""
    send(fake.pay(page))
    work()
    send(fake.give_back(page, 44667))
    work()
    assert told(order) == ("processing", ["paid"])
    assert staff_mails() == 1
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    work()
    assert told(order) == ("cancelled", ["refunded"])
    assert refunds(fake) == [(44667, "succeeded"), (100_000, "succeeded")]


def test_a_chargeback(fake: FakeStripe, order: Order, page: str) -> None:
    """There is nothing left to refund then, which Stripe says too."""
    send(fake.pay(page))
    work()
    event = fake.charge_back(page)
    for _ in range(2):
        send(event)
        work()
    assert told(order) == ("processing", ["paid"])
    assert staff_mails() == 1
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    work()
    assert told(order) == ("cancelled", ["refund_failed"])
    assert not fake.refunds


# Killed -----------------------------------------------------------------------------------------------------


def killed(log: Path, fake: FakeStripe, when: Callable[[], bool]) -> None:
    """Kill a worker as soon as this is so."""
    variables = {
        "SHOP_PAYMENT": "stripe",
        "SHOP_URL": "https://shop.example.com",
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": fake.url,
    }
    with worker(log, **variables) as process:
        wait_until(when)
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_worker_killed_between_asking_and_knowing(
    fake: FakeStripe, order: Order, page: str, tmp_path: Path
) -> None:
    """The refund is made, and nobody here knows: the next one asks before it makes another."""
    send(fake.pay(page))
    do_jobs()
    workflow.cancel(order_id=order.pk, by=Actor.CUSTOMER)
    fake.faults[REFUND] = ["hang"]
    killed(tmp_path / "log", fake, lambda: bool(fake.refunds))
    fake.go_on.set()
    assert told(order) == ("cancelled", ["refunding"])
    assert Job.objects.get(task="shop.payments.refunding.refund").attempts == 1
    work()
    assert told(order) == ("cancelled", ["refunded"])
    assert refunds(fake) == [(CENTS, "succeeded")]
    assert mails(order).count("refunded") == 1
    assert KEY not in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_a_worker_killed_as_it_hears_that_an_order_is_paid(
    fake: FakeStripe, order: Order, page: str, tmp_path: Path
) -> None:
    send(fake.pay(page))
    fake.faults[f"GET /v1/checkout/sessions/{page}"] = ["hang"]
    killed(tmp_path / "log", fake, lambda: f"GET /v1/checkout/sessions/{page}" in fake.calls)
    fake.go_on.set()
    assert told(order) == ("pending", ["open"])
    work()
    assert told(order) == ("processing", ["paid"])
    assert mails(order) == ["placed", "paid"]
