"""Two customers who buy with the client that openapi-python-client makes of docs/openapi.json.

`python -m tests.contract.buyer http://localhost:8000`, with the client as the package shop_client. They are
those of auth.json, and get the ids of schemathesis.toml, the first ones after the sample data.
"""

import sys
from datetime import UTC, datetime

from shop_client import AuthenticatedClient, Client
from shop_client.api.carts import add_item, customer_cart
from shop_client.api.catalog import products
from shop_client.api.customers import register, sign_in
from shop_client.api.orders import checkout, customer_order
from shop_client.models.cart import Cart
from shop_client.models.cart_line import CartLine
from shop_client.models.checkout_form import CheckoutForm
from shop_client.models.customer import Customer
from shop_client.models.line_form import LineForm
from shop_client.models.order import Order
from shop_client.models.order_status import OrderStatus
from shop_client.models.registration_form import RegistrationForm
from shop_client.models.sign_in_form import SignInForm
from shop_client.models.tokens_form import TokensForm

PASSWORD = "known to nobody else"


def buy(shop: str, email: str, customer_id: int, order_id: int) -> None:
    """Register, sign in, fill the cart, check out and read the order; these are the ids to be expected."""
    anybody = Client(shop, raise_on_unexpected_status=True)
    name = email.partition("@")[0].title()
    form = RegistrationForm(
        first_name=name,
        last_name="Lovelace",
        email=email,
        password=PASSWORD,
        strasse="Hauptstraße 1",
        plz="01067",
        ort="Dresden",
    )
    customer = register.sync(client=anybody, body=form)
    assert isinstance(customer, Customer), customer
    assert (customer.customer_id, customer.first_name) == (customer_id, name)
    tokens = sign_in.sync(client=anybody, body=SignInForm(email=email, password=PASSWORD))
    assert isinstance(tokens, TokensForm), tokens

    signed_in = AuthenticatedClient(shop, tokens.access, raise_on_unexpected_status=True)
    found = products.sync(client=anybody, limit=1)
    assert isinstance(found, list), found
    line = add_item.sync(
        customer_id, client=signed_in, body=LineForm(product_id=found[0].product_id, quantity=2)
    )
    assert isinstance(line, CartLine), line
    cart = customer_cart.sync(customer_id, client=signed_in)
    assert isinstance(cart, Cart), cart
    assert cart.total == line.subtotal
    order = checkout.sync(
        customer_id, client=signed_in, body=CheckoutForm(expected_total=cart.total), idempotency_key="first"
    )
    assert isinstance(order, Order), order
    assert order == customer_order.sync(customer_id, order_id, client=signed_in)
    assert (order.total_amount, order.status) == (cart.total, OrderStatus.PENDING)
    assert [item.product_name for item in order.items] == [found[0].name]
    assert datetime.now(UTC).date() == order.order_date
    print(f"{name} bought {order.items[0].quantity} × {found[0].name} for {order.total_amount}")  # noqa: T201


if __name__ == "__main__":
    buy(sys.argv[1], "ada@example.com", 101, 301)
    buy(sys.argv[1], "charles@example.com", 102, 302)
