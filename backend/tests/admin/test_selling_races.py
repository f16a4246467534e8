"""Staff and customers at one order, cart or product: the books balance, nobody waits in a circle."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from shop.carts import cart as carts
from shop.database.refusal import MissingError
from shop.models import Cart, CartItem, Customer, Order, OrderHistory, OrderItem, Product
from shop.orders.books import faults
from shop.orders.checkout import CartEmptyError, Placed, TotalChangedError, place_order
from shop.orders.models import Actor
from tests.admin.test_actions import delete_url
from tests.admin.test_forms import ADDRESS, add_url, change_url, errors_of, new_line, open_form
from tests.support.calling import Caller, bearer
from tests.support.races import at_once, meanwhile
from tests.support.rows import stock_of

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5
FASTER = "Somebody was faster: the order is {} now. Nothing was saved."
IN_THE_CART = ["This product is in the cart already."]
NO_CHOICE = ["Select a valid choice. That choice is not one of the available choices."]


@pytest.fixture(autouse=True)
def books(transactional_db: None) -> Iterator[None]:
    """They balance after each test, and nobody was ended for waiting in a circle."""
    before = deadlocks()
    yield
    assert faults() == []
    assert deadlocks() == before


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = current_database()"
        )
        return int(cursor.fetchone()[0])


@pytest.fixture
def staff(admin_user: User) -> Callable[[], Client]:
    """Signs in one of the staff."""

    def sign_in() -> Client:
        client = Client()
        client.force_login(admin_user)
        return client

    return sign_in


Staff = Callable[[], Client]


def press(client: Client, order: Order, button: str, **changes: str) -> Callable[[], Any]:
    """Open the page now, to press a button later."""
    form = open_form(client, change_url(order)) | changes | {f"_{button}": button.capitalize()}
    return partial(client.post, change_url(order), form)


def buy(buyer: Customer) -> Placed:
    return place_order(customer_id=buyer.pk, expected_total=None, by=Actor.CUSTOMER)


def statuses(order: Order) -> list[str]:
    return list(OrderHistory.objects.filter(order=order).order_by("pk").values_list("status", flat=True))


# Orders


@pytest.mark.slow
def test_the_last_pieces_go_to_one(staff: Staff, basket: Cart, order: Order, computer: Product) -> None:
    client = staff()
    for _ in range(ROUNDS):
        Product.objects.filter(pk=computer.pk).update(stock=2)
        carts.put(customer_id=basket.customer_id, product_id=computer.pk, quantity=2)
        form = new_line(open_form(client, change_url(order)), product=computer.pk, quantity=1)
        saved, placed = at_once(partial(client.post, change_url(order), form), partial(buy, basket.customer))
        if isinstance(placed, Placed):
            assert errors_of(saved) == [
                "There is not enough in stock: Handmade Wooden Computer (1 more wanted, 0 available)."
            ]
            assert stock_of(computer) == 0
        else:
            assert (saved.status_code, placed.details["items"][0]["available"]) == (302, 1)
            assert stock_of(computer) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("mine", "theirs"), [("ship", "cancel"), ("cancel", "cancel"), ("process", "ship")])
def test_two_of_the_staff_press_a_button(
    staff: Staff, placed: Order, gloves: Product, mine: str, theirs: str
) -> None:
    results = at_once(press(staff(), placed, mine), press(staff(), placed, theirs))
    assert sorted(result.status_code for result in results) == [200, 302]
    placed.refresh_from_db()
    [loser] = [result for result in results if result.status_code == 200]
    assert errors_of(loser) == [FASTER.format(placed.status)]
    assert statuses(placed) == ["pending", placed.status]
    assert stock_of(gloves) == (58 if placed.status == "cancelled" else 55)


@pytest.mark.slow
@pytest.mark.parametrize("button", ["cancel", "ship"])
def test_the_customer_cancels_as_staff_press_a_button(
    staff: Staff, placed: Order, gloves: Product, button: str, settings: Settings
) -> None:
    settings.SHOP_RATE_LIMITS = "off"
    caller = Caller(Client(), bearer(placed.customer))
    path = f"customer/{placed.customer_id}/orders/{placed.pk}/cancel/"
    pressed, answer = at_once(press(staff(), placed, button), partial(caller.post, path))
    placed.refresh_from_db()
    if placed.status == "cancelled":
        assert answer.status_code == 200
        assert stock_of(gloves) == 58
        if pressed.status_code == 200:
            assert errors_of(pressed) == [FASTER.format("cancelled")]
    else:
        assert (pressed.status_code, answer.status_code) == (302, 409)
        assert stock_of(gloves) == 55
    assert statuses(placed) == ["pending", placed.status]


@pytest.mark.slow
def test_two_of_the_staff_change_one_line(staff: Staff, placed: Order, gloves: Product) -> None:
    results = at_once(
        *(press(staff(), placed, "save", **{"items-1-quantity": quantity}) for quantity in ("5", "10"))
    )
    assert sorted(result.status_code for result in results) == [200, 302]
    quantity = placed.items.get(product=gloves).quantity
    assert stock_of(gloves) == 58 - quantity


def test_lines_are_saved_as_the_customer_cancels(staff: Staff, placed: Order, gloves: Product) -> None:
    """Before, they come back; after, they were never taken."""
    result = meanwhile(
        f"UPDATE \"order\" SET status = 'cancelled' WHERE order_id = {placed.pk}",
        press(staff(), placed, "save", **{"items-1-quantity": "50"}),
        f"UPDATE product SET stock = stock + 3 WHERE product_id = {gloves.pk};"
        "INSERT INTO order_history (order_id, status, by)"
        f" VALUES ({placed.pk}, 'cancelled', 'customer') RETURNING 1",
    )
    assert result.status_code == 302
    assert placed.items.get(product=gloves).quantity == 50
    assert stock_of(gloves) == 58


def test_a_deletion_and_a_cancellation_give_back_once(
    staff: Staff, placed: Order, gloves: Product, computer: Product
) -> None:
    deleted, _ = at_once(
        partial(staff().post, delete_url(placed), {"post": "yes"}), press(staff(), placed, "cancel")
    )
    assert deleted.status_code == 302
    assert not Order.objects.exists()
    assert (stock_of(gloves), stock_of(computer)) == (58, 2)


@pytest.mark.slow
def test_a_customer_is_deleted_while_ordering(staff: Staff, gloves: Product) -> None:
    client = staff()
    for turn in range(ROUNDS):
        buyer = Customer.objects.create(
            first_name="E", last_name="E", email=f"{turn}@example.com", strasse="S 1", plz="1", ort="B"
        )
        carts.put(customer_id=buyer.pk, product_id=gloves.pk, quantity=1)
        form = open_form(client, add_url(Order)) | {"customer": str(buyer.pk)}
        form = new_line(form, product=gloves.pk, quantity=2)
        deleted, placed, added = at_once(
            partial(staff().post, delete_url(buyer), {"post": "yes"}),
            partial(buy, buyer),
            partial(client.post, add_url(Order), form),
        )
        assert isinstance(placed, Placed | MissingError), placed
        if added.status_code == 200:
            assert set(errors_of(added)) <= {"This customer is erased.", *NO_CHOICE}
        # Whoever orders first stays.
        orders = Order.objects.filter(customer=buyer.pk).count()
        assert orders == isinstance(placed, Placed) + (added.status_code == 302)
        assert (deleted.status_code, Customer.objects.count()) == ((200, 1) if orders else (302, 0))
        Order.objects.all().delete()
        Customer.objects.all().delete()
        Product.objects.update(stock=58)


def test_a_new_order_of_a_customer_who_is_being_deleted(
    staff: Staff, jonas: Customer, gloves: Product
) -> None:
    client = staff()
    form = open_form(client, add_url(Order)) | {"customer": str(jonas.pk)}
    result = meanwhile(
        f"SELECT FROM customer WHERE customer_id = {jonas.pk} FOR NO KEY UPDATE",
        partial(client.post, add_url(Order), new_line(form, product=gloves.pk, quantity=2)),
        f"DELETE FROM customer WHERE customer_id = {jonas.pk} RETURNING 1",
    )
    assert errors_of(result) == ["This customer is erased.", *NO_CHOICE]
    assert stock_of(gloves) == 58


# Carts


def left_and_ordered(basket: Cart, product: Product) -> tuple[list[int], list[int]]:
    """How many of a product are in the cart, and in orders."""
    left = CartItem.objects.filter(cart=basket, product=product).values_list("quantity", flat=True)
    ordered = OrderItem.objects.filter(product=product).values_list("quantity", flat=True)
    return list(left), list(ordered)


def test_a_cart_is_saved_as_it_is_ordered(staff: Staff, basket: Cart, gloves: Product) -> None:
    client = staff()
    form = open_form(client, change_url(basket)) | {"items-1-quantity": "5"}
    saved, placed = at_once(partial(client.post, change_url(basket), form), partial(buy, basket.customer))
    assert isinstance(placed, Placed), placed
    left, ordered = left_and_ordered(basket, gloves)
    if saved.status_code == 302:
        assert (left, ordered) == ([], [5])
    else:
        assert (left, ordered) == ([], [3])
        assert errors_of(saved)[0].startswith("Deleted meanwhile: ")


def test_a_line_is_added_as_the_cart_is_ordered(staff: Staff, basket: Cart, home: Any) -> None:
    client = staff()
    for turn in range(ROUNDS):
        mug = Product.objects.create(name="Mug", price=1, stock=9, category=home)
        bowl = Product.objects.create(name=f"Bowl {turn}", price=1, stock=9, category=home)
        carts.put(customer_id=basket.customer_id, product_id=bowl.pk, quantity=1)
        form = open_form(client, add_url(CartItem))
        form |= {"cart": str(basket.pk), "product": str(mug.pk), "quantity": "4"}
        added, placed = at_once(partial(client.post, add_url(CartItem), form), partial(buy, basket.customer))
        assert (added.status_code, type(placed)) == (302, Placed)
        assert left_and_ordered(basket, mug) in (([4], []), ([], [4]))


def test_a_line_is_deleted_as_the_cart_is_ordered(staff: Staff, basket: Cart, gloves: Product) -> None:
    line = basket.items.get(product=gloves)
    deleted, placed = at_once(
        partial(staff().post, delete_url(line), {"post": "yes"}), partial(buy, basket.customer)
    )
    assert (deleted.status_code, type(placed)) == (302, Placed)
    assert left_and_ordered(basket, gloves) in (([], []), ([], [3]))


def test_staff_and_customer_put_the_same_into_the_cart(staff: Staff, cart: Cart, gloves: Product) -> None:
    """The customer holds the cart when staff want it, and adds the line then."""
    client = staff()
    form = open_form(client, add_url(CartItem))
    form |= {"cart": str(cart.pk), "product": str(gloves.pk), "quantity": "4"}
    result = meanwhile(
        f"UPDATE cart SET last_updated = now() WHERE cart_id = {cart.pk}",
        partial(client.post, add_url(CartItem), form),
        "INSERT INTO cart_item (cart_id, product_id, quantity)"
        f" VALUES ({cart.pk}, {gloves.pk}, 1) RETURNING 1",
    )
    assert errors_of(result) == IN_THE_CART
    assert left_and_ordered(cart, gloves) == ([1], [])


def test_two_of_the_staff_place_one_cart(staff: Staff, basket: Cart, gloves: Product) -> None:
    selection = {"action": "place_order", "_selected_action": [basket.pk]}
    url = reverse("admin:shop_cart_changelist")
    results = at_once(*(partial(staff().post, url, selection) for _ in range(2)))
    assert [result.status_code for result in results] == [302, 302]
    assert Order.objects.count() == 1
    assert stock_of(gloves) == 55


def test_staff_press_place_order_as_the_customer_orders(staff: Staff, basket: Cart, gloves: Product) -> None:
    client = staff()
    form = open_form(client, change_url(basket)) | {"_place_order": "Place order"}
    pressed, placed = at_once(partial(client.post, change_url(basket), form), partial(buy, basket.customer))
    assert isinstance(placed, Placed | CartEmptyError), placed
    assert pressed.status_code in (200, 302)
    assert Order.objects.count() == 1
    assert stock_of(gloves) == 55


# Products


def test_a_product_is_ordered_or_deleted(staff: Staff, basket: Cart, home: Any) -> None:
    client = staff()
    CartItem.objects.all().delete()
    for _ in range(ROUNDS):
        mug = Product.objects.create(name="Mug", price=1, stock=9, category=home)
        carts.put(customer_id=basket.customer_id, product_id=mug.pk, quantity=1)
        deleted, placed = at_once(
            partial(client.post, delete_url(mug), {"post": "yes"}), partial(buy, basket.customer)
        )
        if isinstance(placed, Placed):
            assert (deleted.status_code, mug.name in deleted.content.decode()) == (200, True)
            assert stock_of(mug) == 8
        else:
            assert isinstance(placed, TotalChangedError | CartEmptyError), placed
            assert deleted.status_code == 302


@pytest.mark.parametrize("way", ["page", "action"])
def test_a_product_is_deleted_while_a_checkout_has_its_line(
    staff: Staff, basket: Cart, gloves: Product, way: str
) -> None:
    """The checkout takes the line out of the cart, and then wants the product."""
    url = delete_url(gloves) if way == "page" else reverse("admin:shop_product_changelist")
    selection = {"action": "delete_selected", "_selected_action": [gloves.pk]} if way == "action" else {}
    result = meanwhile(
        f"DELETE FROM cart_item WHERE product_id = {gloves.pk}",
        partial(staff().post, url, {"post": "yes", **selection}),
        f"UPDATE product SET stock = stock - 3 WHERE product_id = {gloves.pk} RETURNING 1",
    )
    assert result.status_code == 302
    assert not Product.objects.filter(pk=gloves.pk).exists()


def test_a_product_is_deleted_while_it_is_put_into_an_order(
    staff: Staff, order: Order, computer: Product
) -> None:
    """Who deletes it holds it when staff want pieces of it."""
    client = staff()
    form = new_line(open_form(client, change_url(order)), product=computer.pk, quantity=1)
    result = meanwhile(
        f"SELECT FROM product WHERE product_id = {computer.pk} FOR NO KEY UPDATE",
        partial(client.post, change_url(order), form),
        f"DELETE FROM product WHERE product_id = {computer.pk} RETURNING 1",
    )
    assert errors_of(result) == NO_CHOICE
    assert order.items.count() == 1


@pytest.mark.slow
def test_orders_of_the_same_products_in_other_orders(
    staff: Staff, deborah: Customer, gloves: Product, computer: Product
) -> None:
    Product.objects.update(stock=1000)
    ways = [(gloves, computer), (computer, gloves)]
    clients = [staff() for _ in range(4)]
    for _ in range(ROUNDS):
        calls = []
        for n, client in enumerate(clients):
            form = open_form(client, add_url(Order)) | {"customer": str(deborah.pk), **ADDRESS}
            for product in ways[n % 2]:
                form = new_line(form, product=product.pk, quantity=1)
            calls.append(partial(client.post, add_url(Order), form))
        results = at_once(*calls)
        assert [result.status_code for result in results] == [302] * 4
    assert (stock_of(gloves), stock_of(computer)) == (980, 980)
