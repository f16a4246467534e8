"""POST /shop/api/order/<order_id>/status/: staff move orders on."""

from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from shop.models import Customer, Delivery, Order, OrderStatus, Product
from shop.orders.workflow import TRANSITIONS
from tests.support.calling import Caller, bearer, told

pytestmark = pytest.mark.django_db

NOT_FOUND = (404, {"error": "Order not found"})


def move(staff: Caller, order: Order, status: Any, **more: Any) -> Any:
    return staff.post(f"order/{order.pk}/status/", {"status": status, **more})


def test_orders_go_as_the_table_allows(staff: Caller, order: Order) -> None:
    for before, after in product(OrderStatus, OrderStatus):
        Order.objects.update(status=before)
        order.history.all().delete()
        answer = move(staff, order, after)
        case = f"{before} to {after}"
        if after == before or after in TRANSITIONS[before]:
            assert (answer.status_code, answer.json()["status"]) == (200, after), case
            assert order.history.count() == (after != before), case
        else:
            assert told(answer) == (
                409,
                {
                    "error": f"An order that is {before} cannot become {after}",
                    "code": "illegal_transition",
                    "allowed": list(TRANSITIONS[before]),
                },
            )
            assert not order.history.exists(), case
            assert Order.objects.get().status == before, case


def test_what_is_allowed_is_told() -> None:
    assert TRANSITIONS == {
        "pending": ("processing", "shipped", "completed", "cancelled"),
        "processing": ("shipped", "completed", "cancelled"),
        "shipped": ("completed", "cancelled"),
        "completed": (),
        "cancelled": (),
    }


def test_an_order_is_sent(staff: Caller, placed: Order) -> None:
    answer = move(staff, placed, "shipped", carrier="  DHL ", tracking_number="JJD 000")
    assert answer.headers["Cache-Control"] == "no-store"
    order = answer.json()
    assert order["delivery"] | {"carrier": "DHL", "tracking_number": "JJD 000"} == order["delivery"]
    assert [(step["status"], step["by"]) for step in order["history"]] == [
        ("pending", "customer"),
        ("shipped", "staff"),
    ]
    assert told(staff.get(f"customer/{placed.customer_id}/orders/{placed.pk}/")) == (200, order)


def test_the_status_it_has_writes_only_how_it_is_sent(staff: Caller, placed: Order) -> None:
    move(staff, placed, "shipped", carrier="DHL", tracking_number="1")
    order = move(staff, placed, "shipped", tracking_number="2").json()
    assert (order["delivery"]["carrier"], order["delivery"]["tracking_number"]) == ("DHL", "2")
    order = move(staff, placed, "shipped", carrier="").json()
    assert (order["delivery"]["carrier"], order["delivery"]["tracking_number"]) == ("", "2")
    assert [step["status"] for step in order["history"]] == ["pending", "shipped"]


def test_a_refused_move_writes_nothing(staff: Caller, placed: Order) -> None:
    move(staff, placed, "completed")
    assert move(staff, placed, "shipped", carrier="DHL").status_code == 409
    assert Delivery.objects.get().carrier == ""


def test_an_order_without_a_delivery_moves(staff: Caller, order: Order) -> None:
    Order.objects.update(status="pending")
    for _ in range(2):
        answer = move(staff, order, "shipped", carrier="DHL", tracking_number="1")
        assert (answer.status_code, answer.json()["delivery"]) == (200, None)
        assert [step["status"] for step in answer.json()["history"]] == ["shipped"]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, ["status"]),
        ({"status": ""}, ["status"]),
        ({"status": "lost"}, ["status"]),
        ({"status": "Shipped"}, ["status"]),
        ({"status": None}, ["status"]),
        ({"status": 3}, ["status"]),
        ({"status": "shipped", "carrier": "c" * 51}, ["carrier"]),
        ({"status": "shipped", "tracking_number": "t" * 101}, ["tracking_number"]),
        ({"status": "shipped", "carrier": None, "tracking_number": 1}, ["carrier", "tracking_number"]),
        ({"status": "shipped", "by": "customer"}, ["by"]),
    ],
)
def test_a_bad_body_changes_nothing(
    staff: Caller, placed: Order, body: dict[str, Any], names: list[str]
) -> None:
    status, answer = told(staff.post(f"order/{placed.pk}/status/", body))
    assert (status, sorted(answer["fields"])) == (400, names)
    assert Order.objects.get().status == "pending"


def test_the_longest_texts(staff: Caller, placed: Order) -> None:
    sent = {"carrier": "Ü" * 50, "tracking_number": "📦" * 100}
    delivery = move(staff, placed, "shipped", **sent).json()["delivery"]
    assert delivery | sent == delivery


def test_cancelling_gives_the_stock_back_once(staff: Caller, placed: Order) -> None:
    assert sorted(Product.objects.values_list("stock", flat=True)) == [0, 55]
    for _ in range(2):
        assert move(staff, placed, "cancelled").status_code == 200
        assert sorted(Product.objects.values_list("stock", flat=True)) == [2, 58]


def test_who_may_move_orders(client: Client, placed: Order, ada: Customer, admin_user: User) -> None:
    path = f"order/{placed.pk}/status/"
    body = {"status": "shipped"}
    clerk_user = User.objects.create_user("clerk", is_staff=True)
    clerk, owner, nobody = Caller(client, bearer(clerk_user)), Caller(client, bearer(ada)), Caller(client, {})
    assert told(owner.post(path, body)) == told(owner.post("order/0/status/", body)) == NOT_FOUND
    for codename in ("view_order", "add_order", "delete_order"):
        clerk_user.user_permissions.add(Permission.objects.get(codename=codename))
    assert told(clerk.post(path, body)) == told(clerk.post("order/0/status/", body)) == NOT_FOUND
    assert nobody.post(path, body).status_code == 401
    client.force_login(admin_user)
    assert nobody.post(path, body).status_code == 401
    assert Order.objects.get().status == "pending"
    clerk_user.user_permissions.add(Permission.objects.get(codename="change_order"))
    assert clerk.post(path, body).status_code == 200


@pytest.mark.parametrize("order_id", [0, 2**31, 10**30])
def test_an_order_that_is_not_there_is_told_of_first(staff: Caller, order_id: int) -> None:
    for body in ({"status": "shipped"}, {"status": "lost"}, b"no JSON"):
        assert told(staff.post(f"order/{order_id}/status/", body)) == NOT_FOUND
