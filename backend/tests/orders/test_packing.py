"""Which orders are to be packed, and which are not paid."""

import pytest

from shop.models import Customer, Order, Payment
from shop.orders.models import Delivery

pytestmark = pytest.mark.django_db

CASES = {
    # status, provider it was placed under (None: no delivery), statuses of its payments: to pack?, unpaid?
    ("pending", None, None): (True, True),
    ("pending", "invoice", None): (True, True),
    ("pending", "invoice", "open"): (True, True),
    ("pending", "invoice", "disputed"): (False, False),
    ("pending", "stripe", None): (False, True),
    ("pending", "stripe", "failed"): (False, True),
    ("processing", "stripe", "paid"): (True, False),
    ("processing", "stripe", "disputed"): (False, False),
    ("processing", "stripe", "refunding"): (False, False),
    ("processing", "stripe", "refund_failed"): (False, False),
    ("processing", "stripe", "refunded"): (False, True),
    ("processing", "stripe", "refunded paid"): (True, False),
    ("processing", "stripe", "refund_failed paid"): (True, False),
    ("processing", "invoice", None): (True, True),
    ("pending", "invoice", "refunding"): (False, False),
    ("pending", "invoice", "refunded"): (False, True),
    ("pending", "invoice", "refunded paid"): (True, False),
    ("shipped", "invoice", None): (False, True),
    ("shipped", "stripe", "paid"): (False, False),
    ("shipped", "stripe", "refunding"): (False, False),
    ("shipped", "stripe", "refund_failed"): (False, False),
    ("completed", "invoice", None): (False, False),
    ("cancelled", "invoice", None): (False, False),
}


def test_what_is_to_be_packed_and_what_is_not_paid(deborah: Customer) -> None:
    expected: dict[str, set[int]] = {"to_pack": set(), "unpaid": set()}
    for (status, provider, payments), (to_pack, unpaid) in CASES.items():
        order = Order.objects.create(customer=deborah, status=status)
        if provider:
            Delivery.objects.create(order=order, payment_provider=provider)
        for payment in (payments or "").split():
            about = {"provider": provider, "status": payment, "amount": 1, "currency": "EUR"}
            Payment.objects.create(order=order, **about)
        if to_pack:
            expected["to_pack"].add(order.pk)
        if unpaid:
            expected["unpaid"].add(order.pk)
    assert set(Order.objects.to_pack().values_list("pk", flat=True)) == expected["to_pack"]
    assert set(Order.objects.unpaid().values_list("pk", flat=True)) == expected["unpaid"]


def test_to_find_what_is_to_be_packed_takes_no_look_at_all_deliveries() -> None:
    assert "SubPlan" not in Order.objects.to_pack()[:1].explain()
