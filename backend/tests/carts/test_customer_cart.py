"""GET /shop/api/customer/<customer_id>/cart/"""

from decimal import Decimal

from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Cart, CartItem, Customer, Product


def test_cart_of_one_customer(client: Client, cart: Cart, gloves: Product, jonas: Customer) -> None:
    CartItem.objects.create(cart=cart, product=gloves, quantity=1)
    CartItem.objects.create(cart=Cart.objects.create(customer=jonas), product=gloves, quantity=9)
    response = client.get(f"/shop/api/customer/{cart.customer_id}/cart/")
    assert response.status_code == 200
    assert response.json() == {
        "customer_id": cart.customer_id,
        "items": [
            {
                "product_name": "Handmade Wooden Computer",
                "price": "369.35",
                "quantity": 2,
                "subtotal": "738.70",
            },
            {"product_name": "Elegant Marble Gloves", "price": "235.99", "quantity": 1, "subtotal": "235.99"},
        ],
        "total": "974.69",
    }


def test_items_come_as_they_were_put_in(client: Client, cart: Cart, gloves: Product) -> None:
    CartItem.objects.create(cart=cart, product=gloves, quantity=1)
    CartItem.objects.filter(product__name="Handmade Wooden Computer").update(quantity=5)
    items = client.get(f"/shop/api/customer/{cart.customer_id}/cart/").json()["items"]
    assert [item["quantity"] for item in items] == [5, 1]


def test_the_price_is_todays(client: Client, cart: Cart, computer: Product) -> None:
    Product.objects.filter(pk=computer.pk).update(price=Decimal("1.5"))
    answer = client.get(f"/shop/api/customer/{cart.customer_id}/cart/").json()
    assert answer["items"][0]["price"] == "1.50"
    assert answer["total"] == "3.00"


def test_an_empty_cart_has_no_items(client: Client, jonas: Customer) -> None:
    Cart.objects.create(customer=jonas)
    response = client.get(f"/shop/api/customer/{jonas.pk}/cart/")
    assert response.status_code == 200
    assert response.json() == {"customer_id": jonas.pk, "items": [], "total": "0.00"}


def test_a_customer_without_a_cart_and_an_unknown_one_are_not_found(client: Client, jonas: Customer) -> None:
    for customer_id in (jonas.pk, jonas.pk + 1):
        response = client.get(f"/shop/api/customer/{customer_id}/cart/")
        assert response.status_code == 404
        assert response.json() == {"error": "Cart not found"}


def test_queries_do_not_grow_with_the_rows(
    client: Client, cart: Cart, computer: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    products = Product.objects.bulk_create(
        Product(name="More", price=1, category=computer.category) for _ in range(50)
    )
    for rows in (0, 1, 50):
        CartItem.objects.all().delete()
        CartItem.objects.bulk_create(
            CartItem(cart=cart, product=product, quantity=1) for product in products[:rows]
        )
        with django_assert_num_queries(1):
            answer = client.get(f"/shop/api/customer/{cart.customer_id}/cart/").json()
        assert len(answer["items"]) == rows
