"""The admin's forms: what saving them writes, and what they refuse."""

import re
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product


class FormParser(HTMLParser):
    """Reads what a browser would send back if nobody changed anything."""

    def __init__(self, page: str) -> None:
        """Read the page."""
        super().__init__()
        self.values: dict[str, str] = {}
        self.name = ""
        self.in_textarea = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the value of an input or of a selected option."""
        given = {name: value or "" for name, value in attrs}
        if tag in ("input", "select", "textarea"):
            self.name = given.get("name", "")
            self.in_textarea = tag == "textarea"
            buttons_and_boxes = given.get("type") in ("submit", "checkbox")
            if self.name and not buttons_and_boxes:
                self.values[self.name] = given.get("value", "")
        elif tag == "option" and "selected" in given:
            self.values[self.name] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        """Take the value of a textarea."""
        if self.in_textarea:
            self.values[self.name] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        """Leave the textarea."""
        self.in_textarea = self.in_textarea and tag != "textarea"


ADDRESS = {"strasse": "Hauptstraße 1", "plz": "01067", "ort": "Dresden"}


def add_url(table: type[Model]) -> str:
    return reverse(f"admin:shop_{table._meta.model_name}_add")


def change_url(obj: Model) -> str:
    return reverse(f"admin:shop_{obj._meta.model_name}_change", args=[obj.pk])


def open_form(client: Client, url: str) -> dict[str, str]:
    """Return what the form of this page would send back."""
    response = client.get(url)
    assert response.status_code == 200
    return FormParser(response.content.decode()).values


def save(client: Client, url: str, form: dict[str, str]) -> None:
    """Send a form that is right."""
    response = client.post(url, form)
    assert response.status_code == 302, errors_of(response)


def errors_of(response: HttpResponseBase) -> list[str]:
    """Return the messages of the form errors on a page."""
    page = response.getvalue().decode()
    lists = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', page, re.DOTALL)
    return [error for errors in lists for error in re.findall(r"<li>(.*?)</li>", errors, re.DOTALL)]


def refused(client: Client, url: str, form: dict[str, str]) -> list[str]:
    """Send a form that is wrong, and return the messages."""
    response = client.post(url, form)
    assert response.status_code == 200
    return errors_of(response)


def new_line(form: dict[str, str], **values: object) -> dict[str, str]:
    """Return the form with one more inline row, as the script behind `Add another` makes it."""
    number = form["items-TOTAL_FORMS"]
    row = {f"items-{number}-{name}": str(value) for name, value in values.items()}
    return {**form, **row, "items-TOTAL_FORMS": str(int(number) + 1)}


# Saving writes only what was changed


@pytest.mark.parametrize(
    "name",
    ["deborah", "home", "gloves", "order", "cart"],
)
def test_an_unchanged_form_changes_nothing(
    admin_client: Client, request: pytest.FixtureRequest, name: str
) -> None:
    obj = request.getfixturevalue(name)
    before = type(obj).objects.values().get(pk=obj.pk)
    save(admin_client, change_url(obj), open_form(admin_client, change_url(obj)))
    after = type(obj).objects.values().get(pk=obj.pk)
    if name == "cart":
        assert after.pop("last_updated") > before.pop("last_updated")
    assert after == before
    assert LogEntry.objects.get().get_change_message() == "No fields changed."


def test_new_name_does_not_bring_back_sold_stock(admin_client: Client, gloves: Product) -> None:
    form = open_form(admin_client, change_url(gloves))
    Product.objects.update(stock=55)
    save(admin_client, change_url(gloves), form | {"name": "Marble Gloves", "description": "Cold.\r\nHard."})
    gloves.refresh_from_db()
    assert (gloves.name, gloves.description, gloves.stock) == ("Marble Gloves", "Cold.\r\nHard.", 55)
    assert LogEntry.objects.get().get_change_message() == "Changed Name and Description."


def test_new_stock_is_written(admin_client: Client, gloves: Product) -> None:
    form = open_form(admin_client, change_url(gloves))
    Product.objects.update(price=Decimal("199.00"))
    save(admin_client, change_url(gloves), form | {"stock": "158", "reason": "counted"})
    gloves.refresh_from_db()
    assert (gloves.stock, gloves.price) == (158, Decimal("199.00"))


def test_new_date_does_not_bring_back_an_old_status(admin_client: Client, order: Order) -> None:
    Order.objects.update(status="pending")
    form = open_form(admin_client, change_url(order))
    Order.objects.update(status="shipped")
    save(admin_client, change_url(order), form | {"order_date": "2025-11-27"})
    order.refresh_from_db()
    assert (order.order_date, order.status) == (date(2025, 11, 27), "shipped")


def test_new_status_does_not_bring_back_old_lines(
    admin_client: Client, order: Order, computer: Product
) -> None:
    Order.objects.update(status="pending")
    form = open_form(admin_client, change_url(order))
    OrderItem.objects.update(quantity=3)
    save(admin_client, change_url(order), form | {"_cancel": "Cancel"})
    order.refresh_from_db()
    assert (order.items.get().quantity, order.total_amount, order.status) == (
        3,
        Decimal("707.97"),
        "cancelled",
    )


def test_new_price_of_a_line_does_not_bring_back_its_old_quantity(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order))
    OrderItem.objects.update(quantity=3)
    save(admin_client, change_url(order), form | {"items-0-price_per_unit": "200.00"})
    order.refresh_from_db()
    assert (order.items.get().quantity, order.total_amount) == (3, Decimal("600.00"))


def test_new_name_of_a_customer_keeps_address_and_password(admin_client: Client, deborah: Customer) -> None:
    form = open_form(admin_client, change_url(deborah))
    Customer.objects.update(ort="Berlin", password="changed meanwhile")
    save(admin_client, change_url(deborah), form | {"last_name": "Brown"})
    deborah.refresh_from_db()
    assert (deborah.last_name, deborah.ort, deborah.password) == ("Brown", "Berlin", "changed meanwhile")


# Orders: the total is the sum of the lines


def test_new_order(admin_client: Client, deborah: Customer, gloves: Product, computer: Product) -> None:
    form = open_form(admin_client, add_url(Order)) | {"customer": str(deborah.pk), **ADDRESS}
    form = new_line(form, product=gloves.pk, quantity=2, price_per_unit="200.00")
    form = new_line(form, product=computer.pk, quantity=1, price_per_unit="")
    save(admin_client, add_url(Order), form)
    order = Order.objects.get()
    assert (order.customer, order.order_date, order.status) == (deborah, timezone.localdate(), "pending")
    assert list(order.items.order_by("pk").values_list("product", "quantity", "price_per_unit")) == [
        (gloves.pk, 2, Decimal("200.00")),
        (computer.pk, 1, Decimal("369.35")),
    ]
    assert order.total_amount == Decimal("769.35")


def test_changed_line_changes_the_total(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order)) | {"items-0-quantity": "3"}
    save(admin_client, change_url(order), form)
    order.refresh_from_db()
    assert order.total_amount == Decimal("707.97")


def test_deleted_line_changes_the_total(admin_client: Client, order: Order, computer: Product) -> None:
    form = open_form(admin_client, change_url(order)) | {"items-0-DELETE": "on"}
    form = new_line(form, product=computer.pk, quantity=1, price_per_unit="369.00")
    save(admin_client, change_url(order), form)
    order.refresh_from_db()
    assert (order.items.get().product, order.total_amount) == (computer, Decimal("369.00"))


def test_total_cannot_be_entered(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order))
    assert "total_amount" not in form
    save(admin_client, change_url(order), form | {"total_amount": "1.00"})
    order.refresh_from_db()
    assert order.total_amount == Decimal("471.98")


def test_line_without_price_costs_what_the_product_costs_now(admin_client: Client, order: Order) -> None:
    page = admin_client.get(change_url(order)).content.decode()
    assert "Left empty, it is the product&#x27;s current price." in page
    Product.objects.update(price=Decimal("250.00"))
    form = open_form(admin_client, change_url(order)) | {"items-0-price_per_unit": ""}
    save(admin_client, change_url(order), form)
    order.refresh_from_db()
    assert (order.items.get().price_per_unit, order.total_amount) == (Decimal("250.00"), Decimal("500.00"))


def test_line_may_be_a_gift(admin_client: Client, order: Order, computer: Product) -> None:
    form = new_line(
        open_form(admin_client, change_url(order)), product=computer.pk, quantity=1, price_per_unit="0"
    )
    save(admin_client, change_url(order), form)
    assert order.items.get(product=computer).price_per_unit == Decimal("0.00")


def test_order_shows_subtotals(admin_client: Client, order: Order) -> None:
    page = admin_client.get(change_url(order)).content.decode()
    assert re.search(r'<td class="field-subtotal">\s*<p>471.98</p>', page)


def test_lines_whose_sum_does_not_fit_are_refused(admin_client: Client, order: Order) -> None:
    form = open_form(admin_client, change_url(order)) | {"items-0-quantity": "2000000000"}
    assert "The total would be 471,980,000,000.00, more than 99,999,999.99." in refused(
        admin_client, change_url(order), form
    )
    order.refresh_from_db()
    assert order.total_amount == Decimal("471.98")


def test_order_lines_cannot_be_added_or_changed_on_their_own(admin_client: Client, order: Order) -> None:
    line = order.items.get()
    assert admin_client.get(add_url(OrderItem)).status_code == 403
    assert admin_client.post(change_url(line), {"quantity": "5"}).status_code == 403
    page = admin_client.get(change_url(line)).content.decode()
    assert f'<a href="/admin/shop/order/{order.pk}/change/">Order {order.pk}</a>' in page
    assert 'name="_save"' not in page


def test_who_may_not_touch_lines_may_change_the_order(client: Client, order: Order) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_order", "view_orderitem"]))
    client.force_login(clerk)
    Order.objects.update(status="pending")
    form = open_form(client, change_url(order)) | {"_cancel": "Cancel", "items-0-quantity": "9"}
    save(client, change_url(order), form)
    order.refresh_from_db()
    assert (order.status, order.items.get().quantity, order.total_amount) == (
        "cancelled",
        2,
        Decimal("471.98"),
    )


# Carts: saving brings them up to date


@pytest.fixture
def old_cart(cart: Cart) -> Cart:
    Cart.objects.update(last_updated=timezone.now() - timedelta(days=7))
    return cart


def is_up_to_date(cart: Cart) -> bool:
    cart.refresh_from_db()
    return timezone.now() - cart.last_updated < timedelta(minutes=1)


def test_saved_line_brings_the_cart_up_to_date(admin_client: Client, old_cart: Cart) -> None:
    assert not is_up_to_date(old_cart)
    form = open_form(admin_client, change_url(old_cart)) | {"items-0-quantity": "3"}
    save(admin_client, change_url(old_cart), form)
    assert is_up_to_date(old_cart)
    assert old_cart.items.get().quantity == 3


def test_new_cart(admin_client: Client, deborah: Customer, gloves: Product) -> None:
    form = open_form(admin_client, add_url(Cart)) | {"customer": str(deborah.pk)}
    save(admin_client, add_url(Cart), new_line(form, product=gloves.pk, quantity=1))
    cart = Cart.objects.get()
    assert is_up_to_date(cart)
    assert list(cart.items.values_list("product", "quantity")) == [(gloves.pk, 1)]


def test_line_saved_on_its_own_brings_the_cart_up_to_date(admin_client: Client, old_cart: Cart) -> None:
    line = old_cart.items.get()
    save(admin_client, change_url(line), open_form(admin_client, change_url(line)) | {"quantity": "3"})
    line.refresh_from_db()
    assert line.quantity == 3
    assert is_up_to_date(old_cart)


def test_line_added_on_its_own_brings_the_cart_up_to_date(
    admin_client: Client, old_cart: Cart, gloves: Product
) -> None:
    form = open_form(admin_client, add_url(CartItem))
    form |= {"cart": str(old_cart.pk), "product": str(gloves.pk), "quantity": "1"}
    save(admin_client, add_url(CartItem), form)
    assert old_cart.items.count() == 2
    assert is_up_to_date(old_cart)


def test_moved_line_brings_both_carts_up_to_date(admin_client: Client, old_cart: Cart) -> None:
    john = Customer.objects.create(first_name="John", last_name="Doe", email="john@example.com")
    other = Cart.objects.create(customer=john, last_updated=old_cart.last_updated)
    line = old_cart.items.get()
    save(admin_client, change_url(line), open_form(admin_client, change_url(line)) | {"cart": str(other.pk)})
    assert other.items.get() == line
    assert is_up_to_date(old_cart)
    assert is_up_to_date(other)


# Customers: the password


@pytest.fixture
def john(admin_client: Client) -> dict[str, str]:
    """Fill the form of a new customer."""
    form = open_form(admin_client, add_url(Customer))
    return form | {
        "first_name": "John",
        "last_name": "Doe",
        "email": "John@Example.com",
        "new_password": "correct horse battery",
    }


def test_new_customer(admin_client: Client, john: dict[str, str]) -> None:
    save(admin_client, add_url(Customer), john)
    customer = Customer.objects.get()
    assert (customer.first_name, customer.last_name, customer.email) == ("John", "Doe", "john@example.com")
    assert customer.check_password("correct horse battery")


def test_new_customer_needs_a_password(admin_client: Client, john: dict[str, str]) -> None:
    assert refused(admin_client, add_url(Customer), john | {"new_password": ""}) == [
        "This field is required."
    ]
    assert not Customer.objects.exists()


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("short", "This password is too short. It must contain at least 8 characters."),
        ("password1", "This password is too common."),
        ("4711081547", "This password is entirely numeric."),
        ("john@example.com", "The password is too similar to the email."),
    ],
)
def test_weak_passwords_are_refused(
    admin_client: Client, john: dict[str, str], password: str, error: str
) -> None:
    response = admin_client.post(add_url(Customer), john | {"new_password": password})
    assert error in errors_of(response)
    assert response.context["adminform"].form.errors["new_password"] == [error]
    assert password not in FormParser(response.content.decode()).values["new_password"]
    assert not Customer.objects.exists()


def test_changed_password(admin_client: Client, deborah: Customer) -> None:
    form = open_form(admin_client, change_url(deborah))
    assert form["new_password"] == ""
    save(admin_client, change_url(deborah), form | {"new_password": "purple monkey dishwasher"})
    deborah.refresh_from_db()
    assert deborah.check_password("purple monkey dishwasher")


def test_weak_change_of_password_is_refused(admin_client: Client, deborah: Customer) -> None:
    form = open_form(admin_client, change_url(deborah)) | {"new_password": "deborah.bruen@example"}
    assert refused(admin_client, change_url(deborah), form) == ["The password is too similar to the email."]
    deborah.refresh_from_db()
    assert deborah.check_password("correct horse battery")


def test_hash_cannot_be_entered(admin_client: Client, deborah: Customer) -> None:
    form = open_form(admin_client, change_url(deborah)) | {"password": "md5$known"}
    save(admin_client, change_url(deborah), form)
    deborah.refresh_from_db()
    assert deborah.check_password("correct horse battery")


def test_log_holds_no_password(admin_client: Client, john: dict[str, str]) -> None:
    save(admin_client, add_url(Customer), john)
    customer = Customer.objects.get()
    form = open_form(admin_client, change_url(customer)) | {"new_password": "purple monkey dishwasher"}
    save(admin_client, change_url(customer), form)
    customer.refresh_from_db()
    history = reverse("admin:shop_customer_history", args=[customer.pk])
    page = admin_client.get(history).content.decode()
    assert "Changed New password." in page
    logged = str(list(LogEntry.objects.values()))
    for secret in ("correct horse", "purple monkey", customer.password):
        assert secret not in page
        assert secret not in logged


# The rules of the database, as messages


@pytest.mark.parametrize("email", ["deborah.bruen@example.com", "Deborah.Bruen@EXAMPLE.com"])
def test_second_customer_with_an_email_is_refused(
    admin_client: Client, deborah: Customer, john: dict[str, str], email: str
) -> None:
    assert refused(admin_client, add_url(Customer), john | {"email": email}) == [
        "A customer with this e-mail address exists already."
    ]


def test_customer_cannot_take_anothers_email(admin_client: Client, deborah: Customer) -> None:
    other = Customer.objects.create(first_name="John", last_name="Doe", email="john@example.com")
    form = open_form(admin_client, change_url(other)) | {"email": "DEBORAH.BRUEN@example.com"}
    assert refused(admin_client, change_url(other), form) == [
        "A customer with this e-mail address exists already."
    ]


def test_second_category_of_a_name_is_refused(admin_client: Client, home: Category) -> None:
    form = open_form(admin_client, add_url(Category)) | {"category_name": "Home"}
    assert refused(admin_client, add_url(Category), form) == ["A category with this name exists already."]


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"price": "-0.01"}, ["The price must be between 0.00 and 99999999.99."]),
        ({"stock": "-1"}, ["The stock must not be negative."]),
        ({"stock": "1" * 30}, ["Ensure this value is less than or equal to 2147483647."]),
        ({"price": "1" * 30}, ["Ensure that there are no more than 10 digits in total."]),
        ({"name": ""}, ["This field is required."]),
        ({"name": "a\0b"}, ["Null characters are not allowed."]),
        ({"name": "a" * 201}, ["Ensure this value has at most 200 characters (it has 201)."]),
        ({"category": "1" * 30}, ["Select a valid choice. That choice is not one of the available choices."]),
    ],
)
def test_bad_product_is_refused(
    admin_client: Client, gloves: Product, change: dict[str, str], errors: list[str]
) -> None:
    form = open_form(admin_client, change_url(gloves))
    assert refused(admin_client, change_url(gloves), form | {"reason": "counted"} | change) == errors


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"items-0-quantity": "0"}, ["The quantity must be at least 1."]),
        ({"items-0-quantity": ""}, ["This field is required."]),
        ({"items-0-price_per_unit": "-0.01"}, ["The price must be between 0.00 and 99999999.99."]),
        (
            {"items-0-price_per_unit": "zzz"},
            ["Enter a number such as 1234.50, with no comma."],
        ),
        ({"order_date": "2025-02-30"}, ["Enter a valid date."]),
    ],
)
def test_bad_order_is_refused(
    admin_client: Client, order: Order, change: dict[str, str], errors: list[str]
) -> None:
    form = open_form(admin_client, change_url(order))
    assert refused(admin_client, change_url(order), form | change) == errors


def test_second_cart_of_a_customer_is_refused(admin_client: Client, cart: Cart, deborah: Customer) -> None:
    form = open_form(admin_client, add_url(Cart)) | {"customer": str(deborah.pk)}
    assert refused(admin_client, add_url(Cart), form) == ["This customer has a cart already."]


def test_second_line_of_a_product_is_refused(admin_client: Client, cart: Cart, computer: Product) -> None:
    form = new_line(open_form(admin_client, change_url(cart)), product=computer.pk, quantity=1)
    assert refused(admin_client, change_url(cart), form) == [
        "Please correct the duplicate data for product.",
        "Please correct the duplicate values below.",
    ]
    lone = open_form(admin_client, add_url(CartItem))
    lone |= {"cart": str(cart.pk), "product": str(computer.pk), "quantity": "1"}
    assert refused(admin_client, add_url(CartItem), lone) == ["This product is in the cart already."]


def test_cart_line_of_none_is_refused(admin_client: Client, cart: Cart) -> None:
    form = open_form(admin_client, change_url(cart)) | {"items-0-quantity": "0"}
    assert refused(admin_client, change_url(cart), form) == ["The quantity must be at least 1."]


def test_a_cart_shows_what_it_costs_today(admin_client: Client, cart: Cart, gloves: Product) -> None:
    cart.items.create(product=gloves, quantity=1)
    page = admin_client.get(reverse("admin:shop_cart_change", args=[cart.pk])).content.decode()
    assert re.findall(r'<div class="readonly">(\d+\.\d\d)</div>', page) == ["974.69"]
    assert re.findall(r"<p>(\d+\.\d\d)</p>", page) == ["369.35", "738.70", "235.99", "235.99"]
