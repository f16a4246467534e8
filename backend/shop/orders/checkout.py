"""From a cart to an order: all or nothing, exactly once."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, models, transaction
from django.utils import timezone
from psycopg2.errors import DeadlockDetected

from shop.carts.cart import OutOfStockError, lines_of
from shop.carts.models import CART_LINE_ROW, Cart, CartItem
from shop.catalog import stock
from shop.catalog.models import Product
from shop.database.fields import AMOUNTS
from shop.database.refusal import ContradictionError, MissingError, Refusal
from shop.database.statements import Prepared
from shop.jobs.mail import post
from shop.orders.document import order_document
from shop.orders.mails import order_letter
from shop.orders.models import Actor, OrderStatus, PaymentProvider

LARGEST_TOTAL = AMOUNTS[1]
"""What total_amount can hold."""

ADDRESS = ("first_name", "last_name", "strasse", "plz", "ort")
ATTEMPTS = 5


HOLD_CUSTOMER = Prepared(
    """
    SELECT first_name, last_name, strasse, plz, ort, email FROM customer
    WHERE customer_id = %(customer_id)s AND email <> concat('deleted-', customer_id, '@invalid')
    FOR NO KEY UPDATE
    """,
    customer_id="bigint",
)

USED_KEY = Prepared(
    """
    SELECT request_digest, answer FROM idempotency_key
    WHERE customer_id = %(customer_id)s AND key = %(key)s
    """,
    customer_id="integer",
    key="text",
)

USE_KEY = Prepared(
    """
    INSERT INTO idempotency_key (customer_id, key, request_digest, answer)
    VALUES (%(customer_id)s, %(key)s, %(digest)s, %(answer)s)
    """,
    customer_id="integer",
    key="text",
    digest="bytea",
    answer="text",
)

# All rows of an order in one statement: made in Python they would cost more than all else in a checkout.
PLACE = Prepared(
    """
    WITH placed AS (
        INSERT INTO "order" (customer_id, order_date, status, total_amount)
        VALUES (%(customer_id)s, %(date)s, %(status)s, %(total)s)
        RETURNING order_id
    ), lines AS (
        INSERT INTO order_item (order_id, product_id, quantity, price_per_unit)
        SELECT order_id, product_id, quantity, price
        FROM placed, unnest(%(products)s::integer[], %(quantities)s::integer[], %(prices)s::numeric[])
            WITH ORDINALITY AS line (product_id, quantity, price, position)
        ORDER BY position
    ), delivered AS (
        INSERT INTO delivery (order_id, first_name, last_name, strasse, plz, ort, payment_provider)
        SELECT order_id, %(first_name)s, %(last_name)s, %(strasse)s, %(plz)s, %(ort)s, %(payment_provider)s
        FROM placed
    ), begun AS (
        INSERT INTO order_history (order_id, status, at, by)
        SELECT order_id, %(status)s, %(now)s, %(by)s FROM placed
    )
    SELECT order_id FROM placed
    """,
    customer_id="integer",
    date="date",
    status="text",
    total="numeric",
    products="integer[]",
    quantities="integer[]",
    prices="numeric[]",
    **dict.fromkeys((*ADDRESS, "payment_provider"), "text"),
    now="timestamptz",
    by="text",
)


class CartEmptyError(Refusal):
    """There is nothing to order."""

    code = "cart_empty"
    message = "The cart is empty"


class TotalChangedError(Refusal):
    """The cart costs something else than the customer was shown; `total` and `items` say what it is now."""

    code = "total_changed"
    message = "The total has changed"
    members = {"total": models.DecimalField(), "items": [CART_LINE_ROW]}


class AddressMissingError(Refusal):
    """`fields` names what the customer's own address lacks."""

    code = "address_missing"
    message = "The customer's address is not complete"
    members = {"fields": {str: [models.CharField()]}}


class TotalTooLargeError(Refusal):
    """No order can hold the total."""

    code = "total_too_large"
    message = f"An order can be of {LARGEST_TOTAL} at the most"


class KeyReusedError(ContradictionError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another request"


class OutdatedError(Exception):
    """What was read of the cart is not so any more: begin again."""

    def __init__(self, products: Collection[int]) -> None:
        super().__init__()
        self.products = products


@dataclass(frozen=True)
class Placed:
    """An order as JSON, and whether it was placed earlier under the same key."""

    document: str
    replayed: bool = False

    @property
    def order_id(self) -> int:
        return int(json.loads(self.document)["order_id"])


def place_order(
    *,
    customer_id: int,
    expected_total: Decimal | None,
    by: Actor,
    address: Mapping[str, str] | None = None,
    key: str | None = None,
    request: Any = None,
) -> Placed:
    """Place an order of all that is in the customer's cart, at today's prices.

    `expected_total` is what the customer was shown; None takes what it is. `address` says where to send it,
    without one it is the customer's own. Under a `key` the same `request`, of JSON values, is answered as the
    first time. Raises a Refusal, which leaves all as it was and the key unused.
    """
    for _ in range(ATTEMPTS):
        try:
            return place_order_once(customer_id, expected_total, by, address, key, request)
        except OutdatedError as outdated:
            if Product.objects.filter(pk__in=outdated.products).count() < len(outdated.products):
                break  # one was deleted, of which the lines that are left tell nothing
    raise total_changed(lines_of(customer_id))


@transaction.atomic
def place_order_once(
    customer_id: int,
    expected_total: Decimal | None,
    by: Actor,
    address: Mapping[str, str] | None,
    key: str | None,
    request: Any,
) -> Placed:
    """Do what place_order() says, or raise OutdatedError when others were faster.

    The customer's row is held first: of several requests with one key the others wait here. The stock comes
    last, as its rows are wanted by everybody.
    """
    own_address, email = hold(customer_id)
    digest = sha256(json.dumps(request, sort_keys=True).encode()).digest()
    if key is not None and (document := answered(customer_id, key, digest)):
        return Placed(document, replayed=True)
    Cart.objects.hold(customer_id)
    lines = lines_of(customer_id)
    total = total_of(lines)
    refuse(lines, total, expected_total)
    address = address or complete(own_address)
    if total > LARGEST_TOTAL:
        raise TotalTooLargeError
    now = timezone.now()
    prices = {line["product_id"]: Decimal(line["price"]) for line in lines}
    with connection.cursor() as cursor:
        PLACE.run(
            cursor,
            customer_id=customer_id,
            date=now.date(),
            status=OrderStatus.PENDING.value,
            total=total,
            products=list(prices),
            quantities=[line["quantity"] for line in lines],
            prices=list(prices.values()),
            **address,
            # Who orders by telephone has no page to pay on.
            payment_provider=str(PaymentProvider.INVOICE if by == Actor.STAFF else settings.SHOP_PAYMENT),
            now=now,
            by=str(by),
        )
        document = order_document(*cursor.fetchone())
        if key is not None:
            USE_KEY.run(cursor, customer_id=customer_id, key=key, digest=digest, answer=document)
    name = f"{own_address['first_name']} {own_address['last_name']}"
    post([order_letter("placed", json.loads(document), customer_id=customer_id, email=email, name=name)])
    # The lines before the products, in which order the admin deletes a product as well: no deadlock.
    try:
        removed = CartItem.objects.remove(lines)
        taken = stock.take({line["product_id"]: line["quantity"] for line in lines})
    except OperationalError as error:
        # psql deletes a product before the lines of carts that have it.
        if isinstance(error.__cause__, DeadlockDetected):
            raise OutdatedError(prices) from None
        raise
    if removed < len(lines) or taken != prices:
        raise OutdatedError(prices)
    return Placed(document)


def hold(customer_id: int) -> tuple[dict[str, str], str]:
    """Lock the customer's row and return the address, and that of mails; raise MissingError without one."""
    with connection.cursor() as cursor:
        HOLD_CUSTOMER.run(cursor, customer_id=customer_id)
        row = cursor.fetchone()
    if not row:
        raise MissingError("Customer not found")
    *address, email = row
    return dict(zip(ADDRESS, address, strict=True)), email


def answered(customer_id: int, key: str, digest: bytes) -> str | None:
    """Return the order that was placed under this key, if one was.

    Raises KeyReusedError if it was for another request.
    """
    with connection.cursor() as cursor:
        USED_KEY.run(cursor, customer_id=customer_id, key=key)
        used = cursor.fetchone()
    if not used:
        return None
    known, document = used
    if bytes(known) != digest:
        raise KeyReusedError
    return str(document)


def complete(address: Mapping[str, str]) -> dict[str, str]:
    """Return the customer's own address; raise AddressMissingError if it lacks something."""
    address = {name: text.strip() for name, text in address.items()}
    if missing := [name for name in ADDRESS if not address[name]]:
        fields = {name: ["This field is required."] for name in missing}
        raise AddressMissingError(fields=fields)
    return address


def refuse(lines: list[dict[str, Any]], total: Decimal, expected_total: Decimal | None) -> None:
    """Raise the Refusal that stands against these lines of a cart, if there is one."""
    if not lines:
        raise CartEmptyError
    if expected_total is not None and total != expected_total:
        raise total_changed(lines)
    short = [
        {
            "product_id": line["product_id"],
            "product_name": line["product_name"],
            "wanted": line["quantity"],
            "available": line["stock"],
        }
        for line in lines
        if line["quantity"] > line["stock"]
    ]
    if short:
        raise OutOfStockError(items=short)


def total_changed(lines: list[dict[str, Any]]) -> TotalChangedError:
    """Return the refusal that shows the cart as it is."""
    shown = [{name: line[name] for name in CART_LINE_ROW} for line in lines]
    return TotalChangedError(total=str(total_of(lines)), items=shown)


def total_of(lines: list[dict[str, Any]]) -> Decimal:
    """Return what these lines of a cart cost."""
    return sum((Decimal(line["subtotal"]) for line in lines), Decimal("0.00"))
