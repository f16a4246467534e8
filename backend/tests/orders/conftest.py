"""Ada, who lives somewhere, and what she wants to buy."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from shop.models import Cart, CartItem, Customer, Order, Product
from shop.orders.checkout import place_order
from shop.orders.models import Actor
from tests.support.calling import Caller, bearer


@pytest.fixture(autouse=True)
def unlimited(settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "off"


@pytest.fixture
def ada(db: None) -> Customer:
    return Customer.objects.create(
        first_name="Ada",
        last_name="Lovelace",
        email="ada@example.com",
        password="!",
        strasse="Hauptstraße 1",
        plz="01067",
        ort="Dresden",
    )


@pytest.fixture
def basket(ada: Customer, computer: Product, gloves: Product) -> Cart:
    """Ada's cart: two computers, then three pairs of gloves, 1446.67 in all."""
    cart = Cart.objects.create(customer=ada)
    CartItem.objects.create(cart=cart, product=computer, quantity=2)
    CartItem.objects.create(cart=cart, product=gloves, quantity=3)
    return cart


@pytest.fixture
def lines_of_basket(computer: Product, gloves: Product) -> list[dict[str, Any]]:
    """The lines of an order of it, as JSON has them."""
    return [
        {
            "product_id": computer.pk,
            "product_name": "Handmade Wooden Computer",
            "quantity": 2,
            "price_per_unit": "369.35",
            "subtotal": "738.70",
        },
        {
            "product_id": gloves.pk,
            "product_name": "Elegant Marble Gloves",
            "quantity": 3,
            "price_per_unit": "235.99",
            "subtotal": "707.97",
        },
    ]


@pytest.fixture
def placed(ada: Customer, basket: Cart) -> Order:
    """Ada's order, just placed."""
    document = place_order(customer_id=ada.pk, expected_total=None, by=Actor.CUSTOMER)
    return Order.objects.get(pk=document.order_id)


@pytest.fixture
def buyer(client: Client, ada: Customer) -> Caller:
    return Caller(client, bearer(ada))


@pytest.fixture
def staff(client: Client, admin_user: User) -> Caller:
    return Caller(client, bearer(admin_user))
