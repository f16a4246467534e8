"""The admin's actions: moving orders on, deleting, and exporting."""

import csv
import io
import threading
import time
from datetime import date
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.messages import get_messages
from django.db import connection, transaction
from django.db.models import Model
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from shop.admin.csv_export import ROWS_AT_ONCE
from shop.api.csv_text import csv_lines
from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, OrderStatus, Product
from shop.orders.models import Actor
from shop.orders.workflow import move
from tests.admin.test_forms import change_url, open_form, save


def run(client: Client, action: str, *rows: Model, **fields: str) -> HttpResponseBase:
    """Run an action on these rows, as the list page of their table sends it."""
    url = reverse(f"admin:shop_{rows[0]._meta.model_name}_changelist")
    selected = [str(row.pk) for row in rows]
    return client.post(url, {"action": action, "_selected_action": selected, "index": "0", **fields})


def confirm(client: Client, *rows: Model) -> HttpResponseBase:
    """Say yes on the page that asks whether these rows should be deleted."""
    url = reverse(f"admin:shop_{rows[0]._meta.model_name}_changelist")
    selected = [str(row.pk) for row in rows]
    return client.post(url, {"action": "delete_selected", "_selected_action": selected, "post": "yes"})


def delete_url(obj: Model) -> str:
    return reverse(f"admin:shop_{obj._meta.model_name}_delete", args=[obj.pk])


def messages_of(response: HttpResponseBase) -> list[tuple[str, str]]:
    """Return level and text of the messages that the next page shows."""
    assert response.status_code == 302
    request = response.wsgi_request  # type: ignore[attr-defined]
    return [(message.level_tag, message.message) for message in get_messages(request)]


@pytest.fixture
def five_orders(deborah: Customer) -> list[Order]:
    """One order of Deborah's in each status."""
    statuses = ("pending", "processing", "shipped", "completed", "cancelled")
    return [Order.objects.create(customer=deborah, status=status) for status in statuses]


def staff_client(*permissions: str) -> Client:
    """Sign in staff with these permissions and no others."""
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert clerk.user_permissions.count() == len(permissions)
    client = Client()
    client.force_login(clerk)
    return client


# Moving orders on


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "statuses", "messages"),
    [
        (
            "process",
            ["processing", "processing", "shipped", "completed", "cancelled"],
            [
                ("success", "1 order is processing now."),
                ("warning", "4 orders stayed as they were: they are as far already, or closed."),
            ],
        ),
        (
            "ship",
            ["shipped", "shipped", "shipped", "completed", "cancelled"],
            [
                ("success", "2 orders are shipped now."),
                ("warning", "3 orders stayed as they were: they are as far already, or closed."),
            ],
        ),
        (
            "complete",
            ["completed", "completed", "completed", "completed", "cancelled"],
            [
                ("success", "3 orders are completed now."),
                ("warning", "2 orders stayed as they were: they are as far already, or closed."),
            ],
        ),
        (
            "cancel",
            ["cancelled", "cancelled", "cancelled", "completed", "cancelled"],
            [
                ("success", "3 orders are cancelled now."),
                ("warning", "2 orders stayed as they were: they are as far already, or closed."),
            ],
        ),
    ],
)
def test_selected_orders_move_on(
    admin_client: Client,
    five_orders: list[Order],
    action: str,
    statuses: list[str],
    messages: list[tuple[str, str]],
) -> None:
    assert messages_of(run(admin_client, action, *five_orders)) == messages
    assert list(Order.objects.order_by("pk").values_list("status", flat=True)) == statuses


def test_only_selected_orders_move(admin_client: Client, five_orders: list[Order]) -> None:
    pending, processing, *_ = five_orders
    assert messages_of(run(admin_client, "ship", processing)) == [("success", "1 order is shipped now.")]
    pending.refresh_from_db()
    assert pending.status == "pending"


def test_one_order_that_stays(admin_client: Client, order: Order) -> None:
    assert messages_of(run(admin_client, "cancel", order)) == [
        ("warning", "1 order stayed as it was: it is as far already, or closed.")
    ]


def test_all_orders_of_a_search_move(admin_client: Client, five_orders: list[Order]) -> None:
    john = Customer.objects.create(first_name="John", last_name="Doe", email="john@example.com")
    other = Order.objects.create(customer=john)
    url = reverse("admin:shop_order_changelist")
    selection = {"action": "ship", "_selected_action": "1", "select_across": "1", "index": "0"}
    admin_client.post(f"{url}?q=deborah", selection)
    assert Order.objects.filter(status="shipped").count() == 3
    other.refresh_from_db()
    assert other.status == "pending"


def test_any_number_of_orders_moves_in_the_same_statements(
    admin_client: Client, five_orders: list[Order], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    customer = five_orders[0].customer
    Order.objects.bulk_create(Order(customer=customer, status=order.status) for order in five_orders * 20)
    url = reverse("admin:shop_order_changelist")
    selection = {"action": "cancel", "_selected_action": "1", "select_across": "1", "index": "0"}
    ContentType.objects.get_for_model(Order)  # which is remembered
    # Session and user, what the list counts, the keys of its page, the selection, the lock, the UPDATE, the
    # history, the payments, the lines, the invoices, the log; the rest are the two transactions, each with
    # a beginning and an end.
    with django_assert_num_queries(11 + 7):
        admin_client.post(f"{url}?q=deborah", selection)
    assert Order.objects.filter(status="cancelled").count() == 84
    assert LogEntry.objects.count() == 63


def test_very_many_move_a_thousand_at_a_time(
    admin_client: Client, five_orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.admin.orders.MOVE_AT_ONCE", 2)
    assert messages_of(run(admin_client, "cancel", *five_orders)) == [
        ("success", "3 orders are cancelled now."),
        ("warning", "2 orders stayed as they were: they are as far already, or closed."),
    ]


def test_what_takes_too_long_is_said_to_be_left(
    admin_client: Client, five_orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.admin.orders.MOVE_AT_ONCE", 2)
    monkeypatch.setattr("shop.admin.orders.ACT_SECONDS", 0)
    assert messages_of(run(admin_client, "cancel", *five_orders)) == [
        ("warning", "2 orders stayed as they were: they are as far already, or closed."),
        ("warning", "3 orders are still to be done. Do the same again."),
    ]
    assert Order.objects.filter(status="cancelled").count() == 1


def test_each_order_that_moved_has_it_in_its_history(
    admin_client: Client, admin_user: User, five_orders: list[Order]
) -> None:
    run(admin_client, "ship", *five_orders)
    pending, processing, *others = five_orders
    entries = LogEntry.objects.order_by("object_id").values_list("object_id", "object_repr", "user_id")
    assert list(entries) == [(str(order.pk), f"Order {order.pk}", admin_user.pk) for order in five_orders[:2]]
    for order, status in ((pending, "pending"), (processing, "processing")):
        page = admin_client.get(reverse("admin:shop_order_history", args=[order.pk])).content.decode()
        assert f"<td>Changed Status from {status} to shipped.</td>" in page
    for order in others:
        page = admin_client.get(reverse("admin:shop_order_history", args=[order.pk])).content.decode()
        assert "Changed Status" not in page


@pytest.mark.parametrize("query", ["?q=deborah", "?status__exact=pending"])
@pytest.mark.parametrize(("first", "second"), [("cancelled", "ship"), ("completed", "process")])
@pytest.mark.django_db(transaction=True)
def test_an_order_that_a_colleague_closes_meanwhile_stays_closed(
    admin_client: Client, deborah: Customer, query: str, first: OrderStatus, second: str
) -> None:
    """The colleague's transaction holds the order until the action waits for it."""
    order = Order.objects.create(customer=deborah)
    url = reverse("admin:shop_order_changelist") + query
    shown: list[tuple[str, str]] = []

    def act() -> None:
        shown.extend(messages_of(admin_client.post(url, {"action": second, "_selected_action": [order.pk]})))
        connection.close()

    action = threading.Thread(target=act)
    with transaction.atomic():
        assert move(orders=[order.pk], to=first, by=Actor.STAFF) == {order.pk: "pending"}
        action.start()
        wait_until_somebody_waits_for_a_lock()
    action.join()
    order.refresh_from_db()
    assert order.status == first
    assert shown == [("warning", "1 order stayed as it was: it is as far already, or closed.")]
    assert not LogEntry.objects.exists()


def wait_until_somebody_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 20
    with connection.cursor() as cursor:
        while cursor.execute("SELECT FROM pg_locks WHERE NOT granted") or not cursor.rowcount:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_viewers_cannot_move_orders(five_orders: list[Order]) -> None:
    viewer = staff_client("view_order")
    page = viewer.get(reverse("admin:shop_order_changelist")).content.decode()
    assert '<option value="export">Export selected orders as CSV</option>' in page
    for action in ("process", "ship", "complete", "cancel", "delete_selected"):
        assert f'<option value="{action}">' not in page
        assert messages_of(run(viewer, action, *five_orders))[-1] == ("warning", "No action selected.")
    assert Order.objects.filter(status="pending").count() == 1


def test_who_may_change_orders_is_offered_the_actions(order: Order) -> None:
    page = staff_client("view_order", "change_order").get(reverse("admin:shop_order_changelist"))
    for action in ("process", "ship", "complete", "cancel"):
        label = f"{action.capitalize()} selected orders"
        assert f'<option value="{action}">{label}</option>' in page.content.decode()


# Deleting


def test_product_that_was_ordered_stays(
    admin_client: Client, order: Order, gloves: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    OrderItem.objects.bulk_create(
        OrderItem(order=order, product=gloves, quantity=1, price_per_unit=1) for _ in range(74)
    )
    for send in (admin_client.get, admin_client.post):
        response = send(delete_url(gloves), {"post": "yes"} if send == admin_client.post else {})
        page = response.content.decode()
        assert response.status_code == 200
        assert "<li>Elegant Marble Gloves: part of 75 order lines</li>" in page
        assert page.count("<li>Elegant Marble Gloves") == 1
        assert "Yes, I’m sure" not in page
    assert Product.objects.get() == gloves


def test_category_with_products_stays(admin_client: Client, gloves: Product, home: Category) -> None:
    response = admin_client.post(delete_url(home), {"post": "yes"})
    assert response.status_code == 200
    assert "<li>Home: has 1 product</li>" in response.content.decode()
    assert Category.objects.get() == home


def test_of_selected_products_those_ordered_are_named(
    admin_client: Client, order: Order, gloves: Product, computer: Product, home: Category
) -> None:
    mug = Product.objects.create(name="Mug", price=1, category=home)
    order.items.create(product=computer, quantity=1, price_per_unit=1)
    for response in (
        run(admin_client, "delete_selected", gloves, computer, mug),
        confirm(admin_client, gloves, computer, mug),
    ):
        page = response.getvalue().decode()
        assert "<li>Elegant Marble Gloves: part of 1 order line</li>" in page
        assert "<li>Handmade Wooden Computer: part of 1 order line</li>" in page
        assert "Mug: part of" not in page
    assert Product.objects.count() == 3


def test_reasons_cost_one_query_for_all(
    admin_client: Client, home: Category, order: Order, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    products = [Product.objects.create(name=f"Mug {n}", price=1, category=home) for n in range(40)]
    for product in products:
        order.items.create(product=product, quantity=1, price_per_unit=1)
    with django_assert_num_queries(8) as one:
        run(admin_client, "delete_selected", products[0])
    with django_assert_num_queries(len(one)):
        run(admin_client, "delete_selected", *products)


def test_product_nobody_ordered_goes_with_its_cart_lines(
    admin_client: Client, cart: Cart, computer: Product
) -> None:
    page = admin_client.get(delete_url(computer)).content.decode()
    assert "<li>Products: 1</li>" in page
    assert "<li>Cart items: 1</li>" in page
    assert admin_client.post(delete_url(computer), {"post": "yes"}).status_code == 302
    assert (Product.objects.count(), CartItem.objects.count(), Cart.objects.count()) == (0, 0, 1)


@pytest.mark.parametrize("name", ["deborah", "order", "cart", "electronics", "computer"])
def test_the_question_counts_all_that_goes(
    admin_client: Client, request: pytest.FixtureRequest, name: str
) -> None:
    """What the page announces is what Django then deletes."""
    obj = request.getfixturevalue(name)
    if name in ("deborah", "computer"):
        request.getfixturevalue("cart")
    if name == "deborah":
        request.getfixturevalue("order")
    announced = dict(admin_client.get(delete_url(obj)).context["model_count"])
    _, deleted = obj.delete()
    models = {
        model._meta.label: str(model._meta.verbose_name_plural) for model in Order._meta.apps.get_models()
    }
    assert announced == {models[label]: number for label, number in deleted.items() if number}


@pytest.mark.parametrize("way", ["page", "action"])
def test_a_customer_without_orders_goes_with_the_cart(
    admin_client: Client, deborah: Customer, cart: Cart, way: str
) -> None:
    """And so does the name, in what the admin tells of the past."""
    for obj in (deborah, cart):
        save(admin_client, change_url(obj), open_form(admin_client, change_url(obj)))
    page = admin_client.get(delete_url(deborah)).content.decode()
    for gone in ("Customers: 1", "Carts: 1", "Cart items: 1"):
        assert f"<li>{gone}</li>" in page
    if way == "page":
        response: HttpResponseBase = admin_client.post(delete_url(deborah), {"post": "yes"})
    else:
        response = confirm(admin_client, deborah)
    assert response.status_code == 302
    for table in (Customer, Cart, CartItem):
        assert table._default_manager.count() == 0
    names = sorted(LogEntry.objects.values_list("object_repr", flat=True))
    assert names == ["Deleted cart", "Deleted customer", "Deleted customer"]


@pytest.mark.parametrize("way", ["page", "action"])
def test_a_customer_with_orders_stays(
    admin_client: Client, deborah: Customer, jonas: Customer, order: Order, cart: Cart, way: str
) -> None:
    if way == "page":
        response: HttpResponseBase = admin_client.post(delete_url(deborah), {"post": "yes"})
    else:
        response = confirm(admin_client, deborah, jonas)
    text = "Deborah Bruen: has 1 order, which stays in the books: erase the customer instead"
    page = response.getvalue().decode()
    assert f"<li>{text}</li>" in page
    assert "Jonas Groß 🛒: has" not in page
    assert [table._default_manager.count() for table in (Customer, Order, Cart)] == [2, 1, 1]


def test_who_may_not_delete_lines_cannot_delete_their_order(order: Order) -> None:
    clerk = staff_client("view_order", "delete_order")
    page = clerk.get(delete_url(order)).content.decode()
    assert "your account doesn't have permission to delete the following types of objects" in page
    assert "<li>order item</li>" in page
    assert clerk.post(delete_url(order), {"post": "yes"}).status_code == 403
    assert Order.objects.get() == order


@pytest.mark.slow
def test_deleting_very_many_at_once_is_refused(admin_client: Client, deborah: Customer) -> None:
    orders = Order.objects.bulk_create(Order(customer=deborah) for _ in range(501))
    page = run(admin_client, "delete_selected", orders[0], select_across="1").getvalue().decode()
    assert "<li>More than 500 orders are selected: delete fewer at once.</li>" in page
    assert "Yes, I’m sure" not in page
    page = run(admin_client, "delete_selected", *orders[:500]).getvalue().decode()
    assert "<li>Orders: 500</li>" in page
    assert confirm(admin_client, *orders[:500]).status_code == 302
    assert Order.objects.get() == orders[500]


@pytest.mark.parametrize("way", ["page", "action"])
def test_deleted_order_line_changes_the_total(
    admin_client: Client, order: Order, computer: Product, way: str
) -> None:
    untouched = Order.objects.create(customer=order.customer, total_amount=Decimal("5.00"))
    line = order.items.create(product=computer, quantity=1, price_per_unit=Decimal("369.35"))
    order.update_total()
    assert order.total_amount == Decimal("841.33")
    if way == "page":
        response: HttpResponseBase = admin_client.post(delete_url(line), {"post": "yes"})
    else:
        response = confirm(admin_client, line)
    assert response.status_code == 302
    order.refresh_from_db()
    untouched.refresh_from_db()
    assert (order.total_amount, untouched.total_amount) == (Decimal("471.98"), Decimal("5.00"))


def test_deleted_lines_of_many_orders_change_each_total(
    admin_client: Client, order: Order, computer: Product
) -> None:
    other = Order.objects.create(customer=order.customer)
    for amount in (1, 2):
        other.items.create(product=computer, quantity=amount, price_per_unit=Decimal("369.35"))
    confirm(admin_client, order.items.get(), other.items.get(quantity=2))
    order.refresh_from_db()
    other.refresh_from_db()
    assert (order.total_amount, other.total_amount) == (Decimal("0.00"), Decimal("369.35"))


@pytest.mark.parametrize("way", ["page", "action"])
def test_deleted_cart_line_brings_the_cart_up_to_date(admin_client: Client, cart: Cart, way: str) -> None:
    before = cart.last_updated
    line = cart.items.get()
    if way == "page":
        admin_client.post(delete_url(line), {"post": "yes"})
    else:
        confirm(admin_client, line)
    cart.refresh_from_db()
    assert cart.items.count() == 0
    assert cart.last_updated > before


# Exporting


def test_export_of_orders(admin_client: Client, order: Order, deborah: Customer) -> None:
    deborah.last_name = 'Brün, the "Great"'
    deborah.save()
    newer = Order.objects.create(customer=deborah, order_date=date(2025, 12, 1))
    Order.objects.create(customer=deborah)
    response = run(admin_client, "export", order, newer)
    customer = f'{deborah.pk},Deborah,"Brün, the ""Great""",deborah.bruen@example.com'
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="orders-{timezone.localdate()}.csv"'
    assert response.getvalue().decode() == (
        "\ufefforder_id,order_date,status,total_amount,customer_id,first_name,last_name,email\r\n"
        f"{newer.pk},2025-12-01,pending,0.00,{customer}\r\n"
        f"{order.pk},2025-11-26,completed,471.98,{customer}\r\n"
    )


def test_export_of_products(admin_client: Client, gloves: Product, computer: Product) -> None:
    response = run(admin_client, "export", gloves, computer)
    assert response["Content-Disposition"] == f'attachment; filename="products-{timezone.localdate()}.csv"'
    assert response.getvalue().decode("utf-8-sig") == (
        "product_id,name,description,price,stock,category\r\n"
        f"{gloves.pk},Elegant Marble Gloves,,235.99,58,Home\r\n"
        f"{computer.pk},Handmade Wooden Computer,,369.35,2,Electronics\r\n"
    )


FORMULA_STARTS = "=+-@＝＋－＠"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        *((f"{start}1+1", f"'{start}1+1") for start in FORMULA_STARTS),
        ("\t=1+1", "'\t'=1+1"),
        ("\r1+1", '"\'\r1+1"'),
        ("\n1+1", '"\'\n1+1"'),
        (" =1+1", "' =1+1"),
        ("Mug;=1+1", "Mug;'=1+1"),
        ("Mug;＝1+1;-2", "Mug;'＝1+1;'-2"),
        ("Mug,@SUM(1)", '"Mug,\'@SUM(1)"'),
        ("Mug\n+1", '"Mug\n\'+1"'),
        ('Mug;"=1+1"', '"Mug;\'""=1+1"""'),
        ('"=1+1"', '"\'""=1+1"""'),
        ("Müller's Mug; 3-4 cups, 1+1 free", '"Müller\'s Mug; 3-4 cups, 1+1 free"'),
    ],
)
def test_export_disarms_formulas(admin_client: Client, gloves: Product, text: str, written: str) -> None:
    Product.objects.update(name=text)
    exported = run(admin_client, "export", gloves).getvalue()
    assert exported == (
        b"\xef\xbb\xbfproduct_id,name,description,price,stock,category\r\n"
        + f"{gloves.pk},{written},,235.99,58,Home\r\n".encode()
    )
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(exported.decode("utf-8-sig"), newline=""), delimiter=separator):
            assert not [cell for cell in row if cell.strip(' \t\r\n"').startswith(tuple(FORMULA_STARTS))]


def test_numbers_stay_numbers_in_an_export() -> None:
    assert csv_lines([(Decimal("-5.00"), -3, None)]) == "-5.00,-3,\r\n"


def test_export_streams_all_of_a_search(
    admin_client: Client, home: Category, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """A few thousand rows come in as many parts as they were fetched in, by one query."""
    number = 2 * ROWS_AT_ONCE + 1
    Product.objects.bulk_create(Product(name=f"Mug {n}", price=1, category=home) for n in range(number))
    plate = Product.objects.create(name="Plate", price=1, category=home)
    url = reverse("admin:shop_product_changelist")
    selection = {"action": "export", "_selected_action": str(plate.pk), "select_across": "1", "index": "0"}
    response = admin_client.post(f"{url}?q=mug", selection)
    assert response.streaming
    with django_assert_num_queries(1):
        header, *parts = [part.decode() for part in response]
    assert header == "\ufeffproduct_id,name,description,price,stock,category\r\n"
    assert [part.count("\r\n") for part in parts] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
    assert parts[-1].split(",")[1:] == [f"Mug {number - 1}", "", "1.00", "0", "Home\r\n"]


def test_viewers_may_export(order: Order, gloves: Product) -> None:
    viewer = staff_client("view_order", "view_product")
    assert run(viewer, "export", order).getvalue().count(b"\r\n") == 2
    assert run(viewer, "export", gloves).getvalue().count(b"\r\n") == 2


def test_export_shows_no_password(admin_client: Client, order: Order, deborah: Customer) -> None:
    assert deborah.password.encode() not in run(admin_client, "export", order).getvalue()
