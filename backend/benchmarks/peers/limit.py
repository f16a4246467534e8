"""The limit: bare WSGI, and PostgreSQL makes the JSON in one statement; how fast the same server can be."""

import json
import os
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import psycopg2
from psycopg2.extensions import connection

from . import sql
from .token import claims_of


def rows(statement: str) -> str:
    return f"SELECT coalesce(json_agg(r), '[]')::text, count(*) FROM ({statement}) r"


PRODUCT = f"SELECT coalesce(min(row_to_json(r)::text), '') FROM ({sql.PRODUCT}) r"

CART = f"""
    SELECT json_build_object(
        'customer_id', %(id)s, 'items', coalesce(json_agg(r), '[]'),
        'total', coalesce(sum(r.subtotal::numeric), 0.00)::text
    )::text, count(*)
    FROM ({sql.CART_ITEMS}) r"""

# path; the statement; what tells an empty answer from a missing one
ENDPOINTS = [
    (r"products/", rows(sql.PRODUCTS), ""),
    (r"product/(\d+)/", PRODUCT, ""),
    (r"customer/(\d+)/orders/", rows(sql.CUSTOMER_ORDERS), sql.CUSTOMER_EXISTS),
    (r"order/(\d+)/", rows(sql.ORDER_DETAILS), sql.ORDER_EXISTS),
    (r"customer/(\d+)/cart/", CART, sql.CART_EXISTS),
    (r"bestsellers/", rows(sql.BESTSELLERS), ""),
    (r"low-stock/", rows(sql.LOW_STOCK), ""),
    (r"customer-stats/", rows(sql.CUSTOMER_STATS), ""),
    (r"category-stats/", rows(sql.CATEGORY_STATS), ""),
]
ROUTES = [(re.compile(f"/shop/api/{path}"), statement, exists) for path, statement, exists in ENDPOINTS]
CART_ITEM = re.compile(r"/shop/api/customer/(\d+)/cart/items/(\d+)/")


@cache
def database() -> connection:
    connected = psycopg2.connect(
        dbname=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USERNAME"],
        host=os.environ["DATABASE_HOST"],
        port=os.environ["DATABASE_PORT"],
    )
    connected.autocommit = True
    return connected


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if "HTTP_AUTHORIZATION" in environ and not is_known(environ["HTTP_AUTHORIZATION"], environ["PATH_INFO"]):
        body = b""
    elif environ["REQUEST_METHOD"] == "PUT":
        body = set_item(environ)
    elif environ["QUERY_STRING"]:
        body = found(environ["QUERY_STRING"])
    else:
        body = answer(environ["PATH_INFO"])
    status = "200 OK" if body else "404 Not Found"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def is_known(authorization: str, path: str) -> bool:
    """Tell whether the token is of the customer in the path, who is still signed in."""
    claims = claims_of(authorization)
    if not (claims and path.startswith(f"/shop/api/customer/{claims['sub']}/")):
        return False
    with database().cursor() as cursor:
        cursor.execute(sql.CALLER, {"customer_id": int(claims["sub"]), "family": claims["sid"]})
        return cursor.rowcount == 1


def answer(path: str) -> bytes:
    """Return the JSON of a path, nothing if there is none."""
    found = ((pattern.fullmatch(path), statement, exists) for pattern, statement, exists in ROUTES)
    match, statement, exists = next((route for route in found if route[0]), (None, "", ""))
    if not match:
        return b""
    parameters = {"id": int(match[1])} if match.lastindex else None
    with database().cursor() as cursor:
        cursor.execute(statement, parameters)
        ((body, *count),) = cursor.fetchall()
        if exists and not any(count):
            cursor.execute(exists, parameters)
            if not cursor.rowcount:
                return b""
    return str(body).encode()


def found(query: str) -> bytes:
    """Return the JSON of the products that are looked for."""
    asked = dict(parse_qsl(query))
    with database().cursor() as cursor:
        cursor.execute(rows(sql.SEARCH), {"q": asked["q"], "limit": int(asked["limit"])})
        ((body, _),) = cursor.fetchall()
    return str(body).encode()


def set_item(environ: dict[str, Any]) -> bytes:
    """Change a line of a cart and return its JSON, nothing if that cannot be."""
    match = CART_ITEM.fullmatch(environ["PATH_INFO"])
    quantity = json.loads(environ["wsgi.input"].read())["quantity"]
    if not (match and type(quantity) is int and 1 <= quantity <= 999):
        return b""
    ids = {"customer_id": int(match[1]), "product_id": int(match[2])}
    with database().cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(sql.HOLD_CART, ids)
        ((ids["cart_id"],),) = cursor.fetchall()
        cursor.execute(sql.OFFER, ids)
        ((product_id, name, price, stock, *_),) = cursor.fetchall()
        if quantity <= stock:
            cursor.execute(sql.CHANGE_LINE, {**ids, "quantity": quantity})
        cursor.execute("COMMIT" if quantity <= stock else "ROLLBACK")
    if quantity > stock:
        return b""
    line = {
        "product_id": product_id,
        "product_name": name,
        "price": str(price),
        "quantity": quantity,
        "subtotal": str(quantity * price),
        "stock": stock,
    }
    return json.dumps(line).encode()
