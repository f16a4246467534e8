"""POST /shop/api/customer/<customer_id>/orders/: from a cart to an order."""

import datetime
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop.models import (
    Cart,
    CartItem,
    Category,
    Customer,
    Delivery,
    IdempotencyKey,
    Order,
    OrderHistory,
    OrderItem,
    Product,
)
from shop.orders.checkout import place_order
from shop.orders.models import Actor
from tests.support.calling import Caller, bearer, told

pytestmark = pytest.mark.django_db

TOTAL = {"expected_total": "1446.67"}
ELSEWHERE = {
    "first_name": "Charles",
    "last_name": "Babbage",
    "strasse": "Dorset Street 1",
    "plz": "W1",
    "ort": "London",
}


def checkout(buyer: Caller, ada: Customer, body: Any = TOTAL, key: str = "one") -> Any:
    return buyer.post(f"customer/{ada.pk}/orders/", body, Idempotency_Key=key)


def nothing_happened() -> bool:
    models = (Order, OrderItem, Delivery, OrderHistory, IdempotencyKey)
    return not any(model.objects.exists() for model in models) and sorted(
        Product.objects.values_list("stock", flat=True)
    ) == [2, 58]


def test_an_order_is_placed(
    buyer: Caller, ada: Customer, basket: Cart, lines_of_basket: list[dict[str, Any]]
) -> None:
    long_ago = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    Cart.objects.update(last_updated=long_ago)
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    answer = checkout(buyer, ada)
    after = datetime.datetime.now(datetime.UTC)
    order = Order.objects.get()
    path = f"customer/{ada.pk}/orders/{order.pk}/"
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/shop/api/{path}"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Idempotent-Replayed" not in answer.headers
    body = answer.json()
    placed_at = body["history"][0]["at"]
    assert body == {
        "order_id": order.pk,
        "order_date": placed_at[:10],
        "status": "pending",
        "total_amount": "1446.67",
        "items": lines_of_basket,
        "delivery": {
            "first_name": "Ada",
            "last_name": "Lovelace",
            "strasse": "Hauptstraße 1",
            "plz": "01067",
            "ort": "Dresden",
            "carrier": "",
            "tracking_number": "",
        },
        "payment": None,
        "history": [{"status": "pending", "at": placed_at, "by": "customer"}],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", placed_at)
    assert before <= datetime.datetime.fromisoformat(placed_at) <= after
    assert list(Product.objects.order_by("name").values_list("stock", flat=True)) == [55, 0]
    assert list(basket.items.all()) == []
    assert Cart.objects.get().last_updated > long_ago
    shown = buyer.get(path)
    assert (shown.status_code, shown.content) == (200, answer.content)
    assert [row["order_id"] for row in buyer.get(f"customer/{ada.pk}/orders/").json()] == [order.pk]


def test_lines_stand_in_the_order_of_the_cart(
    buyer: Caller, ada: Customer, computer: Product, gloves: Product
) -> None:
    cart = Cart.objects.create(customer=ada)
    for product in (gloves, computer):  # the younger product first
        CartItem.objects.create(cart=cart, product=product, quantity=1)
    items = checkout(buyer, ada, {"expected_total": "605.34"}).json()["items"]
    assert [item["product_id"] for item in items] == [gloves.pk, computer.pk]
    assert list(OrderItem.objects.order_by("pk").values_list("product", flat=True)) == [
        gloves.pk,
        computer.pk,
    ]


def test_it_goes_to_another_address(buyer: Caller, ada: Customer, basket: Cart) -> None:
    Customer.objects.update(strasse="")
    address = ELSEWHERE | {"ort": "\u2003London\n"}
    delivery = checkout(buyer, ada, TOTAL | {"address": address}).json()["delivery"]
    assert delivery == ELSEWHERE | {"carrier": "", "tracking_number": ""}
    ada.refresh_from_db()
    assert (ada.first_name, ada.ort) == ("Ada", "Dresden")


def test_the_price_is_that_of_the_day(buyer: Caller, ada: Customer, basket: Cart) -> None:
    answer = checkout(buyer, ada)
    Product.objects.update(price=1, name="Renamed")
    items = buyer.get(answer.headers["Location"].removeprefix("/shop/api/")).json()["items"]
    assert [item["price_per_unit"] for item in items] == ["369.35", "235.99"]


# What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "total", ["1446.7", "1446,67", " 1446.67", "-1.00", "1e3", "NaN", "", 1446.67, 5, None]
)
def test_the_total_is_money(buyer: Caller, ada: Customer, basket: Cart, total: Any) -> None:
    status, answer = told(checkout(buyer, ada, {"expected_total": total}))
    assert (status, list(answer["fields"])) == (400, ["expected_total"])
    assert nothing_happened()


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, ["expected_total"]),
        (TOTAL | {"total": "1.00"}, ["total"]),
        (TOTAL | {"address": None}, ["address"]),
        (TOTAL | {"address": []}, ["address"]),
        (TOTAL | {"address": "here"}, ["address"]),
        (TOTAL | {"address": {}}, [f"address.{name}" for name in sorted(ELSEWHERE)]),
        (TOTAL | {"address": ELSEWHERE | {"plz": ""}}, ["address.plz"]),
        (TOTAL | {"address": ELSEWHERE | {"plz": " \u00a0"}}, ["address.plz"]),
        (TOTAL | {"address": ELSEWHERE | {"plz": 10115}}, ["address.plz"]),
        (TOTAL | {"address": ELSEWHERE | {"plz": None}}, ["address.plz"]),
        (TOTAL | {"address": ELSEWHERE | {"plz": "1" * 21}}, ["address.plz"]),
        (TOTAL | {"address": ELSEWHERE | {"strasse": "1" * 201}}, ["address.strasse"]),
        (TOTAL | {"address": ELSEWHERE | {"carrier": "x"}}, ["address.carrier"]),
        ({"address": {}}, [*(f"address.{name}" for name in sorted(ELSEWHERE)), "expected_total"]),
    ],
)
def test_a_bad_body_is_refused(
    buyer: Caller, ada: Customer, basket: Cart, body: dict[str, Any], names: list[str]
) -> None:
    status, answer = told(checkout(buyer, ada, body))
    assert (status, sorted(answer["fields"])) == (400, names)
    assert nothing_happened()


@pytest.mark.parametrize("key", [None, "", "k" * 256, "ä", "tab\there", "\u2603", "null\0"])
def test_a_key_is_1_to_255_printable_characters(
    buyer: Caller, ada: Customer, basket: Cart, key: str | None
) -> None:
    headers = {} if key is None else {"Idempotency_Key": key}
    answer = buyer.post(f"customer/{ada.pk}/orders/", TOTAL, **headers)
    assert told(answer)[0] == 400
    assert told(answer)[1]["error"] == "Send an Idempotency-Key of 1 to 255 printable ASCII characters"
    assert nothing_happened()


@pytest.mark.parametrize(
    "key", ["k", "k" * 255, "".join(map(chr, range(33, 127))), "with a space; and 'quotes'"]
)
def test_a_key_may_be_any_of_them(buyer: Caller, ada: Customer, basket: Cart, key: str) -> None:
    first = checkout(buyer, ada, key=key)
    assert first.status_code == 201
    assert checkout(buyer, ada, key=key).content == first.content


def test_a_wrong_total_shows_the_cart_as_it_is(buyer: Caller, ada: Customer, basket: Cart) -> None:
    Product.objects.filter(stock=2).update(price=Decimal("1.50"))
    answer = checkout(buyer, ada)
    assert told(answer) == (
        409,
        {
            "error": "The total has changed",
            "code": "total_changed",
            "total": "710.97",
            "items": buyer.get(f"customer/{ada.pk}/cart/items/").json(),
        },
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert nothing_happened()


def test_what_falls_short_is_told(buyer: Caller, ada: Customer, basket: Cart, gloves: Product) -> None:
    Product.objects.filter(pk=gloves.pk).update(stock=1)
    assert told(checkout(buyer, ada)) == (
        409,
        {
            "error": "There is not enough in stock",
            "code": "out_of_stock",
            "items": [
                {
                    "product_id": gloves.pk,
                    "product_name": "Elegant Marble Gloves",
                    "wanted": 3,
                    "available": 1,
                }
            ],
        },
    )
    assert basket.items.count() == 2
    assert not Order.objects.exists()


@pytest.mark.parametrize("missing", [["strasse"], ["plz", "ort"], ["strasse", "plz", "ort"]])
def test_an_address_that_lacks_something_is_told(
    buyer: Caller, ada: Customer, basket: Cart, missing: list[str]
) -> None:
    Customer.objects.update(**dict(zip(missing, ["", " "] * 2, strict=False)))
    assert told(checkout(buyer, ada)) == (
        409,
        {
            "error": "The customer's address is not complete",
            "code": "address_missing",
            "fields": {name: ["This field is required."] for name in missing},
        },
    )
    assert nothing_happened()


def test_the_largest_total(buyer: Caller, ada: Customer, basket: Cart, gloves: Product) -> None:
    CartItem.objects.filter(product=gloves).delete()
    CartItem.objects.update(quantity=1)
    CartItem.objects.create(cart=basket, product=gloves, quantity=1)
    Product.objects.filter(stock=2).update(price=Decimal("99999764.01"))
    assert told(checkout(buyer, ada, {"expected_total": "100000000.00"})) == (
        409,
        {"error": "An order can be of 99999999.99 at the most", "code": "total_too_large"},
    )
    assert nothing_happened()
    Product.objects.filter(stock=2).update(price=Decimal("99999764.00"))
    answer = checkout(buyer, ada, {"expected_total": "99999999.99"})
    assert (answer.status_code, answer.json()["total_amount"]) == (201, "99999999.99")


def test_the_refusals_come_in_this_order(buyer: Caller, ada: Customer, basket: Cart) -> None:
    """Each in turn is set right, and the next one shows."""
    Product.objects.update(price=Decimal("99999999.99"), stock=0)
    Customer.objects.update(ort="")
    lines = list(basket.items.all())
    basket.items.all().delete()
    right = {"expected_total": "499999999.95"}

    def code(body: Any) -> Any:
        answer = checkout(buyer, ada, body)
        assert answer.status_code == 409
        assert not Order.objects.exists()
        return answer.json()["code"]

    assert code(TOTAL) == "cart_empty"
    CartItem.objects.bulk_create(lines)
    assert code(TOTAL) == "total_changed"
    assert code(right) == "out_of_stock"
    Product.objects.update(stock=58)
    assert code(right) == "address_missing"
    Customer.objects.update(ort="Dresden")
    assert code(right) == "total_too_large"
    Product.objects.update(price=1)
    assert checkout(buyer, ada, {"expected_total": "5.00"}).status_code == 201


def test_without_a_cart_it_is_empty(buyer: Caller, ada: Customer) -> None:
    assert told(checkout(buyer, ada)) == (409, {"error": "The cart is empty", "code": "cart_empty"})
    assert not Cart.objects.exists()


def test_others_cannot_order(
    client: Client, ada: Customer, basket: Cart, jonas: Customer, admin_user: User, staff: Caller
) -> None:
    path = f"customer/{ada.pk}/orders/"
    for caller in (Caller(client, bearer(jonas)), staff):
        answer = caller.post(path, TOTAL, Idempotency_Key="one")
        assert told(answer) == (404, {"error": "Customer not found"})
    client.force_login(admin_user)
    assert Caller(client, {}).post(path, TOTAL, Idempotency_Key="one").status_code == 401
    assert nothing_happened()


# Exactly once -----------------------------------------------------------------------------------------------


def test_the_same_request_again_is_answered_as_then(buyer: Caller, ada: Customer, basket: Cart) -> None:
    """Whatever happened since, and however the same JSON is written."""
    body = TOTAL | {"address": ELSEWHERE}
    first = checkout(buyer, ada, body)
    Order.objects.update(status="shipped")
    Product.objects.update(price=1)
    Cart.objects.update(last_updated=(then := datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)))
    turned = {"address": dict(reversed(ELSEWHERE.items())), **TOTAL}
    for again in (body, turned, json.dumps(turned, indent=3).encode()):
        answer = checkout(buyer, ada, again)
        assert (answer.status_code, answer.content) == (201, first.content)
        assert answer.headers["Idempotent-Replayed"] == "true"
        assert answer.headers["Location"] == first.headers["Location"]
    assert Order.objects.count() == IdempotencyKey.objects.count() == 1
    assert sorted(Product.objects.values_list("stock", flat=True)) == [0, 55]
    assert Cart.objects.get().last_updated == then


def test_a_key_is_for_one_request(buyer: Caller, ada: Customer, basket: Cart) -> None:
    checkout(buyer, ada)
    for body in ({"expected_total": "1446.68"}, TOTAL | {"address": ELSEWHERE}):
        assert told(checkout(buyer, ada, body)) == (
            422,
            {
                "error": "This Idempotency-Key was used for another request",
                "code": "idempotency_key_reused",
            },
        )
    assert checkout(buyer, ada, {"expected_total": 5}).status_code == 400
    assert checkout(buyer, ada, key="two").json()["code"] == "cart_empty"
    assert checkout(buyer, ada, key="ONE").json()["code"] == "cart_empty"
    assert Order.objects.count() == 1


def test_keys_belong_to_a_customer(client: Client, buyer: Caller, ada: Customer, basket: Cart) -> None:
    checkout(buyer, ada)
    grace = Customer.objects.create(email="grace@example.com", password="!")
    answer = checkout(Caller(client, bearer(grace)), grace)
    assert told(answer) == (409, {"error": "The cart is empty", "code": "cart_empty"})


def test_a_refusal_spends_no_key(buyer: Caller, ada: Customer, basket: Cart) -> None:
    other = {"expected_total": "1.00"}
    assert checkout(buyer, ada, other).status_code == 409
    assert checkout(buyer, ada, {}).status_code == 400
    answer = checkout(buyer, ada)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert checkout(buyer, ada, other).status_code == 422


# The act, and what it costs ---------------------------------------------------------------------------------


def test_staff_place_an_order_at_whatever_it_costs(ada: Customer, basket: Cart) -> None:
    placed = place_order(customer_id=ada.pk, expected_total=None, by=Actor.STAFF)
    order = Order.objects.get()
    assert (placed.order_id, placed.replayed, order.total_amount) == (order.pk, False, Decimal("1446.67"))
    assert list(order.history.values_list("status", "by")) == [("pending", "staff")]
    assert not IdempotencyKey.objects.exists()


def statements_of_a_checkout(ada: Customer, lines: int, home: Category) -> list[str]:
    products = Product.objects.bulk_create(
        Product(name=f"Thing {n}", price=1, stock=1, category=home) for n in range(lines)
    )
    cart = Cart.objects.get_or_create(customer=ada)[0]
    CartItem.objects.bulk_create(CartItem(cart=cart, product=product, quantity=1) for product in products)
    with CaptureQueriesContext(connection) as queries:
        total = Decimal(f"{lines}.00")
        place_order(
            customer_id=ada.pk, expected_total=total, by=Actor.CUSTOMER, key=str(lines), request=lines
        )
    return [query["sql"] for query in queries]


def test_the_number_of_statements_does_not_grow_with_the_lines(ada: Customer, home: Category) -> None:
    numbers = [len(statements_of_a_checkout(ada, lines, home)) for lines in (1, 100)]
    assert numbers == [13, 13]  # with the transaction's own two
    assert OrderItem.objects.count() == 101
