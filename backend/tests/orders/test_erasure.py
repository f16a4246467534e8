"""What the shop holds about a customer: a copy of it all, and its end."""

from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from shop.models import (
    Cart,
    CartItem,
    Customer,
    Delivery,
    IdempotencyKey,
    Order,
    OrderHistory,
    OrderItem,
    OrderNote,
    Product,
    RefreshToken,
)
from tests.support.calling import Caller, bearer, told
from tests.support.races import at_once

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
WRONG = {"error": "The current password is wrong"}
OPEN = {"error": "An order is still on its way", "code": "open_orders"}


@pytest.fixture
def owner(client: Client, deborah: Customer) -> Caller:
    return Caller(client, bearer(deborah))


@pytest.fixture
def placed(owner: Caller, deborah: Customer, cart: Cart) -> int:
    """An order that was placed in the shop, of what was in the cart."""
    address = {"first_name": "D", "last_name": "B", "strasse": "A 1", "plz": "10115", "ort": "Berlin"}
    body = {"expected_total": "738.70", "address": address}
    answer = owner.post(f"customer/{deborah.pk}/orders/", body, Idempotency_Key="one")
    assert answer.status_code == 201
    return int(answer.json()["order_id"])


# The copy


def export(caller: Caller, customer: Customer) -> Any:
    return caller.get(f"customer/{customer.pk}/export/")


def test_a_customer_without_anything(client: Client, jonas: Customer) -> None:
    answer = export(Caller(client, bearer(jonas)), jonas)
    account = {
        "customer_id": jonas.pk,
        "first_name": "Jonas",
        "last_name": "Groß 🛒",
        "email": "jonas@example.com",
        "strasse": "",
        "plz": "",
        "ort": "",
    }
    assert told(answer) == (200, {"customer": account, "cart": None, "orders": []})
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_all_is_what_its_own_endpoints_say(
    owner: Caller, deborah: Customer, order: Order, placed: int, gloves: Product, jonas: Customer
) -> None:
    """Of the customer alone."""
    line = {"product_id": gloves.pk, "quantity": 2}
    assert owner.post(f"customer/{deborah.pk}/cart/items/", line).status_code == 201
    Order.objects.create(customer=jonas)
    path = f"customer/{deborah.pk}/"
    orders = [owner.get(f"{path}orders/{pk}/").json() for pk in (placed, order.pk)]
    assert export(owner, deborah).json() == {
        "customer": owner.get(path).json(),
        "cart": owner.get(f"{path}cart/").json(),
        "orders": orders,
    }
    assert orders[0]["delivery"]["ort"] == "Berlin"
    assert [step["by"] for step in orders[0]["history"]] == ["customer"]
    assert (orders[0]["payment"], orders[1]["delivery"], orders[1]["history"]) == (None, None, [])
    assert deborah.password not in export(owner, deborah).content.decode()


def test_what_staff_noted_is_theirs(owner: Caller, deborah: Customer, placed: int) -> None:
    before = export(owner, deborah).json()
    OrderNote.objects.create(order_id=placed, text="Rings twice", username="clerk")
    assert export(owner, deborah).json() == before


def test_it_is_of_one_moment(
    owner: Caller, deborah: Customer, placed: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(50):
        old = Order.objects.create(customer=deborah, status="completed")
        OrderHistory.objects.create(order=old, status="completed", by="staff")
    with django_assert_num_queries(2):
        assert len(export(owner, deborah).json()["orders"]) == 51


def test_staff_need_to_see_customers(client: Client, deborah: Customer, settings: Settings) -> None:
    clerk = User.objects.create(username="clerk", is_staff=True)
    caller = Caller(client, bearer(clerk))
    assert told(export(caller, deborah)) == (404, {"error": "Customer not found"})
    clerk.user_permissions.add(Permission.objects.get(codename="view_customer"))
    assert export(caller, deborah).status_code == 200
    assert told(caller.get("customer/0/export/")) == (404, {"error": "Customer not found"})


# The end


def erase(caller: Caller, customer: Customer, password: Any = PASSWORD) -> Any:
    return caller.ask("DELETE", f"customer/{customer.pk}/", {"current_password": password})


def test_a_customer_without_orders_goes(owner: Caller, deborah: Customer, cart: Cart) -> None:
    answer = erase(owner, deborah)
    assert (answer.status_code, answer.content) == (204, b"")
    for model in (Customer, Cart, CartItem, RefreshToken):
        assert not model._default_manager.exists(), model
    assert owner.get(f"customer/{deborah.pk}/").status_code == 401


def test_with_orders_the_books_stay(owner: Caller, deborah: Customer, placed: int, gloves: Product) -> None:
    Customer.objects.update(strasse="A 1", plz="1", ort="B")
    owner.post(f"customer/{deborah.pk}/cart/items/", {"product_id": gloves.pk, "quantity": 1})
    Order.objects.update(status="completed")
    OrderNote.objects.create(order_id=placed, text="Rings twice", username="clerk")
    assert erase(owner, deborah).status_code == 204
    row: dict[str, Any] = dict(Customer.objects.values().get())
    password = row.pop("password")
    assert row == {
        "customer_id": deborah.pk,
        "first_name": "Deleted",
        "last_name": "customer",
        "email": f"deleted-{deborah.pk}@invalid",
        "strasse": "",
        "plz": "",
        "ort": "",
    }
    assert password.startswith("!")
    for model in (Cart, CartItem, RefreshToken, IdempotencyKey, OrderNote):
        assert not model._default_manager.exists(), model
    assert (Order.objects.count(), OrderItem.objects.count()) == (1, 1)
    assert Delivery.objects.get().ort == "Berlin"
    assert owner.get(f"customer/{deborah.pk}/").status_code == 401
    for email in (deborah.email, f"deleted-{deborah.pk}@invalid"):
        body = {"email": email, "password": PASSWORD}
        assert Caller(Client(), {}).post("token/", body).status_code == 401


@pytest.mark.parametrize("has_orders", [True, False])
def test_the_history_of_the_admin_forgets_the_name(
    owner: Caller,
    deborah: Customer,
    jonas: Customer,
    cart: Cart,
    admin_user: User,
    order: Order,
    has_orders: bool,
) -> None:
    if not has_orders:
        order.delete()
    others = Cart.objects.create(customer=jonas)
    for one in (deborah, cart, jonas, others):
        LogEntry.objects.log_actions(admin_user.pk, [one], CHANGE, "Changed.")
    assert erase(owner, deborah).status_code == 204
    told_of = LogEntry.objects.order_by("pk").values_list("object_repr", flat=True)
    assert list(told_of) == ["Deleted customer", "Deleted cart", "Jonas Groß 🛒", "Cart of Jonas Groß 🛒"]


@pytest.mark.parametrize("status", ["pending", "processing", "shipped"])
def test_an_order_on_its_way_stands_against_it(
    owner: Caller, deborah: Customer, order: Order, cart: Cart, status: str
) -> None:
    Order.objects.create(customer=deborah, status="cancelled")
    Order.objects.update(status=status)
    assert told(erase(owner, deborah)) == (409, OPEN)
    assert told(erase(owner, deborah, "wrong")) == (403, WRONG)
    deborah.refresh_from_db()
    assert (deborah.first_name, Cart.objects.count()) == ("Deborah", 1)
    assert owner.get(f"customer/{deborah.pk}/").status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        (None, 415),
        ({"current_password": 1}, 400),
        ({"current_password": None}, 400),
        ({"current_password": ""}, 400),
        ({"current_password": PASSWORD, "why": "x"}, 400),
        ({"current_password": "wrong"}, 403),
        ({"current_password": f"{PASSWORD} "}, 403),
        ({"current_password": "x" * 10_000}, 403),
    ],
    ids=lambda part: str(part)[:30],
)
def test_without_the_password_nothing_goes(owner: Caller, deborah: Customer, body: Any, status: int) -> None:
    answer = owner.ask("DELETE", f"customer/{deborah.pk}/", body)
    assert answer.status_code == status
    assert set(answer.json()) == ({"error", "fields"} if status == 400 else {"error"})
    assert Customer.objects.filter(first_name="Deborah").exists()


def test_another_customer_may_use_the_address(owner: Caller, deborah: Customer, order: Order) -> None:
    assert erase(owner, deborah).status_code == 204
    body = {"first_name": "D", "last_name": "B", "email": deborah.email, "password": PASSWORD}
    assert Caller(Client(), {}).post("customer/", body).status_code == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_orders", [False, True])
def test_twice_at_once(owner: Caller, deborah: Customer, gloves: Product, has_orders: bool) -> None:
    if has_orders:
        Order.objects.create(customer=deborah, status="completed")
    answers = at_once(*[lambda: erase(Caller(Client(), owner.headers), deborah)] * 3)
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 401, 403}


@pytest.mark.django_db(transaction=True)
def test_while_an_order_is_placed(owner: Caller, deborah: Customer, cart: Cart) -> None:
    """Either there is an order and the customer, or neither."""
    address = {"first_name": "D", "last_name": "B", "strasse": "A 1", "plz": "10115", "ort": "Berlin"}
    body = {"expected_total": "738.70", "address": address}
    placing, erasing = at_once(
        lambda: Caller(Client(), owner.headers).post(
            f"customer/{deborah.pk}/orders/", body, Idempotency_Key="one"
        ),
        lambda: erase(Caller(Client(), owner.headers), deborah),
    )
    assert (placing.status_code, erasing.status_code) in {(201, 409), (404, 204), (401, 204)}
    kept = placing.status_code == 201
    assert (Order.objects.count(), Customer.objects.count()) == ((1, 1) if kept else (0, 0))
