"""What customers and staff are told of orders, by mail."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from shop.models import Cart, Customer, Mail, Order, OrderStatus, Product
from shop.orders import workflow
from shop.orders.checkout import place_order
from shop.orders.mails import vat_in
from shop.orders.models import Actor
from tests.support.calling import Caller, bearer
from tests.support.jobs import do_jobs

pytestmark = pytest.mark.django_db

PLACED = """\
Hello Deborah Bruen,

Thank you for your order. This is what you ordered on {date}:

2 × Handmade Wooden Computer, 369.35 each: 738.70 EUR

Total: 738.70 EUR, VAT of 19 % in it: 117.94 EUR

It goes to:
Deborah <b>Bruen</b>
Hauptstraße 1
01067 Dresden

--
Webshop GmbH
"""


@pytest.fixture(autouse=True)
def _development(settings: Settings) -> None:
    settings.DEBUG = True  # where addresses of examples are mailed
    settings.SHOP_SELLER = "Webshop GmbH"
    settings.SHOP_STAFF_EMAIL = ["staff@example.com", "boss@example.com"]


@pytest.fixture
def placed(deborah: Customer, cart: Cart) -> Order:
    address = {
        "first_name": "Deborah",
        "last_name": "<b>Bruen</b>",
        "strasse": "Hauptstraße 1",
        "plz": "01067",
        "ort": "Dresden",
    }
    order = place_order(customer_id=deborah.pk, expected_total=None, by=Actor.CUSTOMER, address=address)
    return Order.objects.get(pk=order.order_id)


def kinds() -> list[str]:
    return list(Mail.objects.order_by("pk").values_list("kind", flat=True))


def test_an_order_that_is_placed_is_told_to_its_customer(placed: Order, mailoutbox: list[Any]) -> None:
    assert do_jobs() == 1
    (mail,) = mailoutbox
    assert (mail.to, mail.subject) == (["deborah.bruen@example.com"], f"Your order {placed.pk}")
    assert mail.body == PLACED.format(date=placed.order_date)
    ((html, kind),) = mail.alternatives
    assert kind == "text/html"
    assert "Deborah &lt;b&gt;Bruen&lt;/b&gt;" in html
    assert "738.70 EUR" in html
    written = Mail.objects.get()
    assert (written.customer_id, written.order_id) == (placed.customer_id, placed.pk)


def test_it_is_written_in_the_statements_of_the_checkout_whatever_comes(
    deborah: Customer, cart: Cart, client: Client
) -> None:
    answer = Caller(client, bearer(deborah)).post(
        f"customer/{deborah.pk}/orders/", {"expected_total": "1.00"}, Idempotency_Key="one"
    )
    assert answer.status_code == 409
    assert not Mail.objects.exists()


def test_one_that_is_shipped_is_told_with_its_number(placed: Order, mailoutbox: list[Any]) -> None:
    workflow.set_status(
        order_id=placed.pk, to=OrderStatus.SHIPPED, carrier="DHL", tracking_number="00340434161094"
    )
    workflow.set_status(order_id=placed.pk, to=OrderStatus.SHIPPED, tracking_number="1")
    assert do_jobs() == 2
    assert mailoutbox[1].subject == f"Your order {placed.pk} is on its way"
    assert "handed over to DHL; its tracking number is 00340434161094:" in mailoutbox[1].body


def test_one_that_is_cancelled_is_told_once(placed: Order) -> None:
    for _ in range(2):
        workflow.cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    assert kinds() == ["placed", "cancelled"]


def test_other_steps_are_not_told(placed: Order) -> None:
    workflow.set_status(order_id=placed.pk, to=OrderStatus.PROCESSING)
    workflow.set_status(order_id=placed.pk, to=OrderStatus.COMPLETED)
    assert kinds() == ["placed"]


def test_who_was_erased_is_told_nothing(placed: Order) -> None:
    Customer.objects.update(email=f"deleted-{placed.customer_id}@invalid")
    workflow.set_status(order_id=placed.pk, to=OrderStatus.SHIPPED)
    assert kinds() == ["placed"]


def test_many_orders_are_told_in_a_fixed_number_of_statements(
    jonas: Customer, django_assert_num_queries: Any
) -> None:
    for number in (1, 30):
        orders = [Order.objects.create(customer=jonas).pk for _ in range(number)]
        with django_assert_num_queries(7):
            workflow.move(orders=orders, to=OrderStatus.SHIPPED, by=Actor.STAFF)
    assert Mail.objects.count() == 31


def test_staff_are_told_of_a_product_that_becomes_low_on_stock_by_a_sale(
    deborah: Customer, cart: Cart, computer: Product, mailoutbox: list[Any]
) -> None:
    def sell(stock: int) -> None:
        Product.objects.filter(pk=computer.pk).update(stock=stock)
        Customer.objects.update(strasse="A 1", plz="01067", ort="Dresden")
        cart.items.all().delete()
        cart.items.create(product=computer, quantity=2)
        place_order(customer_id=deborah.pk, expected_total=None, by=Actor.CUSTOMER)

    for stock, mails in ((12, 0), (11, 1), (9, 1), (10, 2)):
        sell(stock)
        assert kinds().count("low_stock") == mails, stock
    do_jobs()
    mail = next(mail for mail in mailoutbox if mail.subject == "Low on stock")
    assert mail.to == ["staff@example.com", "boss@example.com"]
    assert f"Handmade Wooden Computer (product {computer.pk}): 9 left" in mail.body


@pytest.mark.parametrize(("rate", "vat"), [(19, "117.94"), (7, "48.33"), (0, "0.00")])
def test_the_vat_in_a_price(settings: Settings, rate: int, vat: str) -> None:
    settings.SHOP_VAT_RATE = rate
    assert vat_in(Decimal("738.70")) == Decimal(vat)
