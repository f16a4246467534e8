"""How orders move from status to status."""

import pytest
from pytest_django import DjangoAssertNumQueries

from shop.models import Customer, Order, OrderStatus
from shop.orders.models import Actor
from shop.orders.workflow import TRANSITIONS, move

pytestmark = pytest.mark.django_db

SOURCES = {
    "pending": [],
    "processing": ["pending"],
    "shipped": ["pending", "processing"],
    "completed": ["pending", "processing", "shipped"],
    "cancelled": ["pending", "processing", "shipped"],
}


def test_every_status_has_its_transitions() -> None:
    assert list(TRANSITIONS) == list(OrderStatus)


@pytest.mark.parametrize("to", OrderStatus)
def test_orders_move_forward_only(to: OrderStatus, deborah: Customer) -> None:
    orders = {old: Order.objects.create(customer=deborah, status=old).pk for old in OrderStatus.values}
    assert move(orders=orders.values(), to=to, by=Actor.STAFF) == {orders[old]: old for old in SOURCES[to]}
    for old, key in orders.items():
        assert Order.objects.get(pk=key).status == (to if old in SOURCES[to] else old)


def test_orders_that_do_not_exist_do_not_move(order: Order) -> None:
    pending = Order.objects.create(customer=order.customer)
    other = Order.objects.create(customer=order.customer)
    assert move(orders=[], to=OrderStatus.SHIPPED, by=Actor.STAFF) == {}
    assert move(orders=[pending.pk, 2**31 - 1], to=OrderStatus.SHIPPED, by=Actor.STAFF) == {
        pending.pk: "pending"
    }
    other.refresh_from_db()
    assert other.status == "pending"


def test_any_number_moves_in_the_same_statements(
    deborah: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    orders = Order.objects.bulk_create(Order(customer=deborah) for _ in range(1000))
    keys = [order.pk for order in orders]
    with django_assert_num_queries(10):  # with the transaction's own two
        assert len(move(orders=keys, to=OrderStatus.CANCELLED, by=Actor.STAFF)) == 1000
