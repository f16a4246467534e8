"""A customer registers, fills a cart, orders, and cancels: the way through all of it, over HTTP."""

from typing import Any

import pytest
from django.test import Client

from shop.models import Customer, Product

pytestmark = pytest.mark.django_db

ADA = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "Ada@Example.com",
    "password": "correct horse battery",
    "strasse": "Hauptstraße 1",
    "plz": "10115",
    "ort": "Berlin",
}


def ask(client: Client, method: str, path: str, body: Any = None, **headers: str) -> Any:
    return client.generic(
        method,
        f"/shop/api/{path}",
        b"" if body is None else __import__("json").dumps(body).encode(),
        "application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def test_from_registering_to_cancelling(client: Client, computer: Product) -> None:
    answer = ask(client, "POST", "customer/", ADA)
    assert answer.status_code == 201, answer.content
    customer = answer.json()
    pk = customer["customer_id"]
    assert answer.headers["Location"] == f"/shop/api/customer/{pk}/"
    assert customer["email"] == "ada@example.com"
    answer = ask(client, "POST", "token/", {"email": "ada@example.com", "password": ADA["password"]})
    assert answer.status_code == 200, answer.content
    tokens = answer.json()
    bearer = {"authorization": f"Bearer {tokens['access']}"}
    assert ask(client, "GET", f"customer/{pk}/", **bearer).json() == customer
    line = {"product_id": computer.pk, "quantity": 1}
    answer = ask(client, "POST", f"customer/{pk}/cart/items/", line, **bearer)
    assert (answer.status_code, answer.json()["subtotal"]) == (201, "369.35")
    answer = ask(client, "POST", f"customer/{pk}/cart/items/", line, **bearer)
    assert (answer.status_code, answer.json()["subtotal"]) == (200, "738.70")
    answer = ask(client, "POST", f"customer/{pk}/cart/items/", line, **bearer)
    assert (answer.status_code, answer.json()) == (
        409,
        {"error": "There is not enough in stock", "code": "out_of_stock", "available": 2},
    )
    body = {"expected_total": "738.70"}
    answer = ask(client, "POST", f"customer/{pk}/orders/", body, idempotency_key="one", **bearer)
    assert answer.status_code == 201, answer.content
    order = answer.json()
    assert order["total_amount"] == "738.70"
    assert order["delivery"]["strasse"] == "Hauptstraße 1"
    assert [step["by"] for step in order["history"]] == ["customer"]
    again = ask(client, "POST", f"customer/{pk}/orders/", body, idempotency_key="one", **bearer)
    assert (again.status_code, again.content, again.headers["Idempotent-Replayed"]) == (
        201,
        answer.content,
        "true",
    )
    computer.refresh_from_db()
    assert computer.stock == 0
    path = answer.headers["Location"].removeprefix("/shop/api/")
    assert ask(client, "GET", path, **bearer).content == answer.content
    answer = ask(client, "POST", f"{path}cancel/", **bearer)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.content
    computer.refresh_from_db()
    assert computer.stock == 2
    answer = ask(client, "POST", "token/refresh/", {"refresh": tokens["refresh"]})
    assert answer.status_code == 200
    answer = ask(client, "DELETE", f"customer/{pk}/", {"current_password": ADA["password"]}, **bearer)
    assert answer.status_code == 204, answer.content
    assert ask(client, "GET", f"customer/{pk}/", **bearer).status_code == 401
    assert Customer.objects.get(pk=pk).email == f"deleted-{pk}@invalid"
