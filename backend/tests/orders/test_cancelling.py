"""POST /shop/api/customer/<customer_id>/orders/<order_id>/cancel/"""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from shop.models import CartItem, Customer, Order
from tests.support.calling import Caller, bearer, told
from tests.support.rows import stocks

pytestmark = pytest.mark.django_db

NOT_FOUND = (404, {"error": "Order not found"})


def path_of(order: Order) -> str:
    return f"customer/{order.customer_id}/orders/{order.pk}/cancel/"


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_an_order_is_cancelled_once(buyer: Caller, placed: Order, status: str) -> None:
    Order.objects.update(status=status)
    assert stocks() == [0, 55]
    answer = buyer.post(path_of(placed))
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert [(step["status"], step["by"]) for step in answer.json()["history"]] == [
        ("pending", "customer"),
        ("cancelled", "customer"),
    ]
    assert stocks() == [2, 58]
    assert told(buyer.post(path_of(placed), {})) == told(answer)
    assert stocks() == [2, 58]
    assert told(buyer.get(path_of(placed).removesuffix("cancel/"))) == told(answer)


@pytest.mark.parametrize("status", ["shipped", "completed"])
def test_an_order_that_was_sent_is_not(buyer: Caller, placed: Order, status: str) -> None:
    Order.objects.update(status=status)
    assert told(buyer.post(path_of(placed))) == (
        409,
        {"error": f"An order that is {status} cannot be cancelled", "code": "not_cancellable"},
    )
    assert stocks() == [0, 55]
    assert placed.history.count() == 1


def test_the_cart_stays_empty(buyer: Caller, placed: Order) -> None:
    buyer.post(path_of(placed))
    assert not CartItem.objects.exists()


def test_it_takes_no_body(buyer: Caller, placed: Order) -> None:
    assert buyer.post(path_of(placed), {"reason": "late"}).status_code == 400
    assert Order.objects.get().status == "pending"


def test_only_its_customer_cancels(
    client: Client, buyer: Caller, placed: Order, order: Order, jonas: Customer, admin_user: User
) -> None:
    for caller in (Caller(client, bearer(jonas)), Caller(client, bearer(admin_user))):
        assert told(caller.post(path_of(placed))) == NOT_FOUND
    for wrong in (order.pk, 0, 10**30):
        assert told(buyer.post(f"customer/{placed.customer_id}/orders/{wrong}/cancel/")) == NOT_FOUND
    assert told(buyer.post(path_of(order))) == NOT_FOUND
    client.force_login(admin_user)
    assert Caller(client, {}).post(path_of(placed)).status_code == 401
    assert set(Order.objects.values_list("status", flat=True)) == {"pending", "completed"}
