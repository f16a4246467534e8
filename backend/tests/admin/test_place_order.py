"""Selling on the telephone: a cart becomes an order, by staff."""

import re
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from shop.models import Cart, CartItem, Customer, Order, OrderHistory, Product
from shop.orders.models import Delivery
from tests.admin.conftest import Clerk
from tests.admin.test_actions import messages_of
from tests.admin.test_forms import ADDRESS, FormParser, change_url, errors_of, open_form
from tests.admin.test_order_page import history_of
from tests.support.races import session
from tests.support.rows import stocks

LIST = "/admin/shop/cart/"


def act(client: Client, *carts: Cart, **fields: str) -> Any:
    """Run the action on these carts."""
    selected = [str(cart.pk) for cart in carts]
    return client.post(LIST, {"action": "place_order", "_selected_action": selected, "index": "0", **fields})


def press(client: Client, cart: Cart, **changes: str) -> Any:
    """Press the button on the cart's page."""
    url = change_url(cart)
    return client.post(url, open_form(client, url) | changes | {"_place_order": "Place order"})


def is_ordered(basket: Cart) -> Order:
    """Return the one order, which is all that was in Ada's cart."""
    order = Order.objects.get()
    assert (order.customer_id, order.status) == (basket.customer_id, "pending")
    assert order.total_amount == Decimal("1446.67")
    assert sorted(order.items.values_list("quantity", "price_per_unit")) == [
        (2, Decimal("369.35")),
        (3, Decimal("235.99")),
    ]
    assert Delivery.objects.values_list("order", "last_name", "ort").get() == (
        order.pk,
        "Lovelace",
        "Dresden",
    )
    assert OrderHistory.objects.values_list("status", "by").get() == ("pending", "staff")
    assert stocks() == [0, 55]
    assert not CartItem.objects.exists()
    return order


def test_the_action(admin_client: Client, basket: Cart) -> None:
    assert '<option value="place_order">Place order</option>' in admin_client.get(LIST).content.decode()
    response = act(admin_client, basket)
    order = is_ordered(basket)
    link = f'<a href="/admin/shop/order/{order.pk}/change/">Order {order.pk}</a>'
    assert messages_of(response) == [("success", f"Cart of Ada Lovelace: {link} was placed.")]
    assert link in admin_client.get(LIST).content.decode()
    assert messages_of(act(admin_client, basket)) == [
        ("error", "Cart of Ada Lovelace: The cart is empty."),
    ]
    assert history_of(admin_client, order) == [("Pending", "admin (staff)")]


def test_the_button(admin_client: Client, basket: Cart) -> None:
    page = admin_client.get(change_url(basket)).content.decode()
    assert '<input type="submit" name="_place_order" value="Place order">' in page
    response = press(admin_client, basket)
    assert response["Location"] == change_url(basket)
    order = is_ordered(basket)
    [(level, text)] = messages_of(response)
    assert (level, f"Order {order.pk}</a> was placed." in text) == ("success", True)


def test_the_button_saves_the_page_first(admin_client: Client, basket: Cart, gloves: Product) -> None:
    press(admin_client, basket, **{"items-1-quantity": "1"})
    assert Order.objects.get().items.get(product=gloves).quantity == 1


def test_the_button_beside_a_field_that_is_wrong(admin_client: Client, basket: Cart) -> None:
    response = press(admin_client, basket, **{"items-1-quantity": "0"})
    assert errors_of(response) == ["The quantity must be at least 1."]
    assert not Order.objects.exists()


def test_prices_are_todays(admin_client: Client, basket: Cart) -> None:
    """The list shows none."""
    Product.objects.update(price=1)
    act(admin_client, basket)
    assert Order.objects.get().total_amount == 5


@pytest.mark.parametrize("way", ["action", "button"])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("empty", "The cart is empty."),
        ("stock", "There is not enough in stock: Handmade Wooden Computer (2 wanted, 1 available)."),
        ("address", "The customer's address is not complete: strasse, ort."),
        ("price", "An order can be of 99999999.99 at the most."),
    ],
)
def test_what_stands_against_it_is_a_message(
    admin_client: Client, basket: Cart, computer: Product, change: str, text: str, way: str
) -> None:
    if change == "empty":
        CartItem.objects.all().delete()
    elif change == "stock":
        Product.objects.filter(pk=computer.pk).update(stock=1)
    elif change == "address":
        Customer.objects.update(strasse=" ", ort="")
    else:
        Product.objects.update(price=Decimal("90000000.00"))
    lines, stock = list(CartItem.objects.values()), stocks()
    response = act(admin_client, basket) if way == "action" else press(admin_client, basket)
    assert messages_of(response) == [("error", f"Cart of Ada Lovelace: {text}")]
    assert (list(CartItem.objects.values()), stocks()) == (lines, stock)
    assert not Order.objects.exists()


def test_each_cart_is_a_sale_of_its_own(admin_client: Client, basket: Cart, cart: Cart) -> None:
    """Ada and Deborah want the same two computers; whoever comes first has them."""
    Customer.objects.update(**ADDRESS)
    response = act(admin_client, basket, cart)
    texts = dict(messages_of(response))
    assert texts.keys() == {"success", "error"}
    assert Order.objects.count() == 1
    assert texts["error"].endswith("Handmade Wooden Computer (2 wanted, 0 available).")


@pytest.mark.django_db(transaction=True)
def test_no_order_without_the_name_of_who_placed_it(admin_client: Client, basket: Cart) -> None:
    with session() as other, connection.cursor() as cursor:
        other.execute("LOCK TABLE django_admin_log")
        cursor.execute("SET lock_timeout = '100ms'")
        answer = act(admin_client, basket)
        cursor.execute("RESET lock_timeout")
    text = f"{basket}: Somebody else is changing this at this moment. Try again."
    assert messages_of(answer) == [("error", text)]
    assert not Order.objects.exists()
    assert stocks() == [2, 58]


def test_few_messages_for_many_carts(
    admin_client: Client, gloves: Product, computer: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    Product.objects.update(stock=12)
    customers = Customer.objects.bulk_create(
        Customer(first_name="C", last_name=str(n), email=f"{n}@example.com", **ADDRESS) for n in range(24)
    )
    carts = Cart.objects.bulk_create(Cart(customer=customer) for customer in customers)
    CartItem.objects.bulk_create(CartItem(cart=cart, product=gloves, quantity=1) for cart in carts)
    messages = messages_of(act(admin_client, *carts))
    assert [level for level, _ in messages] == ["success"] * 11 + ["error"] * 11
    assert messages[10][1] == "And 2 more orders were placed."
    assert messages[21][1] == "And 2 more carts stayed as they were."
    assert Order.objects.count() == 12
    monkeypatch.setattr("shop.admin.carts.PLACE_AT_ONCE", 2)
    admin_client.get(LIST)
    assert messages_of(act(admin_client, *carts))[-1] == (
        "error",
        "More than 2 carts are selected: place fewer orders at once.",
    )
    assert Order.objects.count() == 12


def test_all_carts_of_a_search(admin_client: Client, basket: Cart, cart: Cart) -> None:
    Customer.objects.update(**ADDRESS)
    selection = {"action": "place_order", "_selected_action": "1", "select_across": "1", "index": "0"}
    admin_client.post(f"{LIST}?q=ada", selection)
    assert Order.objects.get().customer_id == basket.customer_id


def test_it_costs_the_same_queries_at_1_and_at_50_lines(
    admin_client: Client,
    basket: Cart,
    gloves: Product,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    act(admin_client, basket)
    products = Product.objects.bulk_create(
        Product(name=str(n), price=1, stock=9, category=gloves.category) for n in range(50)
    )
    for number in (1, 50):
        CartItem.objects.bulk_create(
            CartItem(cart=basket, product=product, quantity=1) for product in products[:number]
        )
        with django_assert_num_queries(18):
            act(admin_client, basket)
    assert Order.objects.count() == 3


# Who may


def test_it_takes_the_permission_to_add_orders(clerk: Clerk, basket: Cart) -> None:
    client = clerk(
        "view_cart", "change_cart", "view_cartitem", "change_cartitem", "view_order", "change_order"
    )
    assert "Place order" not in client.get(LIST).content.decode()
    assert "Place order" not in client.get(change_url(basket)).content.decode()
    act(client, basket)
    press(client, basket)
    assert not Order.objects.exists()
    assert CartItem.objects.count() == 2


def test_who_may_not_change_carts_has_the_action_alone(clerk: Clerk, basket: Cart) -> None:
    client = clerk("view_cart", "view_cartitem", "add_order")
    assert "_place_order" not in client.get(change_url(basket)).content.decode()
    assert client.post(change_url(basket), {"_place_order": "Place order"}).status_code == 403
    assert not Order.objects.exists()
    act(client, basket)
    is_ordered(basket)


# Customers who are erased


@pytest.fixture
def erased(placed: Order) -> Customer:
    """Ada, whose order stays in the books."""
    customer = placed.customer
    customer.email = f"deleted-{customer.pk}@invalid"
    customer.first_name, customer.last_name = "Deleted", "customer"
    customer.strasse = customer.plz = customer.ort = ""
    customer.save()
    Cart.objects.all().delete()
    return customer


@pytest.mark.parametrize("table", ["order", "cart"])
def test_an_erased_customer_gets_nothing_new(
    admin_client: Client, erased: Customer, deborah: Customer, table: str
) -> None:
    model: Any = {"order": Order, "cart": Cart}[table]
    url = reverse(f"admin:shop_{table}_add")
    before = model.objects.count()
    response = admin_client.post(url, open_form(admin_client, url) | {"customer": str(erased.pk)})
    assert errors_of(response) == ["This customer is erased."]
    assert model.objects.count() == before
    other = model.objects.create(customer=deborah)
    form = open_form(admin_client, change_url(other)) | {"customer": str(erased.pk)}
    assert errors_of(admin_client.post(change_url(other), form)) == ["This customer is erased."]
    other.refresh_from_db()
    assert other.customer == deborah


def test_the_pages_of_an_erased_customer(admin_client: Client, erased: Customer, placed: Order) -> None:
    page = admin_client.get(change_url(erased)).content.decode()
    assert f"deleted-{erased.pk}@invalid" in page
    assert 'name="_save"' not in page
    assert admin_client.post(change_url(erased), {"first_name": "Ada"}).status_code == 403
    form = open_form(admin_client, change_url(placed))
    assert form["customer"] == str(erased.pk)
    assert admin_client.post(change_url(placed), form | {"_complete": "Complete"}).status_code == 302
    assert "Deleted customer" in admin_client.get("/admin/shop/customer/").content.decode()


def test_a_cart_that_an_erased_customer_has_nevertheless(
    admin_client: Client, erased: Customer, gloves: Product
) -> None:
    """psql can make one."""
    cart = Cart.objects.create(customer=erased)
    CartItem.objects.create(cart=cart, product=gloves, quantity=1)
    assert messages_of(act(admin_client, cart)) == [
        ("error", "Cart of Deleted customer: Customer not found."),
    ]
    assert Order.objects.count() == 1


def test_a_name_is_no_markup_in_a_message(admin_client: Client, basket: Cart) -> None:
    Customer.objects.update(first_name="<b>Ada</b>")
    act(admin_client, basket)
    page = admin_client.get(LIST).content.decode()
    assert "<b>Ada" not in page
    [message] = re.findall(r'<li class="success">(.*?)</li>', page)
    assert message.startswith("Cart of &lt;b&gt;Ada&lt;/b&gt; Lovelace: <a href=")


def test_a_page_that_comes_back_offers_the_button_again(admin_client: Client, basket: Cart) -> None:
    response = press(admin_client, basket, **{"items-1-quantity": "zzz"})
    page = response.content.decode()
    assert 'name="_place_order"' in page
    assert FormParser(page).values["items-1-quantity"] == "zzz"


def test_the_button_places_what_the_page_shows(admin_client: Client, basket: Cart, gloves: Product) -> None:
    """Not what the customer puts in, or what a colleague makes of a price, meanwhile."""
    url = change_url(basket)
    page = open_form(admin_client, url)
    lines, products = basket.items.filter(product=gloves), Product.objects.filter(pk=gloves.pk)
    for change in (partial(lines.update, quantity=1), partial(products.update, price=1)):
        change()
        response = admin_client.post(url, page | {"_place_order": "Place order"})
        total = basket_total(basket)
        assert errors_of(response) == [
            f"Somebody changed the cart or a price: the total is {total} now. Nothing was saved."
        ]
        assert not Order.objects.exists()
    press(admin_client, basket)
    assert Order.objects.get().total_amount == total


def basket_total(basket: Cart) -> Decimal:
    return sum((item.quantity * item.product.price for item in basket.items.all()), Decimal("0.00"))
