"""FastAPI and asyncpg: the SQL of `limit` as rows, prepared once per connection, checked by a model each."""

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, Header, HTTPException, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from . import sql
from .token import is_of


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        database=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USERNAME"],
        host=os.environ["DATABASE_HOST"],
        port=int(os.environ["DATABASE_PORT"]),
        min_size=1,
        max_size=4,
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan, root_path="/shop/api")


async def fetch(statement: str, *parameters: int) -> list[dict[str, Any]]:
    return [dict(row) for row in await app.state.pool.fetch(statement.replace("%(id)s", "$1"), *parameters)]


async def existing(statement: str, exists: str, owner: int) -> list[dict[str, Any]]:
    """Return the rows; raise 404 if there are none and there is no owner either."""
    rows = await fetch(statement, owner)
    if not rows and not await fetch(exists, owner):
        raise HTTPException(404)
    return rows


class Product(BaseModel):
    product_id: int
    name: str
    price: str
    stock: int
    category: str


class DetailedProduct(Product):
    description: str


class Order(BaseModel):
    order_id: int
    order_date: str
    status: str
    total_amount: str
    customer_email: str


class OrderItem(BaseModel):
    order_id: int
    order_date: str
    customer_name: str
    product_name: str
    quantity: int
    price_per_unit: str
    subtotal: str


class CartItem(BaseModel):
    product_name: str
    price: str
    quantity: int
    subtotal: str


class Cart(BaseModel):
    customer_id: int
    items: list[CartItem]
    total: Decimal


class Bestseller(BaseModel):
    product_id: int
    name: str
    price: str
    total_sold: int
    total_revenue: str


class CustomerStats(BaseModel):
    customer_id: int
    name: str
    email: str
    total_orders: int
    total_spent: str


class CategoryStats(BaseModel):
    category_name: str
    product_count: int
    total_stock: int
    avg_price: str


@app.get("/products/", response_model=list[Product])
async def products(q: str = "", limit: int = 1000) -> Any:
    if not q:
        return await fetch(sql.PRODUCTS)
    text, names = numbered(sql.SEARCH)
    values = {"q": q, "limit": limit}
    return [dict(row) for row in await app.state.pool.fetch(text, *(values[name] for name in names))]


@app.get("/product/{product_id}/", response_model=DetailedProduct)
async def product(product_id: int) -> Any:
    for row in await fetch(sql.PRODUCT, product_id):
        return row
    raise HTTPException(404)


@app.get("/customer/{customer_id}/orders/", response_model=list[Order])
async def customer_orders(customer_id: int) -> Any:
    return await existing(sql.CUSTOMER_ORDERS, sql.CUSTOMER_EXISTS, customer_id)


@app.get("/order/{order_id}/", response_model=list[OrderItem])
async def order_details(order_id: int) -> Any:
    return await existing(sql.ORDER_DETAILS, sql.ORDER_EXISTS, order_id)


@app.get("/customer/{customer_id}/cart/", response_model=Cart)
async def customer_cart(customer_id: int) -> Any:
    items = await existing(sql.CART_ITEMS, sql.CART_EXISTS, customer_id)
    total = sum((Decimal(item["subtotal"]) for item in items), start=Decimal("0.00"))
    return {"customer_id": customer_id, "items": items, "total": total}


@app.get("/bestsellers/", response_model=list[Bestseller])
async def bestsellers() -> Any:
    return await fetch(sql.BESTSELLERS)


@app.get("/low-stock/", response_model=list[Product])
async def low_stock() -> Any:
    return await fetch(sql.LOW_STOCK)


@app.get("/customer-stats/", response_model=list[CustomerStats])
async def customer_stats() -> Any:
    return await fetch(sql.CUSTOMER_STATS)


@app.get("/category-stats/", response_model=list[CategoryStats])
async def category_stats() -> Any:
    return await fetch(sql.CATEGORY_STATS)


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first_name: str
    last_name: str
    strasse: str
    plz: str
    ort: str


class Checkout(BaseModel):
    model_config = ConfigDict(extra="forbid")

    expected_total: Decimal
    address: Address | None = None


class RefusedError(Exception):
    """A checkout cannot be; the message is the code of why."""


@cache
def numbered(statement: str) -> tuple[str, list[str]]:
    """Return a statement with its parameters as asyncpg has them, and their names in that order."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    for number, name in enumerate(names, 1):
        statement = statement.replace(f"%({name})s", f"${number}")
    return statement, names


@app.post("/customer/{customer_id}/orders/")
async def checkout(
    customer_id: int,
    wanted: Checkout,
    authorization: Annotated[str, Header()],
    idempotency_key: Annotated[str, Header()],
) -> Response:
    if not is_of(authorization, customer_id):
        return JSONResponse({"error": "Sign in to do this"}, status_code=401)
    try:
        async with app.state.pool.acquire() as connection, connection.transaction():
            made = await place_order(connection, customer_id, idempotency_key, wanted)
    except RefusedError as refused:
        return JSONResponse({"code": str(refused)}, status_code=409)
    return Response(made, status_code=201, media_type="application/json")


async def place_order(connection: Any, customer_id: int, key: str, wanted: Checkout) -> str:
    request = json.dumps(wanted.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    digest = sha256(request.encode()).digest()
    known = {"customer_id": customer_id, "key": key, "request_digest": digest}

    async def run(statement: str) -> list[Any]:
        """Run a statement with what is known, and know what it gives if that is one row."""
        text, names = numbered(statement)
        found = await connection.fetch(text, *(known[name] for name in names))
        if len(found) == 1:
            known.update(found[0])
        return found

    await run(sql.HOLD_CUSTOMER)
    if wanted.address:
        known.update(wanted.address.model_dump())
    for used in await run(sql.USED_KEY):
        if used["request_digest"] != digest:
            raise RefusedError("idempotency_key_reused")
        return used["answer"]
    await run(sql.HOLD_CART)
    await run(sql.CART_LINES)
    refuse(known, wanted)
    for statement in (sql.PLACE, sql.ORDER_DOCUMENT, sql.USE_KEY):
        await run(statement)
    if len(await run(sql.TAKE_LINES)) < len(known["items"]):
        raise RefusedError("total_changed")
    await run(sql.LOCK_STOCK)
    taken = {row["product_id"]: row["price"] for row in await run(sql.TAKE_STOCK)}
    if taken != dict(zip(known["products"], known["prices"], strict=True)):
        raise RefusedError("out_of_stock" if len(taken) < len(known["items"]) else "total_changed")
    return known["document"]


def refuse(known: dict[str, Any], wanted: Checkout) -> None:
    """Raise what stands against the lines of the cart."""
    if not known["items"]:
        raise RefusedError("cart_empty")
    if known["total"] != wanted.expected_total:
        raise RefusedError("total_changed")
    if not known["enough"]:
        raise RefusedError("out_of_stock")
