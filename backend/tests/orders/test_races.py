"""Customers, staff and the shop itself at once: nothing is sold twice, lost or given back twice."""

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.db.models.deletion import RestrictedError
from django.test import Client

from shop.carts import cart as carts
from shop.carts.cart import OutOfStockError
from shop.catalog.importing import apply, begin
from shop.database.refusal import MissingError
from shop.jobs.models import Mail
from shop.models import Cart, CartItem, Category, Customer, Delivery, Order, OrderHistory, OrderItem, Product
from shop.orders.books import faults
from shop.orders.checkout import CartEmptyError, Placed, TotalChangedError, place_order
from shop.orders.erasure import OpenOrdersError, erase
from shop.orders.models import Actor, OrderStatus
from shop.orders.workflow import IllegalTransitionError, NotCancellableError, cancel, set_status
from tests.support.calling import Caller, bearer
from tests.support.jobs import do_jobs
from tests.support.races import at_once, crowd, meanwhile, session
from tests.support.spreadsheets import csv_file

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = {"strasse": "S 1", "plz": "1", "ort": "B"}
ROUNDS = 25


@pytest.fixture(autouse=True)
def books(transactional_db: None) -> Iterator[None]:
    """They balance after each test."""
    yield
    assert faults() == []


def customers(number: int) -> list[Customer]:
    return Customer.objects.bulk_create(
        Customer(first_name="C", last_name=str(n), email=f"{n}@example.com", password="!", **ADDRESS)
        for n in range(number)
    )


def carts_of(buyers: list[Customer]) -> list[Cart]:
    return Cart.objects.bulk_create(Cart(customer=buyer) for buyer in buyers)


def buy(buyer: Customer, total: Decimal | None = None) -> Placed:
    return place_order(customer_id=buyer.pk, expected_total=total, by=Actor.CUSTOMER)


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


def test_a_checkout_does_not_wait_for_long(client: Client, gloves: Product) -> None:
    """Whoever holds a product, as an import does: the answer says when to come back; the key is unused."""
    (buyer,) = customers(1)
    (cart,) = carts_of([buyer])
    CartItem.objects.create(cart=cart, product=gloves, quantity=3)
    caller = Caller(client, bearer(buyer))
    path, body = f"customer/{buyer.pk}/orders/", {"expected_total": "707.97"}
    with session() as other, connection.cursor() as cursor:
        other.execute("SELECT FROM product FOR NO KEY UPDATE")
        cursor.execute("SET lock_timeout = '100ms'")
        try:
            answer = caller.post(path, body, Idempotency_Key="one")
        finally:
            cursor.execute("RESET lock_timeout")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json() == {"error": "Something that this needs is being changed at this moment"}
    assert (stock_of(gloves), Order.objects.count(), cart.items.count()) == (58, 0, 1)
    assert caller.post(path, body, Idempotency_Key="one").status_code == 201
    assert (stock_of(gloves), Order.objects.count()) == (55, 1)


def test_an_import_while_customers_buy(home: Category) -> None:
    """Both come through: the orders have the prices of before or after, and nothing is lost of the stock."""
    lamps = Product.objects.bulk_create(
        Product(name=f"Lamp {number}", price=1, stock=100, category=home) for number in range(20)
    )
    lines = [[lamp.pk, "2"] for lamp in reversed(lamps)]
    sent = begin(file=[csv_file(["product_id", "price"], *lines)], name="prices.csv", user_id=0)
    do_jobs()
    buyers = customers(32)
    for number, cart in enumerate(carts_of(buyers)):
        some = (lamps[number % 20], lamps[(7 * number + 3) % 20], lamps[19 - number % 20])
        CartItem.objects.bulk_create(CartItem(cart=cart, product=lamp, quantity=1) for lamp in set(some))
    bought = CartItem.objects.count()
    apply(sent.pk)
    results = at_once(lambda: crowd(16, buy, buyers), do_jobs)
    assert kinds(results[0]) == {"Placed": 32}
    sent.refresh_from_db()
    assert (sent.status, results[1]) == ("done", 1)
    assert set(Product.objects.values_list("price", flat=True)) == {Decimal(2)}
    assert set(OrderItem.objects.values_list("price_per_unit", flat=True)) <= {Decimal(1), Decimal(2)}
    assert sum(stock_of(lamp) for lamp in lamps) == 20 * 100 - bought


def stock_of(product: Product) -> int:
    return Product.objects.values_list("stock", flat=True).get(pk=product.pk)


@pytest.mark.slow
def test_a_hundred_pieces_are_sold_to_a_hundred_of_320(gloves: Product) -> None:
    Product.objects.update(stock=100)
    buyers = customers(320)
    CartItem.objects.bulk_create(CartItem(cart=cart, product=gloves, quantity=1) for cart in carts_of(buyers))
    results = crowd(16, partial(buy, total=gloves.price), buyers)
    assert kinds(results) == {"Placed": 100, "OutOfStockError": 220}
    refusals = [result for result in results if isinstance(result, OutOfStockError)]
    assert {refusal.details["items"][0]["available"] for refusal in refusals} == {0}
    assert stock_of(gloves) == 0
    assert Order.objects.count() == OrderItem.objects.count() == OrderHistory.objects.count() == 100
    assert CartItem.objects.count() == 220


def test_twenty_requests_with_one_key_are_one_order(ada: Customer, basket: Cart) -> None:
    headers = bearer(ada)

    def post() -> Any:
        caller = Caller(Client(), headers)
        body = {"expected_total": "1446.67"}
        return caller.post(f"customer/{ada.pk}/orders/", body, Idempotency_Key="one")

    answers = at_once(*[post] * 20)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert Order.objects.count() == 1
    assert sorted(Product.objects.values_list("stock", flat=True)) == [0, 55]


def test_two_keys_at_once_are_one_order_of_what_is_in_the_cart(ada: Customer, basket: Cart) -> None:
    def order(key: str) -> Placed:
        return place_order(customer_id=ada.pk, expected_total=None, by=Actor.CUSTOMER, key=key, request=1)

    assert kinds(at_once(*(partial(order, key) for key in "abcd"))) == {"Placed": 1, "CartEmptyError": 3}


@pytest.mark.slow
def test_crossed_baskets_never_deadlock(home: Category) -> None:
    """1,000 checkouts of the same 20 products, put into the carts in one order and in the other."""
    products = Product.objects.bulk_create(
        Product(name=str(n), price=1, stock=1000, category=home) for n in range(20)
    )
    buyers = customers(16)
    pairs = list(zip(buyers, carts_of(buyers), strict=True))

    def shop(turns: range) -> int:
        for turn in turns:
            buyer, cart = pairs[turns.start]
            way = products[:: -1 if turn % 32 < 16 else 1]
            CartItem.objects.bulk_create(CartItem(cart=cart, product=product, quantity=1) for product in way)
            buy(buyer, Decimal("20.00"))
        return len(turns)

    before = deadlocks()
    results = crowd(16, shop, [range(start, 1000, 16) for start in range(16)])
    assert sum(results) == 1000
    assert deadlocks() == before
    assert set(Product.objects.values_list("stock", flat=True)) == {0}


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def test_an_order_is_cancelled_or_sent(deborah: Customer, gloves: Product) -> None:
    for _ in range(ROUNDS):
        carts.put(customer_id=deborah.pk, product_id=gloves.pk, quantity=2)
        Customer.objects.update(**ADDRESS)
        order_id = buy(deborah).order_id
        before = stock_of(gloves)
        cancelled, sent = at_once(
            partial(cancel, order_id=order_id, by=Actor.CUSTOMER),
            partial(set_status, order_id=order_id, to=OrderStatus.SHIPPED, carrier="DHL"),
        )
        order = Order.objects.get(pk=order_id)
        if cancelled is None:
            assert (type(sent), order.status) == (IllegalTransitionError, "cancelled")
            assert stock_of(gloves) == before + 2
            assert order.delivery.carrier == ""
        else:
            assert (type(cancelled), sent, order.status) == (NotCancellableError, None, "shipped")
            assert stock_of(gloves) == before
        assert order.history.count() == 2


def test_an_order_is_cancelled_once(deborah: Customer, gloves: Product) -> None:
    Customer.objects.update(**ADDRESS)
    for _ in range(5):
        carts.put(customer_id=deborah.pk, product_id=gloves.pk, quantity=2)
        order_id = buy(deborah).order_id
        results = at_once(
            *[partial(cancel, order_id=order_id, by=Actor.CUSTOMER)] * 3,
            *[partial(set_status, order_id=order_id, to=OrderStatus.CANCELLED)] * 3,
        )
        assert results == [None] * 6
        assert stock_of(gloves) == 58
        assert OrderHistory.objects.filter(order=order_id).count() == 2


def test_nothing_of_the_cart_is_lost_meanwhile(ada: Customer, computer: Product, gloves: Product) -> None:
    """What a customer changes while another tab checks out is in the order, or stays in the cart."""
    Product.objects.update(stock=1000)
    put = partial(carts.put, customer_id=ada.pk, product_id=gloves.pk)
    # Each change with what is left in the cart, by what is in the order.
    changes: list[tuple[Callable[[], Any], dict[int, list[int]]]] = [
        (partial(put, quantity=1, more=True), {1: [1], 2: []}),
        (partial(put, quantity=5), {1: [5], 5: []}),
        (partial(carts.remove, customer_id=ada.pk, product_id=gloves.pk), {1: [], 0: []}),
    ]
    for change, left in changes * (ROUNDS // 3):
        carts.remove(customer_id=ada.pk)
        carts.put(customer_id=ada.pk, product_id=computer.pk, quantity=1)
        put(quantity=1)
        placed, changed = at_once(partial(buy, ada), change)
        assert isinstance(placed, Placed), placed
        assert not isinstance(changed, Exception), changed
        lines = OrderItem.objects.filter(order=placed.order_id, product=gloves)
        assert basket_of(ada) == left[sum(lines.values_list("quantity", flat=True))]


def basket_of(buyer: Customer) -> list[int]:
    return list(CartItem.objects.filter(cart__customer=buyer).values_list("quantity", flat=True))


def test_a_line_that_psql_changes_meanwhile_is_ordered_as_it_is_then(
    ada: Customer, basket: Cart, gloves: Product
) -> None:
    """psql does not hold the cart: the checkout has read three pieces when it waits for the line."""
    statement = f"UPDATE cart_item SET quantity = 1 WHERE product_id = {gloves.pk}"
    placed = meanwhile(statement, partial(buy, ada))
    assert isinstance(placed, Placed)
    assert OrderItem.objects.get(product=gloves).quantity == 1
    assert basket_of(ada) == []
    assert stock_of(gloves) == 57


def test_a_price_that_changes_meanwhile_is_told(ada: Customer, basket: Cart, gloves: Product) -> None:
    """It has looked at the old price when it waits for the product."""
    result = meanwhile(
        f"UPDATE product SET price = 1 WHERE product_id = {gloves.pk}",
        partial(buy, ada, Decimal("1446.67")),
    )
    assert isinstance(result, TotalChangedError)
    assert result.details["total"] == "741.70"
    assert [item["price"] for item in result.details["items"]] == ["369.35", "1.00"]
    assert not Order.objects.exists()
    assert CartItem.objects.count() == 2


def test_stock_that_is_sold_meanwhile_is_told(ada: Customer, basket: Cart, gloves: Product) -> None:
    result = meanwhile(
        f"UPDATE product SET stock = 1 WHERE product_id = {gloves.pk}", partial(buy, ada, Decimal("1446.67"))
    )
    assert isinstance(result, OutOfStockError)
    assert [(item["wanted"], item["available"]) for item in result.details["items"]] == [(3, 1)]


def test_stock_that_comes_meanwhile_is_sold(ada: Customer, basket: Cart, gloves: Product) -> None:
    """What another transaction gives back counts as soon as it has committed."""
    result = meanwhile(
        f"UPDATE product SET stock = 3 WHERE product_id = {gloves.pk}", partial(buy, ada, Decimal("1446.67"))
    )
    assert isinstance(result, Placed)
    assert stock_of(gloves) == 0


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("DELETE FROM product WHERE product_id = {}", "SELECT"),
        ("DELETE FROM cart_item WHERE product_id = {}", "DELETE FROM product WHERE product_id = {}"),
        # Each waits for the other, and PostgreSQL ends the checkout, which begins again.
        ("SELECT FROM product WHERE product_id = {} FOR UPDATE", "DELETE FROM product WHERE product_id = {}"),
    ],
)
def test_a_product_that_is_deleted_meanwhile_is_told(
    ada: Customer, basket: Cart, gloves: Product, computer: Product, first: str, then: str
) -> None:
    act = partial(buy, ada, Decimal("1446.67"))
    result = meanwhile(first.format(gloves.pk), act, then.format(gloves.pk))
    assert isinstance(result, TotalChangedError)
    assert [item["product_id"] for item in result.details["items"]] == [computer.pk]
    assert not Order.objects.exists()


@pytest.mark.parametrize("total", [Decimal("0.00"), None])
@pytest.mark.parametrize("others", [0, 1])
def test_one_of_which_the_total_tells_nothing_is_told_too(
    ada: Customer, basket: Cart, gloves: Product, computer: Product, total: Decimal | None, others: int
) -> None:
    """The only one, one that costs nothing, and one that whoever places the order takes at any price."""
    Product.objects.update(price=0)
    if not others:
        basket.items.filter(product=computer).delete()
    result = meanwhile(f"DELETE FROM product WHERE product_id = {gloves.pk}", partial(buy, ada, total))
    assert isinstance(result, TotalChangedError)
    assert result.details["total"] == "0.00"
    assert len(result.details["items"]) == others


def test_a_product_is_ordered_or_deleted(ada: Customer, home: Category) -> None:
    for turn in range(ROUNDS):
        product = Product.objects.create(name=str(turn), price=1, stock=1, category=home)
        carts.put(customer_id=ada.pk, product_id=product.pk, quantity=1)
        placed, deleted = at_once(partial(buy, ada), product.delete)
        if isinstance(placed, Placed):
            assert isinstance(deleted, RestrictedError | IntegrityError), deleted
        else:
            assert isinstance(placed, TotalChangedError | CartEmptyError), placed
            assert not isinstance(deleted, Exception), deleted


@pytest.mark.parametrize("ordered_before", [False, True])
def test_a_customer_orders_or_is_erased(gloves: Product, ordered_before: bool) -> None:
    Product.objects.update(stock=1000)
    for turn in range(ROUNDS // 2):
        buyer = Customer(first_name="E", last_name="E", email=f"{turn}@example.com", **ADDRESS)
        buyer.set_password("correct horse battery")
        buyer.save()
        if ordered_before:
            Order.objects.create(customer=buyer, status=OrderStatus.COMPLETED)
        carts.put(customer_id=buyer.pk, product_id=gloves.pk, quantity=1)
        placed, erased = at_once(
            partial(buy, buyer),
            partial(erase, customer_id=buyer.pk, current_password="correct horse battery"),
        )
        if isinstance(placed, Placed):
            assert isinstance(erased, OpenOrdersError), erased
        else:
            assert (type(placed), erased) == (MissingError, None)
            assert not Cart.objects.filter(customer=buyer.pk).exists()
            assert Customer.objects.filter(pk=buyer.pk).exists() is ordered_before


def test_a_customer_is_erased_as_a_mail_is_written_about_an_order(deborah: Customer) -> None:
    deborah.set_password("correct horse battery")
    deborah.save()
    order = Order.objects.create(customer=deborah, status=OrderStatus.COMPLETED)
    erased = meanwhile(
        f'SELECT FROM "order" WHERE order_id = {order.pk} FOR NO KEY UPDATE',
        partial(erase, customer_id=deborah.pk, current_password="correct horse battery"),
        f"""
        INSERT INTO mail (customer_id, order_id, kind, recipients, subject, text, html)
        VALUES ({deborah.pk}, {order.pk}, 'refunded', '{deborah.email}', '', '', '')
        """,
    )
    assert erased is None
    assert list(Mail.objects.all()) == []
    assert Customer.objects.get(pk=deborah.pk).is_erased


def test_a_cart_that_is_made_as_its_customer_is_erased_goes_too(deborah: Customer) -> None:
    deborah.set_password("correct horse battery")
    deborah.save()
    Order.objects.create(customer=deborah, status=OrderStatus.COMPLETED)
    erased = meanwhile(
        f"SELECT FROM customer WHERE customer_id = {deborah.pk} FOR KEY SHARE",
        partial(erase, customer_id=deborah.pk, current_password="correct horse battery"),
        f"INSERT INTO cart (customer_id) VALUES ({deborah.pk})",
    )
    assert erased is None
    assert list(Cart.objects.all()) == []


def test_how_it_is_sent_is_not_written_to_an_order_that_is_cancelled_meanwhile(
    ada: Customer, basket: Cart
) -> None:
    order_id = buy(ada).order_id
    set_status(order_id=order_id, to=OrderStatus.SHIPPED)
    result = meanwhile(
        f"UPDATE \"order\" SET status = 'cancelled' WHERE order_id = {order_id}",
        partial(set_status, order_id=order_id, to=OrderStatus.SHIPPED, carrier="DHL"),
        f"INSERT INTO order_history (order_id, status, by) VALUES ({order_id}, 'cancelled', 'system')",
    )
    assert isinstance(result, IllegalTransitionError)
    assert Delivery.objects.get(order=order_id).carrier == ""


def test_of_two_moves_one_is_the_later(deborah: Customer, gloves: Product) -> None:
    """A move that waited for another one sees where that one led."""
    order = Order.objects.create(customer=deborah)
    OrderItem.objects.create(order=order, product=gloves, quantity=1, price_per_unit=0)
    result = meanwhile(
        "UPDATE \"order\" SET status = 'completed'",
        lambda: set_status(order_id=order.pk, to=OrderStatus.SHIPPED),
    )
    assert isinstance(result, IllegalTransitionError)
    assert result.details == {"allowed": []}
