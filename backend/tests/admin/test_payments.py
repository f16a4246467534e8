"""Payments in the admin: what an order's page shows of them, and what staff do with them."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from shop.models import Customer, Mail, Order, OrderItem, Payment, Product
from shop.orders.models import Actor, Delivery, PaymentStatus
from shop.orders.workflow import cancel
from tests.admin.conftest import Clerk
from tests.admin.test_actions import confirm, delete_url, messages_of, run
from tests.admin.test_admin import keys_of, list_of, page_url
from tests.admin.test_forms import add_url, change_url, errors_of, new_line, open_form, save
from tests.support.races import at_once, conflict_at_commit, meanwhile

pytestmark = pytest.mark.django_db

HOLDING = ["open", "paid", "disputed", "refunding"]
NOT_HOLDING = ["failed", "expired", "refunded", "refund_failed"]
WHAT_HOLDS = "1 payment that is open, paid, disputed or to be refunded"
MOVED = "Changed Status from pending to processing."
LINES_STAY = "The lines cannot change while a payment of the order is open, paid, refunding or disputed."
FASTER = "Somebody was faster: {} is {} now. Nothing was changed."


def pay(order: Order, status: str = "paid", provider: str = "stripe", **columns: Any) -> Payment:
    """Give an order a payment that is so."""
    Delivery.objects.filter(order=order).update(payment_provider=provider)
    columns = {"amount": order.total_amount, "currency": "EUR"} | columns
    return Payment.objects.create(order=order, provider=provider, status=status, **columns)


def act_url(obj: Model, act: str) -> str:
    return reverse(f"admin:shop_{obj._meta.model_name}_{act}", args=[obj.pk])


BUTTON = re.compile(
    r'<button class="button" form="payment_form" formaction="(.*?)" name="seen" value="(.*?)">(.*?)</button>'
)


def buttons_of(client: Client, order: Order) -> dict[str, tuple[str, str]]:
    """Address and value of each button in the page of an order that acts on payments."""
    page = client.get(change_url(order)).content.decode()
    assert '<form method="post" id="payment_form">' in page
    return {label: (url, seen) for url, seen, label in BUTTON.findall(page)}


def press(client: Client, order: Order, label: str) -> Any:
    url, seen = buttons_of(client, order)[label]
    return client.post(url, {"seen": seen})


def cells_of(client: Client, order: Order, table: str) -> list[list[str]]:
    """Return the text of the cells of a table in the page of an order."""
    page = client.get(change_url(order)).content.decode()
    body = re.search(rf'<table class="{table}">.*?<tbody>(.*?)</tbody>', page, re.S)
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.S) if body else []
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.S) for row in rows]
    return [
        [unescape(re.sub(r"<.*?>", "", cell.replace("<br>", "\n"))).strip() for cell in row] for row in cells
    ]


# What the page of an order shows


def test_payments_are_shown(admin_client: Client, placed: Order) -> None:
    begun: Any = {"created_at": datetime(2026, 11, 24, 9, 30, tzinfo=UTC)}
    changed: Any = {"changed_at": datetime(2026, 11, 25, 14, 0, tzinfo=UTC)}
    received: Any = {"received": Decimal("1446.67"), "received_currency": "EUR"}
    failed = pay(placed, "failed", note="The card was refused", **begun, **changed)
    refunded = pay(placed, "refunded", "test", **begun, **changed, **received)
    received = {"received": Decimal("7.00"), "received_currency": "USD"}
    disputed = pay(placed, "disputed", **begun, **changed, **received)
    times = ["Nov. 24, 2026, 9:30 a.m.", "Nov. 25, 2026, 2 p.m."]
    assert cells_of(admin_client, placed, "payments") == [
        [f"Payment {failed.pk}", "Failed\nThe card was refused", "1446.67 EUR", "", "Stripe", *times, ""],
        [f"Payment {refunded.pk}", "Refunded", "1446.67 EUR", "", "Test", *times, ""],
        [
            f"Payment {disputed.pk}",
            "Disputed",
            "1446.67 EUR",
            "7.00 USD",
            "Stripe",
            *times,
            "Accept Refund",
        ],
    ]
    page = admin_client.get(change_url(placed)).content.decode()
    assert f'<a href="/admin/shop/payment/{failed.pk}/change/">Payment {failed.pk}</a>' in page


def test_mails_are_shown(admin_client: Client, placed: Order, order: Order) -> None:
    written = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    Mail.objects.update(written_at=written)
    mail = partial(
        Mail.objects.create, order=placed, recipients="ada@example.com", text="x", written_at=written
    )
    mail(kind="paid", subject="<b>Paid</b>", sent_at=datetime(2026, 11, 25, 14, 0, tzinfo=UTC))
    mail(kind="cancelled", subject="Cancelled", dropped="too old")
    mail(kind="shipped", subject="Another order", order=order)
    assert cells_of(admin_client, placed, "mails") == [
        [f"Your order {placed.pk}", "Nov. 24, 2026, 9:30 a.m.", "Waiting"],
        ["<b>Paid</b>", "Nov. 24, 2026, 9:30 a.m.", "Nov. 25, 2026, 2 p.m."],
        ["Cancelled", "Nov. 24, 2026, 9:30 a.m.", "Never: too old"],
    ]
    page = admin_client.get(change_url(placed)).content.decode()
    key = Mail.objects.get(kind="placed").pk
    assert f'<a href="/admin/shop/mail/{key}/change/">Your order {placed.pk}</a>' in page


def test_an_order_without_either(admin_client: Client, order: Order) -> None:
    assert cells_of(admin_client, order, "payments") == cells_of(admin_client, order, "mails") == []
    assert "Payments</h2>" not in admin_client.get(add_url(Order)).content.decode()


def test_a_page_costs_the_same_queries_at_1_and_at_20_payments_and_mails(
    admin_client: Client, placed: Order, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pay(placed)
    admin_client.get(change_url(placed))
    with django_assert_num_queries(18):
        admin_client.get(change_url(placed))
    for _ in range(19):
        pay(placed, "refund_failed")
        Mail.objects.create(order=placed, kind="paid", recipients="a@b.de", subject="Paid", text="x")
    with django_assert_num_queries(18):
        admin_client.get(change_url(placed))


# Buttons


@pytest.mark.parametrize(
    ("status", "provider", "labels"),
    [
        ("open", "stripe", []),
        ("paid", "stripe", ["Refund"]),
        ("disputed", "stripe", ["Accept", "Refund"]),
        ("refunding", "stripe", []),
        ("refund_failed", "stripe", ["Refund", "Mark as refunded"]),
        ("refunded", "stripe", []),
        ("failed", "test", []),
        ("expired", "test", []),
        ("open", "invoice", ["Mark as paid"]),
        ("paid", "invoice", ["Refund"]),
        ("refunding", "invoice", ["Mark as refunded"]),
    ],
)
def test_a_button_for_each_thing_that_can_be_done(
    admin_client: Client, placed: Order, status: str, provider: str, labels: list[str]
) -> None:
    payment = pay(placed, status, provider)
    buttons = buttons_of(admin_client, placed)
    assert list(buttons) == labels
    for label, button in buttons.items():
        if label == "Mark as paid":
            assert button == (act_url(placed, "mark_paid"), "1446.67")
        else:
            assert button == (act_url(payment, label.lower().replace("mark as ", "mark_")), status)


@pytest.mark.parametrize("status", ["pending", "processing", "shipped", "completed"])
def test_what_was_sent_on_invoice_can_be_paid(
    admin_client: Client, placed: Order, order: Order, status: str
) -> None:
    """Also an order that was not placed here."""
    Order.objects.update(status=status)
    for each in (placed, order):
        assert list(buttons_of(admin_client, each)) == ["Mark as paid"]


def test_what_is_cancelled_or_paid_online_is_not_marked(
    admin_client: Client, placed: Order, order: Order
) -> None:
    Order.objects.filter(pk=order.pk).update(status="cancelled")
    Delivery.objects.update(payment_provider="stripe")
    for each in (placed, order):
        assert buttons_of(admin_client, each) == {}
        response = admin_client.post(act_url(each, "mark_paid"), {"seen": str(each.total_amount)})
        each.refresh_from_db()
        assert messages_of(response) == [("error", FASTER.format(each, each.status))]
    assert not Payment.objects.exists()
    assert not LogEntry.objects.exists()


# What they do


@pytest.mark.parametrize(
    ("label", "status", "provider", "then"),
    [
        ("Accept", "disputed", "stripe", "paid"),
        ("Refund", "paid", "stripe", "refunding"),
        ("Refund", "disputed", "test", "refunding"),
        ("Refund", "refund_failed", "stripe", "refunding"),
        ("Refund", "paid", "invoice", "refunding"),
        ("Mark as refunded", "refunding", "invoice", "refunded"),
        ("Mark as refunded", "refund_failed", "stripe", "refunded"),
    ],
)
def test_a_button_acts_on_the_payment(
    admin_client: Client, admin_user: User, placed: Order, label: str, status: str, provider: str, then: str
) -> None:
    payment = pay(placed, status, provider)
    response = press(admin_client, placed, label)
    assert messages_of(response) == [("success", f"Payment {payment.pk} is {then} now.")]
    assert response["Location"] == change_url(placed)
    assert Payment.objects.get().status == then
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.object_repr) == (
        admin_user,
        str(placed.pk),
        f"Order {placed.pk}",
    )
    assert entry.get_change_message() == f"{label}: Payment {payment.pk}."
    history = admin_client.get(reverse("admin:shop_order_history", args=[placed.pk])).content.decode()
    assert f"<td>{label}: Payment {payment.pk}.</td>" in history


def test_an_order_is_marked_as_paid(admin_client: Client, admin_user: User, placed: Order) -> None:
    response = press(admin_client, placed, "Mark as paid")
    assert messages_of(response) == [("success", f"Order {placed.pk} is paid now.")]
    assert response["Location"] == change_url(placed)
    payment = Payment.objects.get()
    assert (payment.order, payment.provider, payment.status) == (placed, "invoice", "paid")
    assert (payment.amount, payment.currency) == (Decimal("1446.67"), "EUR")
    placed.refresh_from_db()
    assert placed.status == "processing"
    assert list(placed.history.order_by("pk").values_list("status", "by")) == [
        ("pending", "customer"),
        ("processing", "staff"),
    ]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.object_repr) == (
        admin_user,
        str(placed.pk),
        f"Order {placed.pk}",
    )
    assert entry.get_change_message() == f"Marked as paid. {MOVED}"


def test_what_began_is_what_is_paid(admin_client: Client, placed: Order) -> None:
    payment = pay(placed, "open", "invoice")
    press(admin_client, placed, "Mark as paid")
    assert Payment.objects.get() == payment
    assert Payment.objects.get().status == "paid"


# What they do not


@pytest.mark.parametrize(("label", "then"), [("Accept", "paid"), ("Refund", "refunding")])
def test_a_second_click(admin_client: Client, placed: Order, label: str, then: str) -> None:
    payment = pay(placed, "disputed")
    url, seen = buttons_of(admin_client, placed)[label]
    admin_client.post(url, {"seen": seen})
    response = admin_client.post(url, {"seen": seen})
    assert messages_of(response)[-1] == ("error", FASTER.format(payment, then))
    assert response["Location"] == change_url(placed)
    assert Payment.objects.get().status == then
    assert LogEntry.objects.count() == 1


def test_a_colleague_who_saw_it_otherwise(admin_client: Client, placed: Order) -> None:
    """Refunding what was accepted meanwhile is possible, but not what was meant."""
    payment = pay(placed, "disputed")
    url, seen = buttons_of(admin_client, placed)["Refund"]
    press(admin_client, placed, "Accept")
    assert messages_of(admin_client.post(url, {"seen": seen}))[-1] == (
        "error",
        FASTER.format(payment, "paid"),
    )
    assert Payment.objects.get().status == "paid"
    assert LogEntry.objects.count() == 1


def test_a_second_click_on_mark_as_paid(admin_client: Client, placed: Order) -> None:
    url, seen = buttons_of(admin_client, placed)["Mark as paid"]
    admin_client.post(url, {"seen": seen})
    response = admin_client.post(url, {"seen": seen})
    payment = Payment.objects.get()
    assert messages_of(response)[-1] == ("error", FASTER.format(payment, "paid"))
    assert (LogEntry.objects.count(), placed.history.count()) == (1, 2)


def test_an_order_that_is_cancelled_meanwhile_is_not_paid(admin_client: Client, placed: Order) -> None:
    url, seen = buttons_of(admin_client, placed)["Mark as paid"]
    cancel(order_id=placed.pk, by=Actor.CUSTOMER)
    assert messages_of(admin_client.post(url, {"seen": seen})) == [
        ("error", FASTER.format(placed, "cancelled"))
    ]
    assert not Payment.objects.exists()


def test_a_total_that_changes_meanwhile_is_not_paid(
    admin_client: Client, placed: Order, gloves: Product
) -> None:
    url, seen = buttons_of(admin_client, placed)["Mark as paid"]
    OrderItem.objects.filter(product=gloves).update(quantity=4)
    placed.update_total()
    assert messages_of(admin_client.post(url, {"seen": seen})) == [
        ("error", "The total is 1,682.66 now. Nothing was changed.")
    ]
    assert not Payment.objects.exists()


ROLES = {
    (): [],
    ("change_payment",): ["Accept", "Refund"],
    ("change_order",): [],
    ("change_order", "change_payment"): ["Accept", "Refund", "Mark as paid"],
    ("view_payment", "view_mail", "view_orderitem"): [],
}


@pytest.mark.parametrize("permissions", ROLES)
def test_who_may_do_what(clerk: Clerk, placed: Order, order: Order, permissions: tuple[str, ...]) -> None:
    client = clerk("view_order", *permissions)
    payment = pay(placed, "disputed")
    labels = [*buttons_of(client, placed), *buttons_of(client, order)]
    assert labels == ROLES[permissions]
    for act, label in (("accept", "Accept"), ("refund", "Refund"), ("mark_refunded", "Mark as refunded")):
        if label not in labels and "change_payment" not in permissions:
            assert client.post(act_url(payment, act), {"seen": "disputed"}).status_code == 403
    if "Mark as paid" not in labels:
        assert client.post(act_url(order, "mark_paid"), {"seen": "471.98"}).status_code == 403
    links = (
        f'<a href="/admin/shop/payment/{payment.pk}/change/">',
        f'<a href="/admin/shop/mail/{Mail.objects.get().pk}',
    )
    page = client.get(change_url(placed)).content.decode()
    assert [link in page for link in links] == ["view_payment" in permissions] * 2
    assert Payment.objects.get().status == "disputed"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("status", PaymentStatus.values)
def test_a_forged_act(admin_client: Client, placed: Order, status: str) -> None:
    payment = pay(placed, status)
    ripe = {
        "accept": ["disputed"],
        "refund": ["paid", "disputed", "refund_failed"],
        "mark_refunded": ["refund_failed"],
    }
    for act, statuses in ripe.items():
        for seen in ("", "zzz", "\0", *([] if status in statuses else [status])):
            response = admin_client.post(act_url(payment, act), {"seen": seen})
            text = FASTER.format(payment, status.replace("_", " "))
            assert messages_of(response)[-1] == ("error", text)
    assert Payment.objects.get().status == status
    assert not LogEntry.objects.exists()


def test_a_forged_total(admin_client: Client, placed: Order) -> None:
    for form in ({}, *({"seen": seen} for seen in ("", "zzz", "\0", "1,446.67", "1446.670"))):
        response = admin_client.post(act_url(placed, "mark_paid"), form)
        assert messages_of(response)[-1] == ("error", "The total is 1,446.67 now. Nothing was changed.")
    assert not Payment.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_conflict_as_it_commits(admin_client: Client, placed: Order) -> None:
    form = {"seen": str(placed.total_amount)}
    with conflict_at_commit(Order):
        response = admin_client.post(act_url(placed, "mark_paid"), form)
    text = "Somebody else is changing this at this moment. Try again."
    assert messages_of(response) == [("error", text)]
    assert Order.objects.get().status == "pending"
    assert not Payment.objects.exists()


ACTS = [("payment", "accept"), ("payment", "refund"), ("payment", "mark_refunded"), ("order", "mark_paid")]


@pytest.mark.parametrize(("model", "act"), ACTS)
def test_what_is_not_there(admin_client: Client, placed: Order, model: str, act: str) -> None:
    for key in ("abc", "%00", "0", "-1", "²", "1" * 30, "9" * 5000, "1/2"):
        response = admin_client.post(f"/admin/shop/{model}/{key}/{act}/", {"seen": "paid"})
        level, text = messages_of(response)[-1]
        assert level == "warning"
        assert text.endswith("doesn’t exist. Perhaps it was deleted?")
        assert response["Location"] == "/admin/"


@pytest.mark.parametrize(("model", "act"), ACTS)
def test_only_the_form_of_a_page_acts(admin_user: User, placed: Order, model: str, act: str) -> None:
    payment = pay(placed, "disputed")
    url = act_url({"payment": payment, "order": placed}[model], act)
    client = Client(enforce_csrf_checks=True)
    assert client.post(url, {"seen": "disputed"}).status_code == 403
    client.force_login(admin_user)
    assert client.post(url, {"seen": "disputed"}).status_code == 403
    for method in (client.get, client.head):
        response = method(url)
        assert (response.status_code, response["Allow"]) == (405, "POST")
    anybody = Client().post(url, {"seen": "disputed"})
    assert (anybody.status_code, anybody["Location"]) == (302, f"/admin/login/?next={url}")
    assert Payment.objects.get().status == "disputed"
    token = open_form(client, change_url(placed))["csrfmiddlewaretoken"]
    assert client.post(url, {"seen": "x", "csrfmiddlewaretoken": token}).status_code == 302


# Marking many


def test_selected_orders_are_marked_as_paid(admin_client: Client, deborah: Customer, placed: Order) -> None:
    statuses = ["pending", "shipped", "completed", "cancelled"]
    orders = [Order.objects.create(customer=deborah, status=status, total_amount=5) for status in statuses]
    Payment.objects.create(order=orders[1], provider="invoice", status="open", amount=5, currency="EUR")
    pay(placed, "failed")
    assert messages_of(run(admin_client, "mark_paid", *orders, placed)) == [
        ("success", "3 orders are paid now."),
        ("warning", "2 orders stayed as they were: they are paid already, cancelled or paid online."),
    ]
    assert list(Payment.objects.filter(status="paid").order_by("order").values_list("order", flat=True)) == [
        order.pk for order in orders[:3]
    ]
    assert list(Order.objects.order_by("pk").values_list("status", flat=True)) == [
        "pending",
        "processing",
        "shipped",
        "completed",
        "cancelled",
    ]
    entries = LogEntry.objects.order_by("object_id").values_list("object_id", "change_message")
    texts = [f"Marked as paid. {MOVED}", "Marked as paid.", "Marked as paid."]
    assert list(entries) == [(str(order.pk), text) for order, text in zip(orders, texts, strict=False)]
    assert messages_of(run(admin_client, "mark_paid", orders[0]))[-1] == (
        "warning",
        "1 order stayed as it was: it is paid already, cancelled or paid online.",
    )
    assert Payment.objects.filter(order=orders[0]).count() == 1


def test_any_number_of_orders_is_marked_in_the_same_statements(
    admin_client: Client, deborah: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ContentType.objects.get_for_model(Order)  # which is remembered
    selection = {"action": "mark_paid", "_selected_action": "1", "select_across": "1", "index": "0"}
    for number in (1, 50):
        Order.objects.all().delete()
        Order.objects.bulk_create(Order(customer=deborah) for _ in range(number))
        # Session and user, what the list counts, the selection; the lock, what is payable, what began, that
        # updated, the payments; the move, its lock and the history; the mails' orders, the mails, the log;
        # the rest are transactions within each other, each with a beginning and an end.
        with django_assert_num_queries(15 + 6):
            admin_client.post(f"{page_url(Order, 'changelist')}?q=deborah", selection)
        assert Payment.objects.filter(status="paid").count() == number


def test_marking_needs_the_permission(clerk: Clerk, order: Order) -> None:
    viewer = clerk("view_order", "change_payment")
    assert '<option value="mark_paid">' not in viewer.get(page_url(Order, "changelist")).content.decode()
    assert messages_of(run(viewer, "mark_paid", order))[-1] == ("warning", "No action selected.")
    assert not Payment.objects.exists()


# Lines and rows that stay


@pytest.mark.parametrize("status", HOLDING)
def test_lines_stay_while_a_payment_holds_them(
    admin_client: Client, placed: Order, gloves: Product, status: str
) -> None:
    url = change_url(placed)
    form = open_form(admin_client, url)
    pay(placed, status)
    before = list(OrderItem.objects.order_by("pk").values())
    for changed in (
        form | {"items-1-quantity": "4"},
        form | {"items-1-DELETE": "on"},
        new_line(form, product=gloves.pk, quantity=1, price_per_unit=1),
    ):
        assert errors_of(admin_client.post(url, changed)) == [LINES_STAY]
    assert list(OrderItem.objects.order_by("pk").values()) == before
    assert sorted(Product.objects.values_list("stock", flat=True)) == [0, 55]
    save(admin_client, url, form | {"carrier": "DHL"})
    assert Delivery.objects.get().carrier == "DHL"


@pytest.mark.parametrize("status", NOT_HOLDING)
def test_lines_change_when_no_payment_holds_them(admin_client: Client, placed: Order, status: str) -> None:
    pay(placed, status)
    save(
        admin_client,
        change_url(placed),
        open_form(admin_client, change_url(placed)) | {"items-1-quantity": "4"},
    )
    placed.refresh_from_db()
    assert placed.total_amount == Decimal("1682.66")


@pytest.mark.parametrize("what", ["order", "line"])
@pytest.mark.parametrize("way", ["page", "action"])
def test_what_a_payment_holds_is_not_deleted(
    admin_client: Client, placed: Order, what: str, way: str
) -> None:
    payment = pay(placed)
    obj: Any = {"order": placed, "line": placed.items.first()}[what]
    has = {"order": "has", "line": "its order has"}[what]
    for status in [*HOLDING, "refund_failed", "expired"]:
        # What is expired, before its page is closed.
        until = timezone.now() + timedelta(hours=1)
        Payment.objects.filter(pk=payment.pk).update(status=status, expires_at=until)
        if way == "page":
            asked: Any = admin_client.get(delete_url(obj))
            answer: Any = admin_client.post(delete_url(obj), {"post": "yes"})
        else:
            asked, answer = run(admin_client, "delete_selected", obj), confirm(admin_client, obj)
        for response in (asked, answer):
            page = response.getvalue().decode()
            assert f"<li>{obj}: {has} {WHAT_HOLDS}</li>" in page
            assert "Yes, I’m sure" not in page
    assert (Order.objects.count(), OrderItem.objects.count(), Payment.objects.count()) == (1, 2, 1)


@pytest.mark.parametrize("status", ["failed", "expired", "refunded"])
@pytest.mark.parametrize("what", ["order", "line"])
def test_what_no_payment_holds_is_deleted(
    admin_client: Client, placed: Order, what: str, status: str
) -> None:
    """With its payments and mails, which nobody can delete alone."""
    pay(placed, status)
    obj: Any = {"order": placed, "line": placed.items.first()}[what]
    assert admin_client.post(delete_url(obj), {"post": "yes"}).status_code == 302
    assert not type(obj).objects.filter(pk=obj.pk).exists()
    assert (Payment.objects.count(), Mail.objects.count()) == ((1, 1) if what == "line" else (0, 0))


# Several at once


def begins(order: Order) -> str:
    """Return the statement by which a payment of this order begins, for who has locked it."""
    return (
        "INSERT INTO payment (order_id, provider, amount, currency, key)"
        f" VALUES ({order.pk}, 'stripe', 1446.67, 'EUR', gen_random_uuid()) RETURNING 1"
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["lines", "order", "line"])
def test_a_payment_begins_as_the_form_is_saved(admin_client: Client, placed: Order, what: str) -> None:
    line = placed.items.first()
    if what == "lines":
        url = change_url(placed)
        form = open_form(admin_client, url) | {"items-1-quantity": "4"}
    else:
        objs: Any = {"order": placed, "line": line}
        url, form = delete_url(objs[what]), {"post": "yes"}
    lock = f'SELECT FROM "order" WHERE order_id = {placed.pk} FOR NO KEY UPDATE'
    response = meanwhile(lock, partial(admin_client.post, url, form), begins(placed))
    assert Payment.objects.get().status == "open"
    if what == "lines":
        assert errors_of(response) == [LINES_STAY]
    else:
        assert WHAT_HOLDS in response.content.decode()
    placed.refresh_from_db()
    assert (placed.total_amount, placed.items.count()) == (Decimal("1446.67"), 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("mine", "theirs"), [("Refund", "Refund"), ("Accept", "Refund"), ("Accept", "Accept")]
)
def test_two_of_the_staff_act_at_once(admin_user: User, placed: Order, mine: str, theirs: str) -> None:
    payment = pay(placed, "disputed")
    calls = []
    for label in (mine, theirs):
        client = Client()
        client.force_login(admin_user)
        url, seen = buttons_of(client, placed)[label]
        calls.append(partial(client.post, url, {"seen": seen}))
    said = sorted(messages_of(response)[0] for response in at_once(*calls))
    payment.refresh_from_db()
    assert payment.status in ({"Accept": "paid", "Refund": "refunding"}[label] for label in (mine, theirs))
    assert said == [
        ("error", FASTER.format(payment, payment.status)),
        ("success", f"{payment} is {payment.status} now."),
    ]
    assert LogEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_of_the_staff_mark_an_order_as_paid(admin_user: User, placed: Order) -> None:
    clients = [Client(), Client()]
    for client in clients:
        client.force_login(admin_user)
    button, action = at_once(
        partial(clients[0].post, act_url(placed, "mark_paid"), {"seen": "1446.67"}),
        partial(run, clients[1], "mark_paid", placed),
    )
    assert sorted(messages_of(response)[0][0] == "success" for response in (button, action)) == [False, True]
    assert Payment.objects.get().status == "paid"
    assert placed.history.count() == 2
    assert LogEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_order_is_deleted_as_its_payment_is_given_back(admin_client: Client, placed: Order) -> None:
    payment = pay(placed, "refund_failed")
    response = meanwhile(
        f'SELECT FROM "order" WHERE order_id = {placed.pk} FOR NO KEY UPDATE',
        partial(admin_client.post, act_url(payment, "refund"), {"seen": "refund_failed"}),
        f'DELETE FROM mail; DELETE FROM "order" WHERE order_id = {placed.pk} RETURNING 1',
    )
    assert response["Location"] == "/admin/"
    assert not LogEntry.objects.exists()


# The list


def test_list_of_payments(admin_client: Client, placed: Order, order: Order) -> None:
    at = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    paid = pay(placed, created_at=at, reference="cs_1")
    failed = pay(order, "failed", "test", created_at=at)
    rows = [
        [str(failed.pk), f"Order {order.pk}", "Test", "Failed", "471.98", "EUR", "Nov. 24, 2026, 9:30 a.m."],
        [str(paid.pk), f"Order {placed.pk}", "Stripe", "Paid", "1446.67", "EUR", "Nov. 24, 2026, 9:30 a.m."],
    ]
    assert list_of(admin_client, Payment) == rows
    for parameters in (
        {"status__exact": "paid"},
        {"provider__exact": "stripe"},
        {"q": placed.pk},
        {"q": "cs_1"},
    ):
        assert list_of(admin_client, Payment, **parameters) == rows[1:], parameters
    page = admin_client.get(page_url(Payment, "changelist")).content.decode()
    assert f'<a href="/admin/shop/order/{order.pk}/change/">Order {order.pk}</a>' in page
    for nonsense in ("abc", "9" * 40, "cs"):
        assert keys_of(admin_client, Payment, q=nonsense) == []
    for lookup in ("token__startswith", "order__customer__password__startswith", "status__in"):
        assert admin_client.get(page_url(Payment, "changelist"), {lookup: "a"}).status_code == 400


def test_the_list_costs_the_same_queries_at_1_and_at_50_payments(
    admin_client: Client, placed: Order, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pay(placed)
    with django_assert_num_queries(4):
        list_of(admin_client, Payment)
    for _ in range(49):
        pay(placed, "failed")
    with django_assert_num_queries(4):
        list_of(admin_client, Payment)


def test_a_payment_is_looked_at_alone(admin_client: Client, placed: Order) -> None:
    payment = pay(placed, "open", token="secret-token", url="https://pay.example/secret", reference="cs_1")
    page = admin_client.get(change_url(payment)).content.decode()
    assert "cs_1" in page
    for secret in ("secret", str(payment.key)):
        assert secret not in page
    assert "_save" not in page
    for url in (change_url(payment), delete_url(payment), add_url(Payment)):
        assert admin_client.post(url, {"status": "paid", "post": "yes"}).status_code == 403
    assert 'name="action"' not in admin_client.get(page_url(Payment, "changelist")).content.decode()
    run(admin_client, "delete_selected", payment)
    assert Payment.objects.get().status == "open"


def test_who_may_see_payments(clerk: Clerk, placed: Order) -> None:
    payment = pay(placed)
    client = clerk("view_order", "change_order")
    assert client.get(change_url(payment)).status_code == 403
    assert client.get(page_url(Payment, "changelist")).status_code == 403


def test_trouble_is_what_waits_for_staff(admin_client: Client, placed: Order) -> None:
    fine = [("stripe", "paid"), ("stripe", "refunding"), ("stripe", "failed"), ("invoice", "refunded")]
    for provider, status in fine:
        pay(placed, status, provider)
    trouble = [pay(placed, "refund_failed").pk, pay(placed, "refunding", "invoice").pk]
    Payment.objects.filter(status="paid").update(status="open")
    assert keys_of(admin_client, Payment, trouble="yes") == trouble[::-1]
    Payment.objects.filter(status="open").update(status="disputed")
    assert len(keys_of(admin_client, Payment, trouble="yes")) == 3
    assert len(keys_of(admin_client, Payment, trouble="nonsense")) == 0
