"""Ada, who pays her order at a provider of the test."""

import pytest
from pytest_django import Settings

from shop.models import Order, Payment
from shop.payments.opening import open_payment
from shop.payments.providers import PROVIDERS
from tests.orders.conftest import ada, basket, buyer, placed, staff, unlimited  # noqa: F401 (fixtures)
from tests.support.fake_provider import FakeProvider


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> FakeProvider:
    """What plays Stripe, under which orders are placed."""
    fake = FakeProvider()
    monkeypatch.setitem(PROVIDERS, "stripe", lambda: fake)
    settings.SHOP_PAYMENT = "stripe"
    settings.SHOP_URL = "https://shop.example"
    settings.SHOP_STAFF_EMAIL = ["staff@shop.example"]
    return fake


@pytest.fixture
def payment(fake: FakeProvider, placed: Order) -> Payment:  # noqa: F811
    """The open payment of Ada's order."""
    return pay_anew(placed)


def copies(order: Order, number: int) -> list[Order]:
    """Return so many orders of the same customer, as placed as this one."""
    found = []
    for _ in range(number):
        copy = Order.objects.create(customer=order.customer, total_amount=1)
        copy.history.create(status="pending", by="customer")
        order.delivery.pk = copy.pk
        order.delivery.save(force_insert=True)
        found.append(copy)
    return found


def pay_anew(order: Order) -> Payment:
    """Open a payment of an order."""
    opened = open_payment(customer_id=order.customer_id, order_id=order.pk)
    return Payment.objects.get(pk=opened.payment_id)
