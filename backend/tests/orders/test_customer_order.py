"""GET /shop/api/customer/<customer_id>/orders/<order_id>/: an order with all that belongs to it."""

import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop.models import Cart, Customer, Delivery, Order, OrderHistory
from shop.orders import workflow
from shop.orders.models import Actor, OrderStatus
from tests.support.calling import Caller, bearer, told

pytestmark = pytest.mark.django_db

NOT_FOUND = (404, {"error": "Order not found"})


def path_of(order: Order) -> str:
    return f"customer/{order.customer_id}/orders/{order.pk}/"


def test_an_order_of_the_sample_data_begins_with_its_first_change(
    client: Client, order: Order, deborah: Customer
) -> None:
    Order.objects.update(status="shipped")
    owner = Caller(client, bearer(deborah))
    assert told(owner.get(path_of(order))) == (
        200,
        {
            "order_id": order.pk,
            "order_date": "2025-11-26",
            "status": "shipped",
            "total_amount": "471.98",
            "items": [
                {
                    "product_id": order.items.get().product_id,
                    "product_name": "Elegant Marble Gloves",
                    "quantity": 2,
                    "price_per_unit": "235.99",
                    "subtotal": "471.98",
                }
            ],
            "delivery": None,
            "payment": None,
            "history": [],
        },
    )
    workflow.set_status(order_id=order.pk, to=OrderStatus.COMPLETED, carrier="Post", tracking_number="1")
    answer = owner.get(path_of(order)).json()
    assert answer["delivery"] is None
    assert [(step["status"], step["by"]) for step in answer["history"]] == [("completed", "staff")]


def test_times_are_of_utc_to_the_second(client: Client, order: Order, deborah: Customer) -> None:
    summer = datetime.datetime(2026, 7, 1, 1, 59, 59, 999_999, datetime.timezone(datetime.timedelta(hours=2)))
    OrderHistory.objects.create(order=order, status="shipped", at=summer, by=Actor.SYSTEM)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
    history = Caller(client, bearer(deborah)).get(path_of(order)).json()["history"]
    assert history == [{"status": "shipped", "at": "2026-06-30T23:59:59Z", "by": "system"}]


def test_history_stands_as_it_came(client: Client, order: Order, deborah: Customer) -> None:
    """Even if a clock went back."""
    for hour, status in ((9, "pending"), (8, "processing"), (7, "shipped")):
        at = datetime.datetime(2026, 1, 1, hour, tzinfo=datetime.UTC)
        OrderHistory.objects.create(order=order, status=status, at=at, by="staff")
    history = Caller(client, bearer(deborah)).get(path_of(order)).json()["history"]
    assert [step["status"] for step in history] == ["pending", "processing", "shipped"]


def test_who_may_see_it(
    client: Client, order: Order, deborah: Customer, jonas: Customer, admin_user: User
) -> None:
    owner, other, boss = (Caller(client, bearer(who)) for who in (deborah, jonas, admin_user))
    clerk_user = User.objects.create_user("clerk", is_staff=True)
    clerk = Caller(client, bearer(clerk_user))
    path = path_of(order)
    shown = told(owner.get(path))
    assert shown[0] == 200
    assert told(boss.get(path)) == shown
    for caller in (other, clerk):
        assert told(caller.get(path)) == told(caller.get("customer/0/orders/0/")) == NOT_FOUND
    clerk_user.user_permissions.add(Permission.objects.get(codename="view_order"))
    assert told(clerk.get(path)) == shown
    # The owner of the path, not of the order; an order of another path; ids no column can hold.
    for wrong in (
        f"customer/{jonas.pk}/orders/{order.pk}/",
        f"customer/{deborah.pk}/orders/{order.pk + 1}/",
        f"customer/{deborah.pk}/orders/{2**31}/",
        f"customer/{deborah.pk}/orders/{10**30}/",
        f"customer/{10**30}/orders/{order.pk}/",
    ):
        for caller in (owner, other, boss):
            assert told(caller.get(wrong)) == NOT_FOUND
    assert Caller(client, {}).get(path).status_code == 401
    client.force_login(admin_user)
    assert told(Caller(client, {}).get(path)) == shown


def test_it_is_of_one_moment(client: Client, order: Order, deborah: Customer) -> None:
    """One statement beside the token's, whatever the number of rows."""
    owner = Caller(client, bearer(deborah))
    owner.get(path_of(order))
    Delivery.objects.create(order=order, first_name="D", last_name="B", strasse="S", plz="1", ort="B")
    for _ in range(9):
        OrderHistory.objects.create(order=order, status="shipped", by="staff")
    with CaptureQueriesContext(connection) as queries:
        assert len(owner.get(path_of(order)).json()["history"]) == 9
    assert len(queries) == 2


def test_nobody_may_keep_it(client: Client, order: Order, deborah: Customer, basket: Cart) -> None:
    answer = Caller(client, bearer(deborah)).get(path_of(order))
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in answer.headers["Vary"]
