"""Notes that staff write about an order, for each other."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from shop.models import Customer, Order, OrderNote
from shop.orders.books import faults
from shop.orders.erasure import erase
from shop.orders.models import Actor, OrderStatus
from shop.orders.workflow import move
from tests.admin.conftest import Clerk
from tests.admin.test_actions import delete_url
from tests.admin.test_forms import FormParser, change_url, errors_of, open_form, save
from tests.admin.test_order_page import press, steps_of
from tests.support.calling import Caller, bearer
from tests.support.races import at_once, meanwhile

ERASED = "This customer is erased. Nothing more is noted about the order."


def noted() -> list[tuple[str, str]]:
    return list(OrderNote.objects.order_by("pk").values_list("text", "username"))


def note(client: Client, order: Order, text: str) -> Any:
    """Save the page of an order with a note."""
    return client.post(change_url(order), open_form(client, change_url(order)) | {"note": text})


def test_a_note_is_added_and_shown(admin_client: Client, clerk: Clerk, placed: Order) -> None:
    packer = clerk("view_order", "change_order")
    assert note(admin_client, placed, " Klingelt <b>zweimal</b> 🛎\r\nund wartet ").status_code == 302
    assert note(packer, placed, "Called").status_code == 302
    assert noted() == [("Klingelt <b>zweimal</b> 🛎\nund wartet", "admin"), ("Called", "clerk")]
    OrderNote.objects.update(at=datetime(2026, 11, 24, 9, 30, tzinfo=UTC))
    page = admin_client.get(change_url(placed)).content.decode()
    first, second = (
        "<strong>clerk, Nov. 24, 2026, 9:30 a.m.</strong>\n<p>Called</p>",
        "<strong>admin, Nov. 24, 2026, 9:30 a.m.</strong>\n"
        "<p>Klingelt &lt;b&gt;zweimal&lt;/b&gt; 🛎<br>und wartet</p>",
    )
    assert 0 < page.index(first) < page.index(second)
    assert open_form(admin_client, change_url(placed))["note"] == ""


def test_the_log_tells_of_it_without_its_text(admin_client: Client, placed: Order) -> None:
    note(admin_client, placed, "Rings twice")
    entry = LogEntry.objects.get()
    assert (entry.get_change_message(), entry.object_repr) == ("Added a note.", f"Order {placed.pk}")


@pytest.mark.parametrize("text", ["", "  \r\n "])
def test_nothing_is_no_note(admin_client: Client, placed: Order, text: str) -> None:
    note(admin_client, placed, text)
    assert noted() == []
    assert LogEntry.objects.get().get_change_message() == "No fields changed."


def test_its_length(admin_client: Client, placed: Order) -> None:
    text = "\r\n".join(["🛒" * 999, "x" * 1000])
    assert errors_of(note(admin_client, placed, text + "x")) == [
        "Ensure this value has at most 2000 characters (it has 2001)."
    ]
    assert errors_of(note(admin_client, placed, "\0")) == ["Null characters are not allowed."]
    assert note(admin_client, placed, text).status_code == 302
    assert len(OrderNote.objects.get().text) == 2000


def test_a_button_pressed_twice_adds_it_once(admin_client: Client, clerk: Clerk, placed: Order) -> None:
    packer = clerk("view_order", "change_order")
    for client in (admin_client, admin_client, packer):
        note(client, placed, "Nobody answers")
    assert noted() == [("Nobody answers", "admin"), ("Nobody answers", "clerk")]
    OrderNote.objects.update(at=datetime.now(UTC) - timedelta(minutes=2))
    note(admin_client, placed, "Nobody answers")
    assert len(noted()) == 3


def test_a_button_that_comes_too_late_keeps_the_text(admin_client: Client, placed: Order) -> None:
    """Nothing is half done: the page has the note still, and the next button adds it."""
    form = open_form(admin_client, change_url(placed)) | {"note": "Packed"}
    move(orders=[placed.pk], to=OrderStatus.PROCESSING, by=Actor.STAFF)
    response = admin_client.post(change_url(placed), form | {"_process": "Process"})
    assert errors_of(response) == ["Somebody was faster: the order is processing now. Nothing was saved."]
    assert noted() == []
    values = FormParser(response.content.decode()).values
    assert values["note"] == "Packed"
    save(admin_client, change_url(placed), values | {"_ship": "Ship"})
    assert noted() == [("Packed", "admin")]


def test_a_note_of_a_page_that_others_have_overtaken(admin_client: Client, placed: Order) -> None:
    form = open_form(admin_client, change_url(placed)) | {"note": "Called"}
    press(admin_client, placed, "ship", carrier="DHL")
    save(admin_client, change_url(placed), form)
    placed.refresh_from_db()
    assert (placed.status, placed.delivery.carrier, noted()) == ("shipped", "DHL", [("Called", "admin")])


def test_who_may_not_change_orders_adds_none(clerk: Clerk, placed: Order) -> None:
    OrderNote.objects.create(order=placed, text="Rings twice", username="admin")
    viewer = clerk("view_order")
    page = viewer.get(change_url(placed)).content.decode()
    assert "Rings twice" in page
    assert "<textarea" not in page
    assert viewer.post(change_url(placed), {"note": "x"}).status_code == 403
    assert len(noted()) == 1


def test_customers_never_see_it(admin_user: User, placed: Order) -> None:
    buyer, staff = (Caller(Client(), bearer(who)) for who in (placed.customer, admin_user))
    path = f"customer/{placed.customer_id}/"
    asked = [f"{path}orders/{placed.pk}/", f"{path}orders/", f"{path}export/", f"order/{placed.pk}/"]
    before = [caller.get(one).content for caller in (buyer, staff) for one in asked]
    OrderNote.objects.create(order=placed, text="Rings twice", username="admin")
    assert [caller.get(one).content for caller in (buyer, staff) for one in asked] == before


def test_a_deleted_user_leaves_their_notes(admin_client: Client, clerk: Clerk, placed: Order) -> None:
    note(clerk("view_order", "change_order"), placed, "Called")
    admin_client.post(
        reverse("admin:auth_user_delete", args=[User.objects.get(username="clerk").pk]), {"post": "yes"}
    )
    assert noted() == [("Called", "clerk")]
    assert not User.objects.filter(username="clerk").exists()


def test_a_deleted_order_takes_its_notes_along(admin_client: Client, placed: Order) -> None:
    OrderNote.objects.create(order=placed, text="Called", username="admin")
    assert "Order notes: 1" in admin_client.get(delete_url(placed)).content.decode()
    admin_client.post(delete_url(placed), {"post": "yes"})
    assert noted() == []


# Customers who are erased


def test_nothing_is_noted_of_an_erased_customer(
    admin_client: Client, deborah: Customer, order: Order
) -> None:
    form = open_form(admin_client, change_url(order)) | {"note": "Moved to Berlin"}
    note(admin_client, order, "Rings twice")
    erase(customer_id=deborah.pk, current_password="correct horse battery")
    assert noted() == []
    assert "<textarea" not in admin_client.get(change_url(order)).content.decode()
    response = admin_client.post(change_url(order), form)
    assert errors_of(response) == [ERASED]
    assert "Moved to Berlin" in response.content.decode()
    assert noted() == []


@pytest.fixture
def balanced() -> Iterator[None]:
    yield
    assert faults() == []


@pytest.mark.django_db(transaction=True)
def test_a_note_is_written_as_the_customer_is_erased(
    admin_client: Client, deborah: Customer, order: Order
) -> None:
    """Whoever is first, no note is left."""
    form = open_form(admin_client, change_url(order)) | {"note": "Moved to Berlin"}
    erased, _ = at_once(
        partial(erase, customer_id=deborah.pk, current_password="correct horse battery"),
        partial(admin_client.post, change_url(order), form),
    )
    assert erased is None
    assert noted() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("balanced")
def test_a_note_is_added_as_a_colleague_ships(admin_client: Client, placed: Order) -> None:
    form = open_form(admin_client, change_url(placed)) | {"note": "Called"}
    result = meanwhile(
        f"UPDATE \"order\" SET status = 'shipped' WHERE order_id = {placed.pk}",
        partial(admin_client.post, change_url(placed), form),
        f"INSERT INTO order_history (order_id, status, by) VALUES ({placed.pk}, 'shipped', 'staff')"
        " RETURNING 1",
    )
    assert result.status_code == 302
    placed.refresh_from_db()
    assert placed.status == "shipped"
    assert [status for status, _ in steps_of(placed)] == ["pending", "shipped"]
    assert noted() == [("Called", "admin")]
