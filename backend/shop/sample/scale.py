"""A shop of any size: rows around those of the sample shop, made by seeded arithmetic and sent through COPY.

The same number of orders always gives the same rows. A few products sell most, and a few customers order tens
of times while others never do. Deborah's orders stay the documented five.
"""

import datetime
import os
import socket
from collections.abc import Iterator
from io import BytesIO
from itertools import batched, count
from math import sqrt
from random import Random

from django.core.management.base import CommandError
from django.db import connection

from shop.sample.data import (
    CATEGORIES,
    TODAY,
    SampleShop,
    likely_price,
    likely_status,
    likely_stock,
)
from shop.sample.vocabulary import product_texts

try:
    from tqdm import tqdm
except ModuleNotFoundError:
    raise CommandError("--scale needs tqdm: install the dev dependencies") from None

# The server checks foreign keys when a COPY ends, and Ctrl-C waits for that: it takes a second or so.
BATCH = 20_000  # rows, each with its lines
DAYS = 5 * 365  # before TODAY, in which the orders were placed; ever more of them

CUSTOMER = "customer (customer_id, first_name, last_name, email, password, strasse, ort, plz)"
PRODUCT = "product (product_id, name, description, price, stock, category_id)"
ORDER = '"order" (order_id, customer_id, order_date, status, total_amount)'
ORDER_ITEM = "order_item (order_item_id, order_id, product_id, quantity, price_per_unit)"
CART = "cart (cart_id, customer_id, last_updated)"
CART_ITEM = "cart_item (cart_item_id, cart_id, product_id, quantity)"


def grow(shop: SampleShop, orders: int) -> tuple[int, int, int, int]:
    """Add rows to a shop that holds the sample alone, whose ids start at 1, until it has so many orders.

    Returns how many products, customers, orders and carts there are then: one product to 20 orders, one
    customer to 5 and one cart to 10, but never fewer than in the sample. Needs a transaction; the sequences
    are left as they are.
    """
    products = max(len(shop.products), orders // 20)
    customers = max(len(shop.customers), orders // 5)
    carts = max(len(shop.carts), orders // 10)
    random = Random(20251126)  # noqa: S311 - it shall be predictable
    prices = [int(product.price * 100) for product in shop.products]
    prices += [likely_price(random) for _ in range(products - len(prices))]
    total = products + customers + orders + carts
    before = len(shop.products) + len(shop.customers) + len(shop.orders) + len(shop.carts)
    with connection.cursor() as cursor, tqdm(total=total - before, unit=" rows", disable=None) as progress:
        wait_for_server(cursor.connection.fileno())
        # The server plans the checks of foreign keys once, while the tables are small: without this it would
        # go on to read whole tables for each row. Deferred, the checks would all wait in its memory.
        cursor.execute("SET LOCAL enable_seqscan = off; SET CONSTRAINTS ALL IMMEDIATE")
        # Nor must each batch be added to the sales of most products: they are added up once, at the end.
        cursor.execute("ALTER TABLE order_item DISABLE TRIGGER product_sales_insert")
        for tables, rows in (
            ([PRODUCT], product_rows(shop, prices, random)),
            ([CUSTOMER], customer_rows(shop, customers, random)),
            ([ORDER, ORDER_ITEM], order_rows(shop, orders, customers, prices, random)),
            ([CART, CART_ITEM], cart_rows(shop, carts, products, random)),
        ):
            for batch in batched(rows, BATCH, strict=False):
                for table, texts in zip(tables, zip(*batch, strict=True), strict=True):
                    cursor.copy_expert(f"COPY {table} FROM STDIN", BytesIO("".join(texts).encode()))
                progress.update(len(batch))
        cursor.execute("ALTER TABLE order_item ENABLE TRIGGER product_sales_insert; TRUNCATE product_sales")
    return products, customers, orders, carts


def wait_for_server(descriptor: int) -> None:
    """Let the server at the other end of this connection read when it likes.

    The settings' time-out is for hosts that vanish; it would also end a COPY that waits for a busy disk.
    """
    with socket.socket(fileno=os.dup(descriptor)) as connected:
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)


def product_rows(shop: SampleShop, prices: list[int], random: Random) -> Iterator[tuple[str]]:
    """Yield each further product as a line of COPY; the prices are in cents, the first product's first."""
    for key in range(len(shop.products) + 1, len(prices) + 1):
        category = int(len(CATEGORIES) * random.random() * random.random())
        name, description = product_texts(category, random)
        yield (
            f"{key}\t{name}\t{description}\t{prices[key - 1]}e-2\t{likely_stock(random)}\t{category + 1}\n",
        )


def customer_rows(shop: SampleShop, customers: int, random: Random) -> Iterator[tuple[str]]:
    """Yield each further customer as a line of COPY, put together from those of the sample."""
    for key in range(len(shop.customers) + 1, customers + 1):
        first, last, place = random.choices(shop.customers, k=3)
        yield (
            f"{key}\t{first.first_name}\t{last.last_name}\tcustomer{key}@example.com\t{first.password}\t"
            f"{place.strasse}\t{place.ort}\t{place.plz}\n",
        )


def order_rows(
    shop: SampleShop, orders: int, customers: int, prices: list[int], random: Random
) -> Iterator[tuple[str, str]]:
    """Yield each further order, and its one to five lines, as lines of COPY; the oldest first."""
    line_keys = count(len(shop.order_items) + 1)
    for key in range(len(shop.orders) + 1, orders + 1):
        # Ten times the average for the keenest buyer, a third of it for the laziest; nothing for Deborah.
        u = random.random()
        customer = 2 + int((customers - 1) * (0.1 * u + 0.9 * u * u * u))
        date = TODAY - datetime.timedelta(days=int(DAYS * (1 - sqrt(key / orders))))
        total, lines = 0, ""
        for product in basket(len(prices), 1 + int(5 * random.random()), random):
            quantity = 1 + int(3 * random.random() * random.random())
            price = prices[product - 1] * (90 + int(11 * random.random())) // 100
            total += quantity * price
            lines += f"{next(line_keys)}\t{key}\t{product}\t{quantity}\t{price}e-2\n"
        yield f"{key}\t{customer}\t{date}\t{likely_status(date, random)}\t{total}e-2\n", lines


def cart_rows(shop: SampleShop, carts: int, products: int, random: Random) -> Iterator[tuple[str, str]]:
    """Yield each further cart, and its one to four lines, as lines of COPY; cart n is customer n's."""
    now = datetime.datetime.combine(TODAY, datetime.time(18), tzinfo=datetime.UTC)
    line_keys = count(len(shop.cart_items) + 1)
    for key in range(len(shop.carts) + 1, carts + 1):
        updated = now - datetime.timedelta(minutes=random.randint(0, 20_000))
        lines = [
            f"{next(line_keys)}\t{key}\t{product}\t{random.randint(1, 3)}\n"
            for product in basket(products, random.randint(1, 4), random)
        ]
        yield f"{key}\t{key}\t{updated}\n", "".join(lines)


def basket(products: int, size: int, random: Random) -> set[int]:
    """Return the ids of so many different products; the lower the id, the better it sells."""
    chosen = set[int]()
    while len(chosen) < size:
        u = random.random()
        chosen.add(1 + int(products * u * u * u))
    return chosen
