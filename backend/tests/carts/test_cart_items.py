"""/shop/api/customer/<customer_id>/cart/items/ and what a customer does there."""

import datetime
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from shop.carts import cart as acts
from shop.carts.cart import ProductMissingError
from shop.database.refusal import MissingError
from shop.models import Cart, CartItem, Category, Customer, Product
from tests.support.calling import Caller, bearer, told
from tests.support.races import at_once, meanwhile

pytestmark = pytest.mark.django_db

UNHOLDABLE = (0, 2**31, 2**63, 10**30)
"""Ids that no row has; the larger ones no column can hold."""

PRODUCT_NOT_FOUND = (404, {"error": "Product not found"})
CUSTOMER_NOT_FOUND = (404, {"error": "Customer not found"})
FULL = (409, {"error": "A cart has 100 lines at the most", "code": "cart_full"})


@pytest.fixture(autouse=True)
def unlimited(settings: Settings) -> None:
    settings.SHOP_RATE_LIMITS = "off"


@pytest.fixture
def buyer(client: Client, deborah: Customer) -> Caller:
    return Caller(client, bearer(deborah))


@pytest.fixture
def items(deborah: Customer) -> str:
    return f"customer/{deborah.pk}/cart/items/"


def line(product: Product, quantity: int) -> dict[str, Any]:
    return {
        "product_id": product.pk,
        "product_name": product.name,
        "price": str(product.price),
        "quantity": quantity,
        "subtotal": str(quantity * product.price),
        "stock": product.stock,
    }


def wanted(product: Product, quantity: Any) -> dict[str, Any]:
    return {"product_id": product.pk, "quantity": quantity}


def short(available: int) -> tuple[int, dict[str, Any]]:
    return 409, {"error": "There is not enough in stock", "code": "out_of_stock", "available": available}


def fill(cart: Cart, lines: int, category: Category) -> None:
    products = Product.objects.bulk_create(
        Product(name=f"Thing {n}", price=1, stock=1, category=category) for n in range(lines)
    )
    CartItem.objects.bulk_create(CartItem(cart=cart, product=product, quantity=1) for product in products)


def test_what_is_put_in_is_shown_in_that_order(
    buyer: Caller, items: str, computer: Product, gloves: Product
) -> None:
    assert told(buyer.get(items)) == (200, [])
    assert told(buyer.post(items, wanted(gloves, 2))) == (201, line(gloves, 2))
    assert told(buyer.put(f"{items}{computer.pk}/", {"quantity": 2})) == (201, line(computer, 2))
    assert told(buyer.post(items, wanted(gloves, 3))) == (200, line(gloves, 5))
    assert told(buyer.put(f"{items}{gloves.pk}/", {"quantity": 1})) == (200, line(gloves, 1))
    assert told(buyer.get(items)) == (200, [line(gloves, 1), line(computer, 2)])
    assert told(buyer.delete(f"{items}{gloves.pk}/")) == (204, None)
    assert told(buyer.get(items)) == (200, [line(computer, 2)])
    assert Product.objects.get(pk=computer.pk).stock == 2


def test_the_cart_itself_has_no_product_ids(buyer: Caller, items: str, cart: Cart) -> None:
    answer = buyer.get(items.removesuffix("items/")).json()
    assert list(answer["items"][0]) == ["product_name", "price", "quantity", "subtotal"]


def test_a_write_is_not_to_be_kept(buyer: Caller, items: str, computer: Product) -> None:
    assert buyer.post(items, wanted(computer, 1)).headers["Cache-Control"] == "no-store"
    assert buyer.post(items, wanted(computer, 9)).headers["Cache-Control"] == "no-store"
    assert buyer.delete(f"{items}{computer.pk}/").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("quantity", [0, -1, 1000, 10**30, "2", 2.0, 2.5, True, None, [], {}])
def test_a_quantity_is_an_integer_from_1_to_999(
    buyer: Caller, items: str, computer: Product, quantity: Any
) -> None:
    Product.objects.update(stock=5000)
    for answer in (
        buyer.post(items, wanted(computer, quantity)),
        buyer.put(f"{items}{computer.pk}/", {"quantity": quantity}),
    ):
        status, told_of = told(answer)
        assert (status, list(told_of), list(told_of["fields"])) == (400, ["error", "fields"], ["quantity"])
    assert not Cart.objects.exists()


def test_a_sum_is_999_at_the_most(buyer: Caller, items: str, computer: Product) -> None:
    Product.objects.update(stock=5)
    Cart.objects.create(customer=Customer.objects.get()).items.create(product=computer, quantity=998)
    answer = buyer.post(items, wanted(computer, 2))
    assert told(answer) == (
        400,
        {
            "error": "Not valid: quantity",
            "fields": {"quantity": ["A line of a cart has 999 at the most."]},
        },
    )
    Product.objects.update(stock=5000)
    assert told(buyer.post(items, wanted(computer, 1)))[0] == 200
    assert told(buyer.post(items, wanted(computer, 1)))[0] == 400
    assert CartItem.objects.get().quantity == 999


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, ["product_id", "quantity"]),
        ({"quantity": 1}, ["product_id"]),
        ({"product_id": 1}, ["quantity"]),
        ({"product_id": "1", "quantity": 1}, ["product_id"]),
        ({"product_id": 1.0, "quantity": 1}, ["product_id"]),
        ({"product_id": 1, "quantity": 1, "price": "0.01"}, ["price"]),
    ],
)
def test_a_bad_body_changes_nothing(
    buyer: Caller, items: str, body: dict[str, Any], names: list[str]
) -> None:
    status, answer = told(buyer.post(items, body))
    assert (status, sorted(answer["fields"])) == (400, names)
    assert not Cart.objects.exists()


def test_more_than_is_in_stock_is_refused(buyer: Caller, items: str, computer: Product) -> None:
    assert told(buyer.post(items, wanted(computer, 3))) == short(2)
    assert not Cart.objects.exists()
    buyer.post(items, wanted(computer, 1))
    assert told(buyer.post(items, wanted(computer, 2))) == short(2)
    assert told(buyer.put(f"{items}{computer.pk}/", {"quantity": 3})) == short(2)
    assert CartItem.objects.get().quantity == 1


def test_a_line_of_which_less_is_left_can_be_lowered_to_that(
    buyer: Caller, items: str, cart: Cart, computer: Product
) -> None:
    Product.objects.update(stock=1)
    assert told(buyer.post(items, wanted(computer, 1))) == short(1)
    assert buyer.put(f"{items}{computer.pk}/", {"quantity": 1}).status_code == 200


@pytest.mark.parametrize("product_id", [*UNHOLDABLE, -1, -(10**30)])
def test_an_unknown_product_cannot_be_added(buyer: Caller, items: str, product_id: int) -> None:
    assert told(buyer.post(items, {"product_id": product_id, "quantity": 1})) == PRODUCT_NOT_FOUND
    assert not Cart.objects.exists()


@pytest.mark.parametrize("product_id", UNHOLDABLE)
def test_an_unknown_product_is_told_of_before_a_bad_body(buyer: Caller, items: str, product_id: int) -> None:
    for body in ({"quantity": 1}, {"quantity": 0}, {}, b"no JSON"):
        assert told(buyer.put(f"{items}{product_id}/", body)) == PRODUCT_NOT_FOUND
    assert told(buyer.delete(f"{items}{product_id}/")) == (204, None)
    assert not Cart.objects.exists()


@pytest.mark.parametrize("product_id", UNHOLDABLE)
def test_an_unknown_product_is_in_no_cart(buyer: Caller, items: str, cart: Cart, product_id: int) -> None:
    assert told(buyer.delete(f"{items}{product_id}/")) == (204, None)
    assert told(buyer.put(f"{items}{product_id}/", {"quantity": 1})) == PRODUCT_NOT_FOUND
    assert told(buyer.post(items, {"product_id": product_id, "quantity": 1})) == PRODUCT_NOT_FOUND
    assert cart.items.count() == 1


def test_a_cart_has_100_lines(
    buyer: Caller, items: str, cart: Cart, computer: Product, gloves: Product, home: Category
) -> None:
    fill(cart, 98, home)
    assert buyer.post(items, wanted(gloves, 1)).status_code == 201
    new = Product.objects.create(name="New", price=1, stock=1, category=home)
    for quantity in (1, 2):  # of more than is in stock, too
        assert told(buyer.post(items, wanted(new, quantity))) == FULL
        assert told(buyer.put(f"{items}{new.pk}/", {"quantity": quantity})) == FULL
    assert told(buyer.post(items, {"product_id": 0, "quantity": 1})) == PRODUCT_NOT_FOUND
    assert buyer.post(items, wanted(gloves, 1)).status_code == 200
    buyer.delete(f"{items}{computer.pk}/")
    assert buyer.post(items, wanted(new, 1)).status_code == 201
    assert len(buyer.get(items).json()) == 100


def test_an_emptied_cart_stays(buyer: Caller, deborah: Customer, items: str, cart: Cart) -> None:
    path = f"customer/{deborah.pk}/cart/"
    for _ in range(2):
        assert told(buyer.delete(path)) == (204, None)
        assert told(buyer.get(path)) == (
            200,
            {"customer_id": deborah.pk, "items": [], "total": "0.00"},
        )


def test_without_a_cart_there_is_none_to_empty(buyer: Caller, deborah: Customer, items: str) -> None:
    path = f"customer/{deborah.pk}/cart/"
    assert told(buyer.delete(path)) == (204, None)
    assert told(buyer.delete(f"{items}1/")) == (204, None)
    assert told(buyer.get(path)) == (404, {"error": "Cart not found"})


def test_requests_without_a_body_take_none_or_an_empty_object(
    buyer: Caller, deborah: Customer, cart: Cart, computer: Product
) -> None:
    for path in (f"customer/{deborah.pk}/cart/items/{computer.pk}/", f"customer/{deborah.pk}/cart/"):
        assert buyer.ask("DELETE", path, {"quantity": 1}).status_code == 400
        assert buyer.ask("DELETE", path, b"{}", Content_Type="text/plain").status_code == 415
        assert cart.items.count() == 1
    assert buyer.ask("DELETE", path, {}).status_code == 204
    assert cart.items.count() == 0


def test_last_updated_moves_with_each_change_and_with_nothing_else(
    buyer: Caller, deborah: Customer, items: str, cart: Cart, computer: Product, gloves: Product
) -> None:
    long_ago = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)

    def moves(method: str, path: str, body: Any, status: int) -> bool:
        Cart.objects.update(last_updated=long_ago)
        assert buyer.ask(method, path, body).status_code == status
        moved = Cart.objects.get().last_updated
        assert moved == long_ago or abs(moved - datetime.datetime.now(datetime.UTC)).seconds < 60
        return moved != long_ago

    of_computer, whole = f"{items}{computer.pk}/", f"customer/{deborah.pk}/cart/"
    assert not moves("GET", items, None, 200)
    assert moves("POST", items, wanted(gloves, 1), 201)
    assert moves("POST", items, wanted(gloves, 1), 200)
    assert not moves("POST", items, wanted(computer, 1), 409)
    assert not moves("POST", items, wanted(computer, 0), 400)
    assert not moves("POST", items, {"product_id": 0, "quantity": 1}, 404)
    assert moves("PUT", of_computer, {"quantity": 1}, 200)
    assert not moves("PUT", of_computer, {"quantity": 1}, 200)
    assert moves("DELETE", of_computer, None, 204)
    assert not moves("DELETE", of_computer, None, 204)
    assert moves("DELETE", whole, None, 204)
    assert not moves("DELETE", whole, None, 204)


def test_no_write_uses_up_ids(buyer: Caller, items: str, computer: Product) -> None:
    Product.objects.update(stock=999)
    for _ in range(3):
        buyer.post(items, wanted(computer, 1))
        buyer.put(f"{items}{computer.pk}/", {"quantity": 50})
    with connection.cursor() as cursor:
        for table in ("cart", "cart_item"):
            cursor.execute(f"SELECT max({table}_id) = nextval('{table}_{table}_id_seq') - 1 FROM {table}")
            assert cursor.fetchone() == (True,)


def writes(product: Product) -> list[tuple[str, str, Any]]:
    return [
        ("POST", "items/", wanted(product, 1)),
        ("POST", "items/", wanted(product, 1)),
        ("PUT", f"items/{product.pk}/", {"quantity": 1}),
        ("DELETE", f"items/{product.pk}/", None),
        ("PUT", f"items/{product.pk}/", {"quantity": 1}),
        ("DELETE", "", None),
    ]


@pytest.mark.parametrize("lines", [0, 90])
def test_a_write_costs_three_queries_beside_the_tokens(
    buyer: Caller, deborah: Customer, computer: Product, home: Category, lines: int
) -> None:
    if lines:
        fill(Cart.objects.create(customer=deborah), lines, home)
    for method, path, body in writes(computer):
        with CaptureQueriesContext(connection) as queries:
            assert buyer.ask(method, f"customer/{deborah.pk}/cart/{path}", body).status_code < 300
        statements = [query["sql"] for query in queries]
        assert statements[0].startswith("EXECUTE")
        assert len([sql for sql in statements[1:] if "SAVEPOINT" not in sql]) <= 3, (method, statements)


def test_others_cannot_reach_the_cart(
    client: Client, cart: Cart, deborah: Customer, jonas: Customer, computer: Product, admin_user: User
) -> None:
    """Neither another customer nor staff, who see it with view_cart; a cookie writes nothing."""
    path = f"customer/{deborah.pk}/cart/items/"
    other, boss = Caller(client, bearer(jonas)), Caller(client, bearer(admin_user))
    clerk_user = User.objects.create_user("clerk", is_staff=True)
    clerk = Caller(client, bearer(clerk_user))
    for caller in (other, boss, clerk):
        assert told(caller.post(path, wanted(computer, 1))) == CUSTOMER_NOT_FOUND
        assert told(caller.put(f"{path}{computer.pk}/", {"quantity": 1})) == CUSTOMER_NOT_FOUND
        assert told(caller.put(f"{path}0/", {"quantity": 1})) == CUSTOMER_NOT_FOUND
        assert told(caller.delete(f"{path}{computer.pk}/")) == CUSTOMER_NOT_FOUND
        assert told(caller.delete(f"customer/{deborah.pk}/cart/")) == CUSTOMER_NOT_FOUND
    assert told(other.get(path)) == told(clerk.get(path)) == CUSTOMER_NOT_FOUND
    assert told(boss.get("customer/0/cart/items/")) == CUSTOMER_NOT_FOUND
    assert told(boss.get(path)) == (200, [line(computer, 2)])
    clerk_user.user_permissions.add(Permission.objects.get(codename="view_cart"))
    assert told(clerk.get(path)) == (200, [line(computer, 2)])
    client.force_login(admin_user)
    by_cookie = Caller(client, {})
    assert told(by_cookie.get(path)) == (200, [line(computer, 2)])
    assert by_cookie.post(path, wanted(computer, 1)).status_code == 401
    client.logout()
    assert Caller(client, {}).get(path).status_code == 401
    assert CartItem.objects.get().quantity == 2


# At once ----------------------------------------------------------------------------------------------------


def add(customer: Customer, product: Product) -> Any:
    return acts.put(customer_id=customer.pk, product_id=product.pk, quantity=1, more=True)


@pytest.mark.django_db(transaction=True)
def test_twenty_additions_at_once_are_twenty(deborah: Customer, computer: Product, gloves: Product) -> None:
    Product.objects.update(stock=58)
    headers = bearer(deborah)
    path = f"customer/{deborah.pk}/cart/items/"

    def post(product: Product) -> tuple[int, int]:
        answer = Caller(Client(), headers).post(path, wanted(product, 1))
        return answer.status_code, answer.json()["quantity"]

    calls = [partial(post, product) for _ in range(10) for product in (computer, gloves)]
    answers = at_once(*calls)
    assert sorted(answers) == sorted([(201, 1), (201, 1), *((200, n) for n in range(2, 11) for _ in "12")])
    assert sorted(CartItem.objects.values_list("quantity", flat=True)) == [10, 10]
    assert Cart.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_cart_is_not_overfilled_by_two_at_once(cart: Cart, deborah: Customer, home: Category) -> None:
    fill(cart, 98, home)
    new = [Product.objects.create(name=name, price=1, stock=1, category=home) for name in "AB"]
    results = at_once(*(partial(add, deborah, product) for product in new))
    assert sorted(type(result).__name__ for result in results) == ["CartFullError", "tuple"]
    assert cart.items.count() == 100


@pytest.mark.django_db(transaction=True)
def test_a_product_deleted_meanwhile_is_not_found(deborah: Customer, gloves: Product) -> None:
    """The addition has looked when the product goes: it waits at its commit, and fails there."""
    result = meanwhile(f"DELETE FROM product WHERE product_id = {gloves.pk}", lambda: add(deborah, gloves))
    assert (type(result), str(result)) == (ProductMissingError, "Product not found")
    assert not Cart.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE customer SET email = concat('deleted-', customer_id, '@invalid')", "DELETE FROM customer"],
)
def test_a_customer_erased_meanwhile_gets_no_cart(deborah: Customer, gloves: Product, statement: str) -> None:
    result = meanwhile(statement, lambda: add(deborah, gloves))
    assert (type(result), str(result)) == (MissingError, "Customer not found")
    assert not Cart.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_times_never_go_back(cart: Cart, deborah: Customer, gloves: Product) -> None:
    """Who waited for the cart writes a later time than the one it waited for, though it began before."""
    later = "UPDATE cart SET last_updated = clock_timestamp() RETURNING last_updated"
    seen: list[Any] = []
    meanwhile("SELECT FROM cart FOR UPDATE", lambda: add(deborah, gloves), later, seen=seen)
    assert Cart.objects.get().last_updated > seen[0][0]
