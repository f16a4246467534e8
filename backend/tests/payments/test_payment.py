"""GET and POST /shop/api/customer/<customer_id>/orders/<order_id>/payment/"""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import Cart, Customer, Job, Order, OrderHistory, Payment
from shop.orders.checkout import place_order
from shop.orders.lines import LinesFixedError, check_lines_free
from shop.orders.models import Actor
from shop.payments.events import store
from shop.payments.settling import mark_paid
from tests.payments.test_settling import do_all_jobs, states
from tests.support.calling import Caller, bearer, told
from tests.support.fake_provider import FakeProvider

pytestmark = pytest.mark.django_db

NOT_FOUND = (404, {"error": "Order not found"})
NO_PAYMENT = (404, {"error": "Payment not found"})


def path_of(order: Order) -> str:
    return f"customer/{order.customer_id}/orders/{order.pk}/payment/"


def shown(payment: Payment) -> dict[str, Any]:
    return {
        "payment_id": payment.pk,
        "provider": payment.provider,
        "status": payment.status,
        "amount": "1446.67",
        "currency": "EUR",
        "url": payment.url,
        "created_at": f"{payment.created_at:%Y-%m-%dT%H:%M:%SZ}",
    }


def test_a_payment_is_opened_once(fake: FakeProvider, buyer: Caller, placed: Order) -> None:
    answer = buyer.post(path_of(placed), {})
    payment = Payment.objects.get()
    assert told(answer) == (201, shown(payment))
    assert payment.url == f"https://bank.example/page-{payment.key}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert told(buyer.post(path_of(placed), {"return_url": "https://shop.example/"})) == (200, shown(payment))
    assert told(buyer.get(path_of(placed))) == (200, shown(payment))
    assert fake.calls == ["start"]
    order = buyer.get(path_of(placed).removesuffix("payment/")).json()
    assert order["payment"] == {
        "payment_id": payment.pk,
        "provider": "stripe",
        "status": "open",
        "amount": "1446.67",
        "currency": "EUR",
    }
    exported = buyer.get(f"customer/{placed.customer_id}/export/").json()["orders"]
    assert [one["payment"] for one in exported] == [order["payment"]]


def test_without_a_payment_there_is_none(buyer: Caller, placed: Order) -> None:
    assert told(buyer.get(path_of(placed))) == NO_PAYMENT
    assert buyer.get(path_of(placed).removesuffix("payment/")).json()["payment"] is None


def test_it_shows_the_paid_one_else_the_last(fake: FakeProvider, buyer: Caller, placed: Order) -> None:
    first = buyer.post(path_of(placed), {}).json()["payment_id"]
    Payment.objects.update(status="failed")
    second = buyer.post(path_of(placed), {}).json()["payment_id"]
    assert buyer.get(path_of(placed)).json()["payment_id"] == second > first
    Payment.objects.filter(pk=second).update(status="expired")
    Payment.objects.filter(pk=first).update(status="paid")
    assert buyer.get(path_of(placed)).json()["payment_id"] == first


def test_only_its_customer_pays(
    client: Client, buyer: Caller, placed: Order, order: Order, jonas: Customer, admin_user: User
) -> None:
    for caller in (Caller(client, bearer(jonas)), Caller(client, bearer(admin_user))):
        assert told(caller.post(path_of(placed), {})) == NOT_FOUND
    for wrong in (order.pk, 0, 10**30):
        path = f"customer/{placed.customer_id}/orders/{wrong}/payment/"
        assert told(buyer.post(path, {})) == NOT_FOUND
        assert told(buyer.get(path)) == NO_PAYMENT
    buyer.post(path_of(placed), {})
    assert told(Caller(client, bearer(jonas)).get(path_of(placed))) == NO_PAYMENT
    assert Caller(client, bearer(admin_user)).get(path_of(placed)).status_code == 200
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(("status", "code"), [("paid", "already_paid"), ("disputed", "payment_disputed")])
def test_what_is_paid_is_not_paid_again(
    buyer: Caller, placed: Order, payment: Payment, status: str, code: str
) -> None:
    Payment.objects.update(status=status)
    answer = buyer.post(path_of(placed), {})
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("status", ["cancelled", "completed"])
def test_what_is_closed_is_not_paid(fake: FakeProvider, buyer: Caller, placed: Order, status: str) -> None:
    Order.objects.update(status=status)
    answer = buyer.post(path_of(placed), {})
    error = {"error": "The order cannot be paid any more", "code": "order_closed"}
    assert told(answer) == (409, error)
    assert fake.calls == []


def test_after_the_deadline_nothing_is_paid(buyer: Caller, placed: Order, payment: Payment) -> None:
    OrderHistory.objects.update(at=timezone.now() - timedelta(hours=23))
    assert buyer.post(path_of(placed), {}).json()["code"] == "order_closed"


@pytest.mark.parametrize("status", ["processing", "shipped"])
def test_what_staff_moved_on_can_be_paid(buyer: Caller, placed: Order, status: str) -> None:
    Order.objects.update(status=status)
    assert buyer.post(path_of(placed), {}).status_code == 201


@pytest.mark.parametrize("status", ["failed", "expired", "refunding", "refunded", "refund_failed"])
def test_after_a_payment_that_came_to_nothing_there_is_another(
    buyer: Caller, placed: Order, payment: Payment, status: str
) -> None:
    Payment.objects.update(status=status)
    answer = buyer.post(path_of(placed), {})
    assert (answer.status_code, answer.json()["payment_id"]) == (201, Payment.objects.latest("pk").pk)
    assert answer.json()["payment_id"] != payment.pk


def test_a_provider_that_refuses(fake: FakeProvider, buyer: Caller, placed: Order) -> None:
    fake.refusing = {"start"}
    error = {"error": "The payment was refused by its provider", "code": "payment_refused"}
    assert told(buyer.post(path_of(placed), {})) == (409, error)
    assert states(placed) == ("pending", ["failed"])
    fake.refusing = set()
    assert buyer.post(path_of(placed), {}).status_code == 201


@pytest.mark.parametrize("way", ["away", "silent"])
def test_a_provider_that_does_not_answer(fake: FakeProvider, buyer: Caller, placed: Order, way: str) -> None:
    """To ask again goes on with what was begun: one payment, one page."""
    setattr(fake, way, {"start"})
    for _ in range(2):
        answer = buyer.post(path_of(placed), {})
        assert told(answer) == (503, {"error": "The provider of payments does not answer"})
        assert answer.headers["Retry-After"] == "5"
    assert buyer.get(path_of(placed)).json()["url"] is None
    setattr(fake, way, set())
    answer = buyer.post(path_of(placed), {})
    payment = Payment.objects.get()
    assert told(answer) == (200, shown(payment))
    assert set(fake.pages) == {str(payment.key)}
    assert payment.note == ""


@pytest.mark.parametrize("way", ["away", "silent"])
def test_a_page_that_nobody_asks_for_again_is_made_by_a_job(
    fake: FakeProvider, buyer: Caller, placed: Order, way: str
) -> None:
    setattr(fake, way, {"start"})
    buyer.post(path_of(placed), {})
    setattr(fake, way, set())
    do_all_jobs()
    assert set(fake.pages) == {str(Payment.objects.get().key)}
    assert buyer.get(path_of(placed)).json()["url"].startswith("https://bank.example/page-")


def test_a_process_that_died_while_it_asked(fake: FakeProvider, buyer: Caller, placed: Order) -> None:
    """Its row is there, without a page; after a while somebody else asks."""
    buyer.post(path_of(placed), {})
    Payment.objects.update(reference="", url=None, changed_at=timezone.now() - timedelta(seconds=13))
    answer = buyer.post(path_of(placed), {})
    assert (answer.status_code, len(fake.pages)) == (200, 1)
    assert answer.json()["url"].startswith("https://bank.example/page-")


RETURN_URLS = [
    *("https://shop.example", "https://shop.example/", "https://shop.example?a=b", "https://shop.example#x"),
    *("https://shop.example/a/b?c=d@e#f", "http://localhost:3000/danke/ä", " https://shop.example/ "),
    "https://shop.example/" + "x" * 1979,
]
OTHER_URLS = [
    *(
        "https://elsewhere.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
    ),
    *("https://shop.example:444/", "http://shop.example/", "//shop.example/", "/danke/", "shop.example"),
    *("https://shop.example\\@evil.example/", "https://shop.example/\\evil", "https://user@shop.example/"),
    *("javascript:alert(1)", "https://shop.example/a b", "https:/shop.example/", "https://SHOP.example/"),
    *(
        "https://shop.example/\nx",
        "https://shop.example/" + "x" * 1980,
        "http://localhost:3000.evil/",
        "",
        1,
        None,
    ),
]


@pytest.mark.parametrize("url", RETURN_URLS)
def test_where_a_page_may_lead(buyer: Caller, placed: Order, settings: Settings, url: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["http://localhost:3000"]
    assert buyer.post(path_of(placed), {"return_url": url}).status_code == 201
    assert Payment.objects.get().return_url == url.strip()


def test_where_it_may_not(buyer: Caller, placed: Order, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["http://localhost:3000"]
    for url in OTHER_URLS:
        answer = buyer.post(path_of(placed), {"return_url": url})
        assert (answer.status_code, set(answer.json().get("fields", ()))) == (400, {"return_url"}), url
        assert not Payment.objects.exists(), url


def test_invoices(fake: FakeProvider, buyer: Caller, placed: Order) -> None:
    placed.delivery.payment_provider = "invoice"
    placed.delivery.save()
    answer = buyer.post(path_of(placed), {})
    payment = Payment.objects.get()
    assert told(answer) == (201, shown(payment) | {"provider": "invoice", "url": None})
    assert told(buyer.post(path_of(placed), {})) == (200, answer.json())
    assert mark_paid(orders=[placed.pk]) == {placed.pk: "pending"}
    assert buyer.get(path_of(placed)).json()["status"] == "paid"
    assert buyer.post(path_of(placed), {}).json()["code"] == "already_paid"
    assert fake.calls == []


def test_nothing_to_pay_is_paid(fake: FakeProvider, buyer: Caller, placed: Order) -> None:
    Order.objects.update(total_amount=0)
    answer = buyer.post(path_of(placed), {})
    assert (answer.status_code, answer.json()["status"], answer.json()["url"]) == (201, "paid", None)
    assert states(placed) == ("processing", ["paid"])
    assert buyer.post(path_of(placed), {}).json()["code"] == "already_paid"
    assert fake.calls == []


@pytest.mark.parametrize(
    ("by", "setting", "provider"),
    [("customer", "test", "test"), ("customer", "invoice", "invoice"), ("staff", "stripe", "invoice")],
)
def test_an_order_keeps_the_provider_it_was_placed_under(
    basket: Cart, settings: Settings, by: str, setting: str, provider: str
) -> None:
    settings.SHOP_PAYMENT = setting
    placed = place_order(customer_id=basket.customer_id, expected_total=None, by=Actor(by))
    settings.SHOP_PAYMENT = "stripe"
    order = Order.objects.get(pk=placed.order_id)
    assert order.delivery.payment_provider == provider


def test_the_number_of_statements(
    buyer: Caller, placed: Order, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(18):
        buyer.post(path_of(placed), {})
    with django_assert_num_queries(2):
        buyer.get(path_of(placed))


# What a payment forbids -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "is_held"),
    [
        *((status, True) for status in ("open", "paid", "refunding", "disputed")),
        *((status, False) for status in ("refunded", "refund_failed", "failed", "expired")),
    ],
)
def test_lines_are_fixed_while_a_payment_holds_them(payment: Payment, status: str, is_held: bool) -> None:
    Payment.objects.update(status=status)
    if is_held:
        with pytest.raises(LinesFixedError):
            check_lines_free([payment.order_id])
    else:
        check_lines_free([payment.order_id])


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        *((status, True) for status in ("open", "refunding", "refund_failed", "disputed")),
        *((status, False) for status in ("paid", "refunded", "failed", "expired")),
    ],
)
def test_who_has_money_on_its_way_is_not_erased(
    client: Client, deborah: Customer, order: Order, status: str, refused: bool
) -> None:
    order.payments.create(provider="invoice", status=status, amount=order.total_amount, currency="EUR")
    body = {"current_password": "correct horse battery"}
    answer = Caller(client, bearer(deborah)).ask("DELETE", f"customer/{deborah.pk}/", body)
    if refused:
        assert (answer.status_code, answer.json()["code"]) == (409, "open_orders")
    else:
        assert answer.status_code == 204


def test_a_webhook_before_the_answer_is_looked_at(fake: FakeProvider, buyer: Caller, placed: Order) -> None:
    """The provider tells of a page whose name the shop has not yet."""
    fake.silent = {"start"}
    buyer.post(path_of(placed), {})
    payment = Payment.objects.get()
    reference = fake.pages[str(payment.key)].reference
    assert store("stripe", "evt_1", "paid", reference)
    assert not store("stripe", "evt_1", "paid", reference)
    assert store("stripe", "evt_2", "paid", "of somebody else")
    fake.silent = set()
    Job.objects.all().delete()
    buyer.post(path_of(placed), {})
    fake.pay(Payment.objects.get())
    do_all_jobs()
    assert states(placed) == ("processing", ["paid"])


def test_an_event_asks_the_provider(fake: FakeProvider, placed: Order, payment: Payment) -> None:
    Job.objects.all().delete()
    fake.pay(payment)
    for _ in range(2):
        store("stripe", "evt_1", "expired, it says", payment.reference)
    assert Job.objects.count() == 1
    do_all_jobs()
    assert states(placed) == ("processing", ["paid"])
