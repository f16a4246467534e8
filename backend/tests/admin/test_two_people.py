"""Two people at one row: nothing is overwritten unseen, nothing fails, and the second save works."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import connection, connections, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product
from tests.admin.test_forms import FormParser, add_url, change_url, errors_of, new_line, open_form, save

overwrite = "Somebody changed this meanwhile: it is {} now. Save again to overwrite that."
TOO_LARGE = "The total would be {}, more than 99,999,999.99."


def send_again(client: Client, url: str, response: HttpResponseBase, **changes: str) -> None:
    """Send the form of a page that refused it, which must work now."""
    assert response.status_code == 200
    save(client, url, FormParser(response.getvalue().decode()).values | changes)


def errors_and_page(client: Client, url: str, form: dict[str, str]) -> tuple[list[str], HttpResponseBase]:
    response = client.post(url, form)
    assert response.status_code == 200
    return errors_of(response), response


# Fields


@pytest.mark.parametrize(
    ("name", "field", "mine", "theirs", "shown"),
    [
        ("deborah", "last_name", "Brown", "Black", "Black"),
        ("deborah", "strasse", "Weg 1", "", "empty"),
        ("home", "category_name", "House", "Garden", "Garden"),
        ("gloves", "price", "200.00", Decimal("300.00"), "300.00"),
        ("gloves", "stock", "10", 0, "0"),
        ("gloves", "description", "Cold.", "Warm.\nSoft.", "Warm.\nSoft."),
        ("order", "order_date", "2025-11-27", "2025-11-28", "2025-11-28"),
    ],
)
def test_a_change_of_somebody_else_is_not_overwritten_unseen(
    admin_client: Client,
    request: pytest.FixtureRequest,
    name: str,
    field: str,
    mine: str,
    theirs: Any,
    shown: str,
) -> None:
    obj = request.getfixturevalue(name)
    rows: Any = type(obj)._default_manager
    rows.update(**{field: "before" if field == "strasse" else getattr(obj, field)})
    form = open_form(admin_client, change_url(obj)) | {field: mine, "reason": "counted"}
    rows.update(**{field: theirs})
    errors, page = errors_and_page(admin_client, change_url(obj), form)
    assert errors == [escape(overwrite.format(shown))]
    obj.refresh_from_db()
    assert str(getattr(obj, field)) == str(theirs)
    send_again(admin_client, change_url(obj), page)
    obj.refresh_from_db()
    assert str(getattr(obj, field)) == mine


def test_choices_of_rows_are_named(
    admin_client: Client, gloves: Product, electronics: Category, jonas: Customer, cart: Cart
) -> None:
    toys, ann = Category.objects.create(category_name="Toys"), Customer.objects.create(first_name="Ann")
    for obj, field, mine, theirs in (
        (gloves, "category", toys, electronics),
        (cart, "customer", ann, jonas),
    ):
        form = open_form(admin_client, change_url(obj)) | {field: str(mine.pk)}
        type(obj)._default_manager.update(**{field: theirs})
        errors, page = errors_and_page(admin_client, change_url(obj), form)
        assert errors == [overwrite.format(theirs)]
        send_again(admin_client, change_url(obj), page)
        obj.refresh_from_db()
        assert getattr(obj, field) == mine


def test_a_line_is_not_overwritten_unseen(admin_client: Client, order: Order, computer: Product) -> None:
    form = open_form(admin_client, change_url(order))
    form |= {"items-0-quantity": "4", "items-0-price_per_unit": "10.00", "order_date": "2025-11-27"}
    OrderItem.objects.update(quantity=3, product=computer)
    errors, page = errors_and_page(admin_client, change_url(order), form)
    assert errors == [overwrite.format(3)]
    assert "3 × Handmade Wooden Computer" in page.getvalue().decode()
    send_again(admin_client, change_url(order), page)
    line = order.items.get()
    order.refresh_from_db()
    assert (line.product, line.quantity, line.price_per_unit) == (computer, 4, Decimal("10.00"))
    assert (str(order.order_date), order.total_amount) == ("2025-11-27", Decimal("40.00"))


def test_a_lone_line_is_not_overwritten_unseen(admin_client: Client, cart: Cart) -> None:
    line = cart.items.get()
    form = open_form(admin_client, change_url(line)) | {"quantity": "4"}
    CartItem.objects.update(quantity=3)
    errors, page = errors_and_page(admin_client, change_url(line), form)
    assert errors == [overwrite.format(3)]
    send_again(admin_client, change_url(line), page)
    line.refresh_from_db()
    assert line.quantity == 4


def test_who_agrees_with_the_other_is_not_bothered(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order)) | {"order_date": "2025-11-27"}
    Order.objects.update(order_date="2025-11-27")
    save(admin_client, change_url(order), form)
    order.refresh_from_db()
    assert str(order.order_date) == "2025-11-27"


def test_a_page_that_comes_back_shows_what_others_changed(admin_client: Client, gloves: Product) -> None:
    form = open_form(admin_client, change_url(gloves)) | {"name": ""}
    Product.objects.update(stock=7)
    _, page = errors_and_page(admin_client, change_url(gloves), form)
    values = FormParser(page.getvalue().decode()).values
    assert (values["stock"], values["initial-stock"]) == ("7", "7")


@pytest.mark.parametrize("text", ["One.\nTwo.", "One.\r\nTwo.", "\r\n One. "])
def test_text_of_several_lines_is_no_conflict(admin_client: Client, gloves: Product, text: str) -> None:
    Product.objects.update(description=text)
    form = open_form(admin_client, change_url(gloves))
    of_browser = {name: "\r\n".join(value.splitlines()) for name, value in form.items()}
    save(admin_client, change_url(gloves), of_browser | {"name": "Marble Gloves"})
    gloves.refresh_from_db()
    assert gloves.description == text
    save(admin_client, change_url(gloves), of_browser | {"name": "Marble Gloves", "description": "New."})
    gloves.refresh_from_db()
    assert gloves.description == "New."


@pytest.mark.parametrize("forged", [None, "zzz", "2025-11-26\0", "2025-11-25"])
def test_who_does_not_know_the_date_cannot_change_it(
    admin_client: Client, order: Order, forged: str | None
) -> None:
    form = open_form(admin_client, change_url(order)) | {"order_date": "2025-11-27"}
    form.pop("initial-order_date")
    errors, _ = errors_and_page(
        admin_client, change_url(order), form | ({} if forged is None else {"initial-order_date": forged})
    )
    assert errors == [overwrite.format("2025-11-26")]
    order.refresh_from_db()
    assert str(order.order_date) == "2025-11-26"


# Lines


@pytest.fixture
def three(order: Order, cart: Cart, gloves: Product, computer: Product, home: Category) -> dict[str, Any]:
    """The order and the cart with three lines each, of one piece of the products a, b and c at 1.00."""
    products = [Product.objects.create(name=name, price=1, stock=9, category=home) for name in "abc"]
    for parent in (order, cart):
        items: Any = parent.items
        items.all().delete()
        for product in products:
            price = {"price_per_unit": 1} if parent is order else {}
            items.create(product=product, quantity=1, **price)
    return {"order": order, "cart": cart, **{product.name: product for product in products}}


def lines_of(parent: Any) -> list[tuple[str, int]]:
    """Return product and quantity of the lines of an order or a cart."""
    return list(parent.items.order_by("pk").values_list("product__name", "quantity"))


both = pytest.mark.parametrize("name", ["order", "cart"])


@both
@pytest.mark.parametrize("touched", [True, False])
def test_a_line_that_was_deleted_meanwhile(
    admin_client: Client, three: dict[str, Any], name: str, touched: bool
) -> None:
    parent = three[name]
    url = change_url(parent)
    form = open_form(admin_client, url) | {"items-2-quantity": "3"}
    form |= {"items-1-quantity": "2"} if touched else {}
    parent.items.get(product=three["b"]).delete()
    errors, page = errors_and_page(admin_client, url, form)
    assert errors == ["Deleted meanwhile: b. Save again to save the rest of this page."]
    text = page.getvalue().decode()
    assert "1 × a" in text
    assert "3 × c" in text
    assert "× b" not in text
    assert lines_of(parent) == [("a", 1), ("c", 1)]
    send_again(admin_client, url, page)
    assert lines_of(parent) == [("a", 1), ("c", 3)]


@both
def test_a_line_that_both_deleted(admin_client: Client, three: dict[str, Any], name: str) -> None:
    parent = three[name]
    form = open_form(admin_client, change_url(parent)) | {"items-0-DELETE": "on", "items-2-quantity": "3"}
    parent.items.get(product=three["a"]).delete()
    save(admin_client, change_url(parent), form)
    assert lines_of(parent) == [("b", 1), ("c", 3)]


@both
def test_all_lines_and_a_new_one_while_all_were_deleted(
    admin_client: Client, three: dict[str, Any], name: str, gloves: Product
) -> None:
    parent = three[name]
    form = new_line(open_form(admin_client, change_url(parent)), product=gloves.pk, quantity=2)
    parent.items.all().delete()
    errors, page = errors_and_page(admin_client, change_url(parent), form)
    assert errors == ["Deleted meanwhile: a, b, c. Save again to save the rest of this page."]
    send_again(admin_client, change_url(parent), page)
    assert lines_of(parent) == [("Elegant Marble Gloves", 2)]


@both
def test_a_line_that_was_added_meanwhile_stays(
    admin_client: Client, three: dict[str, Any], name: str, gloves: Product
) -> None:
    parent = three[name]
    form = open_form(admin_client, change_url(parent)) | {"items-1-quantity": "2"}
    price = {"price_per_unit": 1} if name == "order" else {}
    parent.items.create(product=gloves, quantity=9, **price)
    save(admin_client, change_url(parent), form)
    assert lines_of(parent) == [("a", 1), ("b", 2), ("c", 1), ("Elegant Marble Gloves", 9)]


def test_what_the_customer_put_in_meanwhile_cannot_be_put_in_again(
    admin_client: Client, three: dict[str, Any], gloves: Product
) -> None:
    cart = three["cart"]
    form = new_line(open_form(admin_client, change_url(cart)), product=gloves.pk, quantity=1)
    form |= {"items-1-quantity": "2"}
    cart.items.create(product=gloves, quantity=9)
    errors, page = errors_and_page(admin_client, change_url(cart), form)
    assert errors == [
        "Please correct the duplicate data for product.",
        "Added meanwhile: Elegant Marble Gloves.",
        "Please correct the duplicate values below.",
    ]
    assert "9 × Elegant Marble Gloves" in page.getvalue().decode()
    values = FormParser(page.getvalue().decode()).values
    assert [values[f"items-{n}-quantity"] for n in range(5)] == ["1", "2", "1", "9", "1"]
    send_again(admin_client, change_url(cart), page, **{"items-4-product": "", "items-4-quantity": ""})
    assert lines_of(cart) == [("a", 1), ("b", 2), ("c", 1), ("Elegant Marble Gloves", 9)]


@pytest.mark.parametrize(
    "products",
    [("b", "a", "c"), ("b", "c", "a"), ("c", "gloves", "a"), ("gloves", "a", "b")],
)
@both
def test_lines_may_swap_their_products(
    admin_client: Client, three: dict[str, Any], name: str, gloves: Product, products: tuple[str, ...]
) -> None:
    parent = three[name]
    keys = list(parent.items.order_by("pk").values_list("pk", flat=True))
    by_name = three | {"gloves": gloves}
    changes = {f"items-{n}-product": str(by_name[product].pk) for n, product in enumerate(products)}
    save(admin_client, change_url(parent), open_form(admin_client, change_url(parent)) | changes)
    assert lines_of(parent) == [(by_name[product].name, 1) for product in products]
    assert list(parent.items.order_by("pk").values_list("pk", flat=True)) == keys


def test_a_product_may_come_back_in_the_save_that_deletes_its_line(
    admin_client: Client, three: dict[str, Any]
) -> None:
    cart = three["cart"]
    form = open_form(admin_client, change_url(cart)) | {"items-0-DELETE": "on"}
    form |= {"items-1-product": form["items-0-product"]}
    save(admin_client, change_url(cart), new_line(form, product=three["b"].pk, quantity=5))
    assert lines_of(cart) == [("a", 1), ("c", 1), ("b", 5)]


@both
@pytest.mark.parametrize("change", [{"quantity": "9"}, {"DELETE": "on"}, {}])
def test_the_line_of_another_is_out_of_reach(
    admin_client: Client, three: dict[str, Any], name: str, jonas: Customer, change: dict[str, str]
) -> None:
    parent = three[name]
    other = type(parent).objects.create(customer=jonas)
    line = parent.items.first()
    type(line).objects.filter(pk=line.pk).update(**{name: other})
    form = open_form(admin_client, change_url(parent))
    key = f"items-0-{line._meta.pk.name}"
    form |= {key: str(line.pk), f"items-0-{name}": str(other.pk)}
    form |= {f"items-0-{field}": value for field, value in change.items()}
    admin_client.post(change_url(parent), form)
    assert lines_of(other) == [("a", 1)]
    assert lines_of(parent) == [("b", 1), ("c", 1)]


@both
def test_a_forged_form_harms_no_line(admin_client: Client, three: dict[str, Any], name: str) -> None:
    parent = three[name]
    for forged in (
        {"items-INITIAL_FORMS": "-1"},
        {"items-INITIAL_FORMS": "99"},
        {"items-TOTAL_FORMS": "-5", "items-INITIAL_FORMS": "-5"},
        {"items-TOTAL_FORMS": "1"},
        {"items-TOTAL_FORMS": "zzz"},
        {"items-TOTAL_FORMS": "100000"},
        {"items-0-order_item_id": "zzz", "items-0-cart_item_id": "\0"},
        {"items-0-order_item_id": "9" * 30, "items-1-cart_item_id": ""},
        {"items-0-order": "77", "items-0-cart": "zzz"},
        {"items-0-product": "abc", "initial-items-1-product": "9" * 5000},
    ):
        response = admin_client.post(change_url(parent), open_form(admin_client, change_url(parent)) | forged)
        assert response.status_code in (200, 302), forged
        assert lines_of(parent) == [("a", 1), ("b", 1), ("c", 1)], forged
        if response.status_code == 200:
            assert errors_of(response), forged


def test_a_line_cannot_be_changed_by_who_may_only_look(three: dict[str, Any]) -> None:
    """Not even where lines have gone meanwhile, and the numbers of the forms are other lines' now."""
    clerk = staff("change_order", "view_orderitem", "delete_orderitem")
    order = three["order"]
    form = open_form(clerk, change_url(order)) | {"items-2-DELETE": "on", "order_date": "2025-11-27"}
    form |= {"items-1-quantity": "9", "items-1-product": "abc"}
    order.items.get(product=three["a"]).delete()
    save(clerk, change_url(order), form)
    assert lines_of(order) == [("b", 1)]
    order.refresh_from_db()
    assert (str(order.order_date), order.total_amount) == ("2025-11-27", Decimal("1.00"))


def staff(*permissions: str) -> Client:
    """Sign in staff with these permissions and no others."""
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(clerk)
    return client


# Totals


def test_total_with_what_a_colleague_changed_meanwhile(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order)) | {"items-0-price_per_unit": "90000000.00"}
    OrderItem.objects.update(quantity=3)
    form |= {"order_date": "2025-11-27"}
    errors, page = errors_and_page(admin_client, change_url(order), form)
    assert errors == [TOO_LARGE.format("270,000,000.00")]
    values = FormParser(page.getvalue().decode()).values
    assert (values["items-0-price_per_unit"], values["order_date"]) == ("90000000.00", "2025-11-27")
    assert order.items.get().price_per_unit == Decimal("235.99")
    send_again(admin_client, change_url(order), page, **{"items-0-price_per_unit": "10.00"})
    order.refresh_from_db()
    assert (str(order.order_date), order.total_amount) == ("2025-11-27", Decimal("30.00"))


def test_total_of_lines_that_the_user_may_not_see(order: Order) -> None:
    OrderItem.objects.update(quantity=2_000_000_000)
    clerk = staff("change_order")
    form = open_form(clerk, change_url(order)) | {"order_date": "2025-11-27"}
    errors, _ = errors_and_page(clerk, change_url(order), form)
    assert errors == [TOO_LARGE.format("471,980,000,000.00")]
    order.refresh_from_db()
    assert str(order.order_date) == "2025-11-26"


@pytest.mark.parametrize("way", ["order", "line", "action"])
def test_total_after_deleting_one_of_several_lines_too_large(
    admin_client: Client, order: Order, gloves: Product, way: str
) -> None:
    line = order.items.get()
    large = {"product": gloves, "price_per_unit": Decimal("90000000.00")}
    order.items.create(quantity=2, **large)
    order.items.create(quantity=3, **large)
    text = TOO_LARGE.format("450,000,000.00")
    if way == "order":
        form = open_form(admin_client, change_url(order)) | {"items-0-DELETE": "on"}
        response: Any = admin_client.post(change_url(order), form)
        assert errors_of(response) == [text]
    else:
        text = f"Order {order.pk}: {text[0].lower()}{text[1:]}".replace("the total", "its total")
        urls = {
            "line": reverse("admin:shop_orderitem_delete", args=[line.pk]),
            "action": reverse("admin:shop_orderitem_changelist"),
        }
        selection = {"action": "delete_selected", "_selected_action": [line.pk]} if way == "action" else {}
        response = admin_client.post(urls[way], {"post": "yes", **selection})
        assert f"<li>{text}</li>" in response.content.decode()
    assert response.status_code == 200
    assert order.items.count() == 3
    assert not list(get_messages(response.wsgi_request))


# At the same moment


def while_another(change: Callable[[], object], send: Callable[[], Any]) -> Any:
    """Make a change, send a form before it is committed, commit it once the form waits for it."""

    def in_a_connection_of_its_own() -> Any:
        try:
            return send()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change()
            answer = pool.submit(in_a_connection_of_its_own)
            with connection.cursor() as cursor:
                waiting = False
                while not waiting and not answer.done():
                    cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
                    [waiting] = cursor.fetchone()
        assert waiting
        return answer.result()


at_once = pytest.mark.django_db(transaction=True)


@at_once
def test_two_customers_of_one_email_at_once(
    admin_client: Client, caplog: pytest.LogCaptureFixture, transactional_db: None
) -> None:
    form = open_form(admin_client, add_url(Customer)) | {"first_name": "John", "last_name": "Doe"}
    form |= {"email": "john@example.com", "new_password": "correct horse battery"}
    response = while_another(
        lambda: Customer.objects.create(email="john@example.com"),
        lambda: admin_client.post(add_url(Customer), form),
    )
    assert response.status_code == 200
    assert errors_of(response) == ["A customer with this e-mail address exists already."]
    assert "john@example.com" not in caplog.text


@at_once
def test_one_category_twice_at_once(admin_client: Client) -> None:
    form = open_form(admin_client, add_url(Category)) | {"category_name": "Home"}
    response = while_another(
        lambda: Category.objects.create(category_name="Home"),
        lambda: admin_client.post(add_url(Category), form),
    )
    assert errors_of(response) == ["A category with this name exists already."]


@at_once
def test_one_staff_member_twice_at_once(admin_client: Client) -> None:
    url = reverse("admin:auth_user_add")
    form = open_form(admin_client, url) | {
        "username": "ann",
        "password1": "x7f-9Kq2",
        "password2": "x7f-9Kq2",
    }
    response = while_another(lambda: User.objects.create_user("ann"), lambda: admin_client.post(url, form))
    assert errors_of(response) == ["A user with that username already exists."]


@at_once
def test_a_second_cart_at_once(admin_client: Client, deborah: Customer) -> None:
    form = open_form(admin_client, add_url(Cart)) | {"customer": str(deborah.pk)}
    response = while_another(
        lambda: Cart.objects.create(customer=deborah), lambda: admin_client.post(add_url(Cart), form)
    )
    assert errors_of(response) == ["This customer has a cart already."]


@at_once
@pytest.mark.parametrize("page", ["change", "add"])
def test_a_product_of_a_category_that_is_being_deleted(
    admin_client: Client, gloves: Product, electronics: Category, page: str
) -> None:
    url = change_url(gloves) if page == "change" else add_url(Product)
    form = open_form(admin_client, url) | {"name": "x", "price": "1", "category": str(electronics.pk)}
    response = while_another(electronics.delete, lambda: admin_client.post(url, form))
    assert response.status_code == 200
    assert errors_of(response) == ["Select a valid choice. That choice is not one of the available choices."]
    assert not list(get_messages(response.wsgi_request))
    assert list(Product.objects.values_list("name", flat=True)) == ["Elegant Marble Gloves"]


@at_once
@pytest.mark.parametrize("name", ["deborah", "order", "cart"])
def test_a_row_that_is_being_deleted(
    admin_client: Client,
    deborah: Customer,
    order: Order,
    cart: Cart,
    request: pytest.FixtureRequest,
    name: str,
) -> None:
    url = change_url(request.getfixturevalue(name))
    form = open_form(admin_client, url)
    response = while_another(deborah.delete, lambda: admin_client.post(url, form))
    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert "Perhaps it was deleted?" in str(next(iter(get_messages(response.wsgi_request))))


@at_once
@both
def test_a_line_that_is_being_deleted(admin_client: Client, order: Order, cart: Cart, name: str) -> None:
    parent: Any = {"order": order, "cart": cart}[name]
    form = open_form(admin_client, change_url(parent)) | {"items-0-quantity": "5"}
    line: Any = parent.items.get()
    name_of_line = line.product.name
    response = while_another(line.delete, lambda: admin_client.post(change_url(parent), form))
    assert errors_of(response) == [
        f"Deleted meanwhile: {name_of_line}. Save again to save the rest of this page."
    ]


@at_once
def test_a_product_that_is_being_put_in_by_the_customer(
    admin_client: Client, cart: Cart, gloves: Product
) -> None:
    form = new_line(open_form(admin_client, change_url(cart)), product=gloves.pk, quantity=1)
    response = while_another(
        lambda: cart.items.create(product=gloves, quantity=9),
        lambda: admin_client.post(change_url(cart), form),
    )
    assert errors_of(response)[:2] == [
        "Please correct the duplicate data for product.",
        "Added meanwhile: Elegant Marble Gloves.",
    ]
    assert lines_of(cart) == [("Handmade Wooden Computer", 2), ("Elegant Marble Gloves", 9)]


@at_once
def test_an_order_that_is_being_cancelled_is_not_shipped(admin_client: Client, order: Order) -> None:
    Order.objects.update(status="pending")
    form = open_form(admin_client, change_url(order)) | {"_ship": "Ship"}
    response = while_another(
        lambda: Order.objects.update(status="cancelled"),
        lambda: admin_client.post(change_url(order), form),
    )
    assert errors_of(response) == ["Somebody was faster: the order is cancelled now. Nothing was saved."]
    order.refresh_from_db()
    assert order.status == "cancelled"


@at_once
@pytest.mark.parametrize("across", ["0", "1"])
def test_an_order_that_is_being_shipped_is_not_deleted_from_a_list_of_others(
    admin_client: Client, order: Order, across: str
) -> None:
    Order.objects.update(status="pending")
    selection = {"action": "delete_selected", "_selected_action": order.pk, "post": "yes"}
    url = reverse("admin:shop_order_changelist")
    while_another(
        lambda: Order.objects.update(status="shipped"),
        lambda: admin_client.post(f"{url}?status__exact=pending", selection | {"select_across": across}),
    )
    order.refresh_from_db()
    assert order.status == "shipped"


@at_once
def test_a_category_that_is_being_filled_stays(admin_client: Client, electronics: Category) -> None:
    url = reverse("admin:shop_category_delete", args=[electronics.pk])

    def fill() -> None:
        Product.objects.create(name="Mug", price=1, category=electronics)
        connection.check_constraints()

    response = while_another(fill, lambda: admin_client.post(url, {"post": "yes"}))
    assert response.status_code == 200
    assert "<li>Electronics: has 1 product</li>" in response.content.decode()


@at_once
def test_saving_an_order_and_deleting_its_lines_take_turns(
    admin_user: User, order: Order, gloves: Product, computer: Product
) -> None:
    """Neither waits for what the other holds, in any order."""
    for _ in range(5):
        order.items.create(product=computer, quantity=1, price_per_unit=1)
    clients = [Client(), Client()]
    for client in clients:
        client.force_login(admin_user)
    form = open_form(clients[0], change_url(order)) | {"items-0-quantity": "5"}
    lines = list(order.items.order_by("-pk").values_list("pk", flat=True)[:3])
    selection = {"action": "delete_selected", "_selected_action": lines, "post": "yes"}

    def work(send: Callable[[], Any]) -> int:
        try:
            return int(send().status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        saved = pool.submit(work, lambda: clients[0].post(change_url(order), form))
        deleted = pool.submit(
            work, lambda: clients[1].post(reverse("admin:shop_orderitem_changelist"), selection)
        )
        assert (saved.result() in (200, 302), deleted.result()) == (True, 302)
    order.refresh_from_db()
    assert order.total_amount == sum(line.quantity * line.price_per_unit for line in order.items.all())
    assert order.items.count() == 3


@at_once
def test_two_who_lock_crosswise_both_end(admin_client: Client, jonas: Customer, cart: Cart) -> None:
    """PostgreSQL ends one of them, which then is run again."""
    line = cart.items.get()
    other = Cart.objects.create(customer=jonas)
    form = open_form(admin_client, change_url(line)) | {"cart": str(other.pk)}

    def crosswise() -> None:
        Cart.objects.filter(pk=other.pk).update(last_updated="2025-01-01T00:00Z")

    def then_the_first() -> None:
        Cart.objects.filter(pk=cart.pk).update(last_updated="2025-01-01T00:00Z")

    with ThreadPoolExecutor(1) as pool:

        def send() -> Any:
            try:
                return admin_client.post(change_url(line), form)
            finally:
                connections.close_all()

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '1min'")  # so that it is the page that is ended
            crosswise()
            answer = pool.submit(send)
            waiting = False
            while not waiting:
                cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
                [waiting] = cursor.fetchone()
            then_the_first()
        assert answer.result().status_code == 302
    line.refresh_from_db()
    assert line.cart == other
