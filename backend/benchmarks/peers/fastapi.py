"""FastAPI and asyncpg: the SQL of `limit` as rows, prepared once per connection, checked by a model each."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from . import sql


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
async def products() -> Any:
    return await fetch(sql.PRODUCTS)


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
