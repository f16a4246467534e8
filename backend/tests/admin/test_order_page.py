"""An order's page: its status is moved by buttons, its delivery written, the rest shown."""

import re
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from shop.models import Category, Customer, Order, OrderHistory, OrderItem, OrderNote, Payment, Product
from shop.orders import workflow
from shop.orders.invoices import make_invoices
from shop.orders.models import Actor, Delivery, OrderStatus
from shop.orders.workflow import cancel, move
from tests.admin.conftest import Clerk
from tests.admin.test_actions import messages_of
from tests.admin.test_forms import FormParser, add_url, change_url, errors_of, new_line, open_form, save
from tests.admin.test_payments import LINES_STAY, cells_of, pay
from tests.admin.test_payments import press as press_act
from tests.support.rows import stocks

overwrite = "Somebody changed this meanwhile: it is {} now. Save again to overwrite that."
OWN_ADDRESS = "This order has no address of its own."
faster = "Somebody was faster: the order is {} now. Nothing was saved."


def buttons_of(page: str) -> list[str]:
    """What stands on the buttons of a page that are not Django's own."""
    names = re.findall(r'<input type="submit" name="_(\w+)" value="(\w+)">', page)
    assert [name.capitalize() for name, _ in names] == [label for _, label in names]
    return [label for _, label in names]


def press(client: Client, order: Order, button: str, **changes: str) -> Any:
    """Open the page, change something and press a button."""
    url = change_url(order)
    return client.post(url, open_form(client, url) | changes | {f"_{button}": button.capitalize()})


def steps_of(order: Order) -> list[tuple[str, str]]:
    return list(OrderHistory.objects.filter(order=order).order_by("pk").values_list("status", "by"))


# The status


def test_the_status_is_no_field(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order))
    assert "status" not in form
    page = admin_client.get(change_url(order)).content.decode()
    assert '<div class="readonly">Completed</div>' in page
    save(admin_client, change_url(order), form | {"status": "pending", "initial-status": "completed"})
    order.refresh_from_db()
    assert order.status == "completed"
    assert steps_of(order) == []


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("pending", ["Process", "Ship", "Complete", "Cancel"]),
        ("processing", ["Ship", "Complete", "Cancel"]),
        ("shipped", ["Complete", "Cancel"]),
        ("completed", []),
        ("cancelled", []),
    ],
)
def test_a_button_for_each_status_that_it_may_go_to(
    admin_client: Client, order: Order, status: str, buttons: list[str]
) -> None:
    Order.objects.update(status=status)
    page = admin_client.get(change_url(order)).content.decode()
    assert buttons_of(page) == buttons
    assert page.index('name="_save"') < page.find('name="_ship"') or not buttons or buttons[0] != "Ship"
    assert buttons_of(admin_client.get(add_url(Order)).content.decode()) == []


@pytest.mark.parametrize(
    ("button", "status"),
    [("process", "processing"), ("ship", "shipped"), ("complete", "completed"), ("cancel", "cancelled")],
)
def test_a_button_moves_the_order(
    admin_client: Client, admin_user: User, placed: Order, button: str, status: str
) -> None:
    response = press(admin_client, placed, button)
    assert messages_of(response) == [("success", f"Order {placed.pk} is {status} now.")]
    assert response["Location"] == change_url(placed)
    placed.refresh_from_db()
    assert placed.status == status
    assert steps_of(placed) == [("pending", "customer"), (status, "staff")]
    assert stocks() == ([2, 58] if status == "cancelled" else [0, 55])
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (admin_user, str(placed.pk))
    assert entry.get_change_message() == f"Changed Status from pending to {status}."


def test_a_button_saves_the_page_too(admin_client: Client, placed: Order, gloves: Product) -> None:
    changes = {
        "order_date": "2026-01-02",
        "carrier": "DHL",
        "tracking_number": "JJD1",
        "items-1-quantity": "4",
    }
    assert press(admin_client, placed, "ship", **changes).status_code == 302
    placed.refresh_from_db()
    assert (str(placed.order_date), placed.status) == ("2026-01-02", "shipped")
    assert (placed.delivery.carrier, placed.delivery.tracking_number) == ("DHL", "JJD1")
    assert str(placed.total_amount) == "1682.66"
    assert stocks() == [0, 54]
    assert LogEntry.objects.count() == 2


def test_a_button_beside_a_field_that_is_wrong_moves_nothing(admin_client: Client, placed: Order) -> None:
    response = press(admin_client, placed, "ship", order_date="2026-02-30")
    assert errors_of(response) == ["Enter a valid date."]
    placed.refresh_from_db()
    assert placed.status == "pending"
    assert steps_of(placed) == [("pending", "customer")]


def test_lines_of_an_order_that_is_cancelled_in_the_same_save(admin_client: Client, placed: Order) -> None:
    """What comes back is what was taken, whatever the lines become."""
    press(admin_client, placed, "cancel", **{"items-1-quantity": "50"})
    assert stocks() == [2, 58]
    assert sorted(placed.items.values_list("quantity", flat=True)) == [2, 50]


@pytest.mark.parametrize("first", ["cancel", "ship"])
def test_a_stale_button_says_what_the_order_is_now(admin_client: Client, placed: Order, first: str) -> None:
    url = change_url(placed)
    form = open_form(admin_client, url) | {"order_date": "2026-01-02", "items-0-quantity": "1"}
    if first == "cancel":
        cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    else:
        move(orders=[placed.pk], to=OrderStatus.SHIPPED, by=Actor.STAFF)
    before, stock, steps = Order.objects.values().get(), stocks(), steps_of(placed)
    response = admin_client.post(url, form | {"_cancel": "Cancel"})
    assert response.status_code == 200
    assert errors_of(response) == [faster.format("cancelled" if first == "cancel" else "shipped")]
    assert (Order.objects.values().get(), stocks(), steps_of(placed)) == (before, stock, steps)
    assert not LogEntry.objects.exists()
    page = response.content.decode()
    values = FormParser(page).values
    assert (values["order_date"], values["items-0-quantity"]) == ("2026-01-02", "1")
    assert buttons_of(page) == ([] if first == "cancel" else ["Complete", "Cancel"])
    if first == "ship":  # now it is what the user wants, knowing it
        assert admin_client.post(url, values | {"_cancel": "Cancel"}).status_code == 302
        assert steps_of(placed)[-1] == ("cancelled", "staff")
        assert stocks() == [2, 58]


@pytest.mark.parametrize("status", ["pending", "shipped", "completed", "cancelled"])
def test_a_forged_button(admin_client: Client, placed: Order, status: str) -> None:
    Order.objects.update(status=status)
    form = open_form(admin_client, change_url(placed)) | {"_process": "Process"}
    form.pop("seen_status", None)
    for seen in ({}, *({"seen_status": text} for text in ("", "zzz", "\0", "completed"))):
        response = admin_client.post(change_url(placed), form | seen)
        assert errors_of(response) == [faster.format(status)], seen
        placed.refresh_from_db()
        assert placed.status == status, seen


def test_who_may_only_look_has_no_buttons(clerk: Clerk, placed: Order) -> None:
    viewer = clerk("view_order", "view_orderitem", "view_payment")
    pay(placed, "disputed")
    Delivery.objects.update(carrier="DHL", tracking_number="JJD1")
    response = viewer.get(change_url(placed))
    page = response.content.decode()
    assert buttons_of(page) == []
    assert "seen_status" not in page
    for text in ("Hauptstraße 1", "DHL", "JJD1", "Pending"):
        assert text in page
    main = page[page.index('id="content-main"') :]
    assert not re.search(r"<button|<textarea|<select|<input(?! type=.hidden)", main)
    form = {"seen_status": "pending", "_ship": "Ship", "carrier": "UPS"}
    assert viewer.post(change_url(placed), form).status_code == 403
    placed.refresh_from_db()
    assert (placed.status, placed.delivery.carrier) == ("pending", "DHL")
    assert steps_of(placed) == [("pending", "customer")]


def test_a_button_needs_the_token_of_the_form(admin_user: User, placed: Order) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    form = open_form(client, change_url(placed)) | {"_ship": "Ship"}
    assert client.post(change_url(placed), form | {"csrfmiddlewaretoken": "x" * 64}).status_code == 403
    assert client.post(change_url(placed), form).status_code == 302
    assert steps_of(placed) == [("pending", "customer"), ("shipped", "staff")]


def test_a_new_order_begins_as_pending(admin_client: Client, ada: Customer, gloves: Product) -> None:
    form = open_form(admin_client, add_url(Order)) | {"customer": str(ada.pk)}
    form = new_line(form, product=gloves.pk, quantity=1)
    forged = {"status": "completed", "_ship": "Ship", "seen_status": "pending", "carrier": "DHL"}
    save(admin_client, add_url(Order), form | forged)
    order = Order.objects.get()
    assert order.status == "pending"
    assert steps_of(order) == [("pending", "staff")]
    assert Delivery.objects.get().carrier == ""


def test_actions_write_the_history_and_give_back(admin_client: Client, placed: Order) -> None:
    selection = {"_selected_action": [placed.pk], "index": "0"}
    for action in ("ship", "ship", "cancel", "cancel"):
        admin_client.post("/admin/shop/order/", {"action": action, **selection})
    assert steps_of(placed) == [("pending", "customer"), ("shipped", "staff"), ("cancelled", "staff")]
    assert stocks() == [2, 58]


# The delivery


def test_how_an_order_is_sent(admin_client: Client, placed: Order) -> None:
    url = change_url(placed)
    page = admin_client.get(url).content.decode()
    assert "Ada Lovelace<br>Hauptstraße 1<br>01067 Dresden" in page
    save(admin_client, url, open_form(admin_client, url) | {"carrier": "DHL", "tracking_number": "JJD1"})
    assert Delivery.objects.values_list("carrier", "tracking_number").get() == ("DHL", "JJD1")
    assert LogEntry.objects.get().get_change_message() == "Changed Carrier and Tracking number."
    form = open_form(admin_client, url)
    assert (form["carrier"], form["tracking_number"]) == ("DHL", "JJD1")
    assert form.keys() & {"first_name", "strasse", "plz", "ort"} == set()


@pytest.mark.parametrize(
    ("field", "text", "error"),
    [
        ("carrier", "x" * 51, "Ensure this value has at most 50 characters (it has 51)."),
        ("tracking_number", "x" * 101, "Ensure this value has at most 100 characters (it has 101)."),
        ("carrier", "\0", "Null characters are not allowed."),
    ],
)
def test_a_carrier_that_cannot_be_stored(
    admin_client: Client, placed: Order, field: str, text: str, error: str
) -> None:
    form = open_form(admin_client, change_url(placed)) | {field: text}
    assert errors_of(admin_client.post(change_url(placed), form)) == [error]


def test_a_tracking_number_of_somebody_else_is_not_overwritten_unseen(
    admin_client: Client, placed: Order
) -> None:
    url = change_url(placed)
    form = open_form(admin_client, url) | {"tracking_number": "mine"}
    Delivery.objects.update(tracking_number="theirs", carrier="DHL")
    response = admin_client.post(url, form)
    assert errors_of(response) == [overwrite.format("theirs")]
    values = FormParser(response.content.decode()).values
    assert values["carrier"] == "DHL"
    save(admin_client, url, values)
    assert Delivery.objects.values_list("carrier", "tracking_number").get() == ("DHL", "mine")


def test_an_order_that_was_not_placed_here_has_no_delivery(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order))
    assert form.keys() & {"carrier", "tracking_number"} == set()
    save(admin_client, change_url(order), form | {"carrier": "DHL", "initial-carrier": ""})
    assert not Delivery.objects.exists()
    assert LogEntry.objects.get().get_change_message() == "No fields changed."


# The customer


def test_the_customer_is_shown(admin_client: Client, clerk: Clerk, placed: Order, order: Order) -> None:
    Order.objects.create(customer=placed.customer)
    page = admin_client.get(change_url(placed)).content.decode()
    assert f'<a href="/admin/shop/customer/{placed.customer_id}/change/">Ada Lovelace</a><br>' in page
    assert "ada@example.com" in page
    assert f'<a href="/admin/shop/order/?customer__exact={placed.customer_id}">2 orders</a>' in page
    assert OWN_ADDRESS not in page
    page = clerk("view_order").get(change_url(placed)).content.decode()
    assert "Ada Lovelace</a><br>" not in page
    assert "Ada Lovelace<br>\nada@example.com" in page


def test_an_order_without_an_address_shows_the_customers(
    admin_client: Client, clerk: Clerk, order: Order
) -> None:
    page = admin_client.get(change_url(order)).content.decode()
    assert f"{OWN_ADDRESS} The customer's is:<br>\nnone</p>" in page
    Customer.objects.update(strasse="Am Markt 2", plz="10115", ort="Berlin")
    for client in (admin_client, clerk("view_order")):
        page = client.get(change_url(order)).content.decode()
        assert f"{OWN_ADDRESS} The customer's is:<br>\nAm Markt 2<br>10115 Berlin</p>" in page


def test_a_line_shows_how_many_more_there_are(admin_client: Client, clerk: Clerk, order: Order) -> None:
    for client in (admin_client, clerk("view_order", "view_orderitem")):
        page = client.get(change_url(order)).content.decode()
        [cell] = re.findall(r'<td class="field-in_stock">\s*<p>(\d+)</p>', page)
        assert cell == "58"


# The history


def history_of(client: Client, order: Order) -> list[tuple[str, str]]:
    """What happened to an order, and by whom, as its page shows it."""
    return [(what, by) for what, _, by in cells_of(client, order, "history")]


def test_the_history_is_shown(admin_client: Client, placed: Order) -> None:
    step = partial(OrderHistory.objects.create, order=placed)
    OrderHistory.objects.update(at=datetime(2026, 11, 24, 9, 30, tzinfo=UTC))
    step(status="shipped", by="staff", at=datetime(2026, 11, 25, 14, 0, tzinfo=UTC))
    assert cells_of(admin_client, placed, "history") == [
        ["Pending", "Nov. 24, 2026, 9:30 a.m.", "customer"],
        ["Shipped", "Nov. 25, 2026, 2 p.m.", "staff"],
    ]


def test_the_history_says_who_of_the_staff_it_was(admin_client: Client, clerk: Clerk, placed: Order) -> None:
    press(clerk("view_order", "change_order"), placed, "process", carrier="DHL")
    admin_client.post("/admin/shop/order/", {"action": "ship", "_selected_action": [placed.pk], "index": "0"})
    workflow.set_status(order_id=placed.pk, to=OrderStatus.COMPLETED)  # a program of the staff
    assert history_of(admin_client, placed) == [
        ("Pending", "customer"),
        ("Processing", "clerk (staff)"),
        ("Changed Carrier.", "clerk"),
        ("Shipped", "admin (staff)"),
        ("Completed", "staff"),
    ]


def test_the_history_says_who_marked_an_order_as_paid(
    admin_client: Client, clerk: Clerk, placed: Order, jonas: Customer
) -> None:
    cashier = clerk("view_order", "change_order", "change_payment")
    on_its_way = Order.objects.create(customer=jonas, status="pending", total_amount=5)
    move(orders=[on_its_way.pk], to=OrderStatus.PROCESSING, by=Actor.STAFF)  # a program of the staff
    for order in (placed, on_its_way):
        press_act(cashier, order, "Mark as paid")
    assert history_of(admin_client, placed) == [
        ("Pending", "customer"),
        ("Processing", "clerk (staff)"),
        ("Marked as paid.", "clerk"),
    ]
    assert history_of(admin_client, on_its_way) == [("Processing", "staff"), ("Marked as paid.", "clerk")]


def test_a_move_that_the_history_does_not_have_is_in_it_by_the_log(
    admin_client: Client, admin_user: User, order: Order
) -> None:
    LogEntry.objects.log_actions(admin_user.pk, [order], ADDITION, [{"added": {}}])
    LogEntry.objects.log_actions(admin_user.pk, [order], CHANGE, "Changed Status from pending to shipped.")
    OrderHistory.objects.create(order=order, status="shipped", by="customer")
    assert history_of(admin_client, order) == [
        ("Added.", "admin"),
        ("Changed Status from pending to shipped.", "admin"),
        ("Shipped", "customer"),
    ]


def test_a_page_costs_the_same_queries_at_1_and_at_50_of_everything(
    admin_client: Client,
    admin_user: User,
    placed: Order,
    home: Category,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    url = change_url(placed)
    admin_client.get(url)
    # Session and user; the order, its delivery and its history, the log of it, notes; how many lines there
    # are, the lines, their products, the customer, and as the one chosen; its payments, whether it is to be
    # paid, its invoices, its mails; whether an invoice or a payment holds its lines.
    with django_assert_num_queries(18):
        admin_client.get(url)
    OrderHistory.objects.bulk_create(
        OrderHistory(order=placed, status="pending", by="staff") for _ in range(49)
    )
    OrderNote.objects.bulk_create(OrderNote(order=placed, text=str(n), username="clerk") for n in range(50))
    LogEntry.objects.log_actions(admin_user.pk, [placed] * 50, CHANGE, "Changed Carrier.")
    products = [Product.objects.create(name=str(n), price=1, category=home) for n in range(50)]
    OrderItem.objects.bulk_create(
        OrderItem(order=placed, product=product, quantity=1, price_per_unit=1) for product in products
    )
    with django_assert_num_queries(18):
        admin_client.get(url)


def line_inputs(page: str) -> list[str]:
    """What of lines a page lets change, that of a line to be added, too."""
    return re.findall(r'name="items-(?:\d+|__prefix__)-(product|quantity|price_per_unit|DELETE)"', page)


def test_lines_that_something_holds_are_not_to_be_changed(admin_client: Client, placed: Order) -> None:
    """The page says why; what else it has can be changed, also when the lines are free again."""
    url = change_url(placed)
    by_invoice = "The lines cannot change: the order has the invoice R-000001."
    for hold, reason in (
        (partial(pay, placed, "open"), LINES_STAY),
        (partial(make_invoices, orders=[placed.pk]), by_invoice),
    ):
        page = admin_client.get(url).content.decode()
        assert reason not in page
        assert set(line_inputs(page)) == {"product", "quantity", "price_per_unit", "DELETE"}
        hold()
        form = open_form(admin_client, url)
        wrong = admin_client.post(url, form | {"note": "x" * 2001})
        assert errors_of(wrong) == ["Ensure this value has at most 2000 characters (it has 2001)."]
        for page in (admin_client.get(url).content.decode(), wrong.content.decode()):
            assert reason in page
            assert line_inputs(page) == []
        save(admin_client, url, form | {"carrier": "DHL"})
        assert Delivery.objects.get().carrier == "DHL"
        Payment.objects.update(status="failed")
        save(admin_client, url, form | {"carrier": "UPS", "initial-carrier": "DHL"})
        save(admin_client, url, open_form(admin_client, url) | {"carrier": ""})
    assert list(placed.items.order_by("pk").values_list("quantity", flat=True)) == [2, 3]


def test_who_may_only_delete_lines_can_still_do_so_after_an_error(clerk: Clerk, placed: Order) -> None:
    client = clerk("view_order", "change_order", "view_orderitem", "delete_orderitem")
    url = change_url(placed)
    for page in (client.get(url), client.post(url, open_form(client, url) | {"note": "x" * 2001})):
        assert line_inputs(page.content.decode()) == ["DELETE", "DELETE"]


def test_an_order_with_an_invoice_keeps_its_customer(
    admin_client: Client, placed: Order, jonas: Customer
) -> None:
    make_invoices(orders=[placed.pk])
    form = open_form(admin_client, change_url(placed)) | {"customer": str(jonas.pk)}
    response = admin_client.post(change_url(placed), form)
    assert errors_of(response) == ["The customer cannot change: the order has the invoice R-000001."]
    placed.refresh_from_db()
    assert placed.customer_id != jonas.pk
