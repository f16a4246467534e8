"""Carts over HTTP: for whom, which row, which QuerySet."""

from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, JsonResponse

from shop.api.audience import OWNER, Audience
from shop.api.reading import detail_endpoint, list_endpoint
from shop.api.writing import Write, no_content, write_endpoint
from shop.carts import cart
from shop.carts.cart import CartFullError, LineOutOfStockError, ProductMissingError
from shop.carts.forms import LineForm, QuantityForm
from shop.carts.models import CART_LINE_ROW, CART_ROW, Cart, CartItem
from shop.catalog.models import Product
from shop.customers.models import Customer
from shop.database.statements import Parameter


@detail_endpoint(
    Audience("shop.view_cart", owner=True, opens=True),
    CART_ROW,
)
def customer_cart(customer_id: Parameter) -> QuerySet[Cart]:
    """A customer's cart at today's prices."""
    return Cart.objects.with_rows(customer_id)


@list_endpoint(Audience("shop.view_cart", owner=True), CART_LINE_ROW, parent=(Customer, "cart__items"))
def cart_items(customer_id: Any) -> QuerySet[CartItem]:
    """The lines of a customer's cart."""
    return CartItem.objects.in_cart_of(customer_id)


def line_response(line: dict[str, Any], *, is_new: bool) -> HttpResponse:
    return JsonResponse(line, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


LINE_ANSWERS = {HTTPStatus.CREATED: CART_LINE_ROW, HTTPStatus.OK: CART_LINE_ROW}


@write_endpoint(
    OWNER,
    LineForm,
    missing="Customer",
    answers=LINE_ANSWERS,
    refusals=[ProductMissingError, CartFullError, LineOutOfStockError],
)
def add_item(write: Write, *, customer_id: int) -> HttpResponse:
    """Add so many of a product to the cart."""
    line, is_new = cart.put(customer_id=customer_id, more=True, **write.data)
    return line_response(line, is_new=is_new)


def product_in(customer_id: int, product_id: int) -> QuerySet[Product]:
    """What the path of a line names: a product, whosever cart it is."""
    return Product.objects.filter(pk=product_id)


@write_endpoint(
    Audience(owner=True, target=product_in, missing="Product"),
    QuantityForm,
    missing="Customer",
    answers=LINE_ANSWERS,
    refusals=[CartFullError, LineOutOfStockError],
)
def set_item(write: Write, *, customer_id: int, product_id: int) -> HttpResponse:
    """Set the quantity of a product in the cart."""
    line, is_new = cart.put(customer_id=customer_id, product_id=product_id, **write.data)
    return line_response(line, is_new=is_new)


@write_endpoint(OWNER, missing="Customer", answers={HTTPStatus.NO_CONTENT: None})
def remove_item(write: Write, *, customer_id: int, product_id: int) -> HttpResponse:
    """Take a product out of the cart."""
    cart.remove(customer_id=customer_id, product_id=product_id)
    return no_content()


@write_endpoint(OWNER, missing="Customer", answers={HTTPStatus.NO_CONTENT: None})
def empty_cart(write: Write, *, customer_id: int) -> HttpResponse:
    """Take everything out of the cart."""
    cart.remove(customer_id=customer_id)
    return no_content()
