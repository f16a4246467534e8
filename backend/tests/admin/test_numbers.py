"""Prices and quantities: what is plainly a number, and what only a browser or Python takes for one."""

import pytest
from django.test import Client

from shop.models import Cart, CartItem, Category, Order, Product
from tests.admin.test_forms import add_url, change_url, errors_of, open_form, save


@pytest.mark.slow
def test_a_price_that_is_not_plainly_a_number(admin_client: Client, order: Order, gloves: Product) -> None:
    text = "Enter a number such as 1234.50, with no comma."
    prices = (
        "1,50",
        "1.000,00",
        "1,000.00",
        "1 000",
        "1_50",
        "1e3",
        "NaN",
        "Infinity",
        "1.",
        ".5",
        "１",
        "-0",
        "-0.00",
    )
    for obj, field in ((gloves, "price"), (order, "items-0-price_per_unit")):
        form = open_form(admin_client, change_url(obj))
        for price in prices:
            response = admin_client.post(change_url(obj), form | {field: price})
            assert errors_of(response) == [text], (field, price)


@pytest.mark.slow
def test_a_number_that_is_not_plainly_whole(
    admin_client: Client, cart: Cart, order: Order, gloves: Product
) -> None:
    text = "Enter a whole number such as 1234, with digits alone."
    line = cart.items.get()
    fields = ((gloves, "stock"), (cart, "items-0-quantity"), (order, "items-0-quantity"), (line, "quantity"))
    for obj, field in fields:
        form = open_form(admin_client, change_url(obj))
        for number in ("1,5", "1.000", "1_0", "1e1", "2.0", "٣", "-0"):
            response = admin_client.post(change_url(obj), form | {field: number})
            assert errors_of(response) == [text], (field, number)


def test_a_browser_does_not_read_numbers_itself(admin_client: Client, order: Order, cart: Cart) -> None:
    """An English one makes 150 of 1,50 in a field for numbers."""
    for url in (
        add_url(Product),
        add_url(Order),
        add_url(CartItem),
        add_url(Category),
        change_url(order),
        change_url(cart),
    ):
        assert 'type="number"' not in admin_client.get(url).content.decode()
    assert 'inputmode="decimal"' in admin_client.get(add_url(Product)).content.decode()


@pytest.mark.parametrize(("price", "stored"), [("1234.5", "1234.50"), ("0", "0.00"), (" 7 ", "7.00")])
def test_a_price_that_is_a_number(admin_client: Client, gloves: Product, price: str, stored: str) -> None:
    form = open_form(admin_client, change_url(gloves)) | {"price": price}
    save(admin_client, change_url(gloves), form)
    gloves.refresh_from_db()
    assert str(gloves.price) == stored
