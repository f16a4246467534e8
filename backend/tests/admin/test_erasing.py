"""A customer who is erased by staff: as by the API, but for the password."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from shop.models import Cart, Customer, Mail, Order, Payment, RefreshToken
from shop.orders.checkout import Placed, place_order
from shop.orders.models import Actor
from tests.admin.conftest import Clerk
from tests.admin.test_actions import messages_of
from tests.admin.test_forms import FormParser, change_url, open_form, save
from tests.support.calling import bearer
from tests.support.races import at_once, conflict_at_commit

OPEN = "An order is still on its way. Nothing was erased."
CONFLICT = "Somebody else is changing this at this moment. Try again."
CHANGED = "Somebody changed this customer meanwhile. Nothing was erased."


def erase_url(customer: Customer) -> str:
    return f"/admin/shop/customer/{customer.pk}/erase/"


def erase(client: Client, customer: Customer) -> Any:
    """Press the button of the page that asks."""
    form = FormParser(client.get(erase_url(customer)).content.decode()).values
    return client.post(erase_url(customer), form)


def test_a_customer_with_orders(admin_client: Client, deborah: Customer, order: Order, cart: Cart) -> None:
    bearer(deborah)
    Mail.objects.create(customer=deborah, kind="x", recipients="x", subject="x", text="x", html="x")
    save(admin_client, change_url(deborah), open_form(admin_client, change_url(deborah)) | {"ort": "Berlin"})
    page = admin_client.get(change_url(deborah)).content.decode()
    assert f'<a href="{erase_url(deborah)}">Erase</a>' in page
    page = admin_client.get(erase_url(deborah)).content.decode()
    assert "Deborah Bruen, deborah.bruen@example.com: 1 order." in page
    assert "The orders stay in the books" in page
    response = erase(admin_client, deborah)
    assert messages_of(response)[-1] == ("success", "The customer was erased.")
    assert response["Location"] == "/admin/shop/customer/"
    deborah.refresh_from_db()
    assert (str(deborah), deborah.ort, deborah.is_erased) == ("Deleted customer", "", True)
    assert not deborah.check_password("correct horse battery")
    assert Order.objects.get() == order
    assert not [model for model in (Cart, RefreshToken, Mail) if model._default_manager.exists()]
    log = list(LogEntry.objects.order_by("pk").values_list("object_repr", "change_message"))
    assert [name for name, _ in log] == ["Deleted customer", "Deleted customer"]
    assert log[-1][1] == "Erased."


def test_a_customer_without_orders(admin_client: Client, deborah: Customer, cart: Cart) -> None:
    page = admin_client.get(erase_url(deborah)).content.decode()
    assert "0 orders." in page
    assert "stay in the books" not in page
    erase(admin_client, deborah)
    assert not Customer.objects.exists()
    assert not Cart.objects.exists()


@pytest.mark.parametrize("status", ["pending", "processing", "shipped"])
def test_an_order_on_its_way(admin_client: Client, deborah: Customer, order: Order, status: str) -> None:
    form = FormParser(admin_client.get(erase_url(deborah)).content.decode()).values
    Order.objects.update(status=status)
    page = admin_client.get(erase_url(deborah)).content.decode()
    assert "cannot be erased" in page
    assert "Yes, erase" not in page
    response = admin_client.post(erase_url(deborah), form)
    assert messages_of(response) == [("error", OPEN)]
    assert response["Location"] == change_url(deborah)
    assert Customer.objects.get().email == "deborah.bruen@example.com"


def test_money_on_its_way(admin_client: Client, deborah: Customer, order: Order) -> None:
    Payment.objects.create(order=order, provider="test", status="disputed", amount=1, currency="EUR")
    assert "cannot be erased" in admin_client.get(erase_url(deborah)).content.decode()


def test_another_customer_by_now(admin_client: Client, deborah: Customer) -> None:
    form = FormParser(admin_client.get(erase_url(deborah)).content.decode()).values
    Customer.objects.update(email="new@example.com")
    for sent in (form, {}):
        assert messages_of(admin_client.post(erase_url(deborah), sent))[-1] == ("error", CHANGED)
    assert Customer.objects.get().first_name == "Deborah"


def test_who_is_erased_or_gone(admin_client: Client, deborah: Customer, order: Order) -> None:
    erase(admin_client, deborah)
    assert "Erase" not in admin_client.get(change_url(deborah)).content.decode()
    for url in (erase_url(deborah), "/admin/shop/customer/0/erase/", "/admin/shop/customer/x/erase/"):
        for send in (admin_client.get, admin_client.post):
            assert send(url)["Location"] == "/admin/"
    assert LogEntry.objects.count() == 1


def test_who_may(clerk: Clerk, deborah: Customer) -> None:
    client = clerk("view_customer", "change_customer")
    assert "Erase" not in client.get(change_url(deborah)).content.decode()
    for send in (client.get, client.post):
        assert send(erase_url(deborah), {"seen": deborah.email}).status_code == 403
    assert Customer.objects.get() == deborah


def test_a_form_of_another_site(admin_user: Any, deborah: Customer) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(erase_url(deborah), {"seen": deborah.email}).status_code == 403
    assert Customer.objects.get() == deborah


@pytest.mark.django_db(transaction=True)
def test_an_order_as_the_customer_is_erased(admin_client: Client, basket: Cart) -> None:
    """Whoever is first: no order is of nobody, and no customer with an open order is erased."""
    form = FormParser(admin_client.get(erase_url(basket.customer)).content.decode()).values
    response, placed = at_once(
        lambda: admin_client.post(erase_url(basket.customer), form),
        lambda: place_order(customer_id=basket.customer_id, expected_total=None, by=Actor.CUSTOMER),
    )
    left = Customer.objects.count(), Order.objects.count()
    if isinstance(placed, Placed):
        assert (messages_of(response), left) == ([("error", OPEN)], (1, 1))
    else:
        assert (messages_of(response), left) == ([("success", "The customer was erased.")], (0, 0))


@pytest.mark.django_db(transaction=True)
def test_a_conflict_as_it_commits(admin_client: Client, deborah: Customer, order: Order) -> None:
    with conflict_at_commit(Customer):
        response = erase(admin_client, deborah)
    assert messages_of(response) == [("error", CONFLICT)]
    assert response["Location"] == change_url(deborah)
    assert Customer.objects.get().first_name == "Deborah"
    assert not LogEntry.objects.exists()


def test_spending_stands_beside_the_name(admin_client: Client, deborah: Customer, order: Order) -> None:
    Order.objects.create(customer=deborah, status="cancelled", total_amount=1)
    Customer.objects.create(first_name="Ann", last_name="Lee", email="ann@example.com")
    page = admin_client.get("/admin/shop/customer/").content.decode()
    assert '>2 orders</a></td><td class="field-total_spent">472.98</td>' in page
    assert '>0 orders</a></td><td class="field-total_spent">0.00</td>' in page
