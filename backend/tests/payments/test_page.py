"""/shop/pay/<token>/, where SHOP_PAYMENT=test has customers pay."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from shop.models import Job, Order, Payment, PaymentEvent, PaymentStatus
from shop.orders.models import Actor
from shop.orders.workflow import cancel
from shop.payments.bank import Bank
from shop.payments.expiring import expire_orders
from tests.payments.conftest import pay_anew
from tests.payments.test_expiring import age
from tests.payments.test_settling import do_all_jobs, mails, states
from tests.support.calling import Caller

pytestmark = pytest.mark.django_db

BACK = "https://spa.example/thanks?order=1"


@pytest.fixture(autouse=True)
def _test_bank(settings: Settings) -> None:
    settings.SHOP_PAYMENT = "test"
    settings.CORS_ALLOWED_ORIGINS = ["https://spa.example"]


@pytest.fixture
def page(placed: Order) -> str:
    """The path of the page on which Ada's order is paid."""
    payment = pay_anew(placed)
    assert payment.url == f"https://shop.example/shop/pay/{payment.token}/"
    return f"/shop/pay/{payment.token}/"


@pytest.fixture
def visitor() -> Client:
    """A browser without a cookie, as strict about forms as one."""
    return Client(enforce_csrf_checks=True)


def post(visitor: Client, page: str, outcome: str = "paid") -> Any:
    return visitor.post(page, {"outcome": outcome})


def test_it_shows_what_is_to_be_paid(visitor: Client, page: str) -> None:
    answer = visitor.get(page)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "1446.67 EUR" in text
    assert re.findall('name="outcome" value="(.+?)"', text) == ["paid", "failed"]
    assert "<script" not in text
    assert "style=" not in text
    assert "no-store" in answer.headers["Cache-Control"]
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert not answer.cookies
    assert visitor.head(page).status_code == 200


def test_without_shop_url_the_page_is_on_the_host_that_is_asked(placed: Order, settings: Settings) -> None:
    settings.SHOP_URL = ""
    payment = pay_anew(placed)
    assert payment.url == f"/shop/pay/{payment.token}/"
    assert re.fullmatch("[A-Za-z0-9_-]{43}", payment.token)


def test_paid(visitor: Client, page: str, placed: Order) -> None:
    answer = post(visitor, page)
    assert answer.status_code == 200
    assert b"it is paid" in answer.content
    assert states(placed) == ("processing", ["paid"])
    assert mails() == ["placed", "paid"]
    for outcome in ("failed", "paid"):
        assert b"it is paid" in post(visitor, page, outcome).content
    do_all_jobs()
    assert states(placed) == ("processing", ["paid"])
    assert mails() == ["placed", "paid"]
    assert PaymentEvent.objects.count() == 1
    assert b"it is paid" in visitor.get(page).content


def test_failed(visitor: Client, page: str, placed: Order) -> None:
    answer = post(visitor, page, "failed")
    assert answer.status_code == 200
    assert b"failed" in answer.content
    assert states(placed) == ("pending", ["failed"])
    assert b"failed" in post(visitor, page).content
    assert states(placed) == ("pending", ["failed"])
    again = pay_anew(placed)
    post(visitor, f"/shop/pay/{again.token}/")
    assert states(placed) == ("processing", ["failed", "paid"])


@pytest.mark.parametrize("outcome", ["paid", "failed"])
def test_it_leads_back(visitor: Client, buyer: Caller, placed: Order, outcome: str) -> None:
    path = f"customer/{placed.customer_id}/orders/{placed.pk}/payment/"
    url = buyer.post(path, {"return_url": BACK}).json()["url"]
    page = url.removeprefix("https://shop.example")
    policy = visitor.get(page).headers["Content-Security-Policy"]
    assert "form-action 'self' https://spa.example" in policy
    for _ in range(2):
        answer = post(visitor, page, outcome)
        assert (answer.status_code, answer.headers["Location"]) == (302, BACK)
    assert b'href="https://spa.example/thanks?order=1"' in visitor.get(page).content
    assert buyer.get(path).json()["status"] == outcome


@pytest.mark.parametrize("outcome", ["", "expired", "refunded", "PAID", "paid\0"])
def test_there_are_two_outcomes(visitor: Client, page: str, placed: Order, outcome: str) -> None:
    assert post(visitor, page, outcome).status_code == 400
    assert visitor.post(page).status_code == 400
    assert visitor.post(page, {"outcome": ["paid", outcome]}).status_code == 400
    assert states(placed) == ("pending", ["open"])


def test_it_is_nowhere_else(visitor: Client, page: str, placed: Order, settings: Settings) -> None:
    for other in ("/shop/pay/x/", "/shop/pay//", "/shop/pay/", f"{page}x/", "/shop/pay/%00/", "/shop/pay/ä/"):
        assert visitor.get(other).status_code in (400, 404)
        assert post(visitor, other).status_code in (400, 404)
    for method in ("put", "delete", "patch"):
        assert getattr(visitor, method)(page).status_code == 405
    assert states(placed) == ("pending", ["open"])


def test_after_cancelling_it_is_gone(visitor: Client, page: str, placed: Order) -> None:
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    for _ in range(2):
        assert visitor.get(page).status_code == 410
        assert post(visitor, page).status_code == 410
        do_all_jobs()
    assert states(placed) == ("cancelled", ["expired"])


def test_after_its_time_it_is_gone(visitor: Client, page: str, placed: Order) -> None:
    Payment.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert visitor.get(page).status_code == 410
    assert post(visitor, page).status_code == 410
    assert states(placed) == ("pending", ["expired"])


def test_an_order_that_nobody_pays_expires(visitor: Client, page: str, placed: Order) -> None:
    age(placed, hours=23)
    expire_orders.call()
    assert states(placed) == ("cancelled", ["expired"])
    assert post(visitor, page).status_code == 410


def test_one_that_is_paid_in_time_does_not(page: str, placed: Order) -> None:
    """Though the shop did not hear of it."""
    Bank().decide(Payment.objects.get(), PaymentStatus.PAID)
    Job.objects.all().delete()
    age(placed, hours=23)
    expire_orders.call()
    assert states(placed) == ("processing", ["paid"])


def test_what_was_paid_goes_back_when_the_order_is_cancelled(
    visitor: Client, page: str, placed: Order
) -> None:
    post(visitor, page)
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    do_all_jobs()
    assert states(placed) == ("cancelled", ["refunded"])
    do_all_jobs()
    assert PaymentEvent.objects.count() == 2
    assert mails() == ["placed", "paid", "cancelled", "refunded"]
    assert b"The payment is refunded." in visitor.get(page).content


@pytest.mark.parametrize("act", ["decide", "fetch"])
def test_an_order_that_is_deleted_at_that_moment_is_not_found(
    visitor: Client, page: str, placed: Order, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    done = getattr(Bank, act)

    def and_delete(*arguments: Any) -> Any:
        result = done(*arguments)
        placed.delete()
        return result

    monkeypatch.setattr(Bank, act, and_delete)
    assert post(visitor, page).status_code == 404
