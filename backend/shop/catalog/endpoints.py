"""The catalog over HTTP: for whom, which row, which QuerySet."""

from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet

from shop.api.audience import EVERYBODY
from shop.api.errors import ApiError
from shop.api.query import Amount, Choice, Number, Text
from shop.api.reading import detail_endpoint, list_endpoint
from shop.catalog.models import Category, Product
from shop.catalog.search import LONGEST, ORDERS, search
from shop.database.statements import Row, Select

PRODUCT_ROW = Row(
    "Product",
    {
        "product_id": "product_id",
        "name": "name",
        "price": "price",
        "stock": "stock",
        "category": "category__category_name",
    },
)


def wanted_products(wanted: dict[str, Any]) -> QuerySet[Product] | Select:
    """Return the products that a query string asks for; raise ApiError (400) for relevance without words."""
    if wanted.get("sort") == "relevance" and "q" not in wanted:
        raise ApiError(HTTPStatus.BAD_REQUEST, "The parameter 'sort' may be 'relevance' only beside 'q'")
    return search(
        PRODUCT_ROW,
        words=wanted.get("q", ""),
        categories=wanted.get("category", ()),
        min_price=wanted.get("min_price"),
        max_price=wanted.get("max_price"),
        in_stock="in_stock" in wanted,
        sort=wanted.get("sort", ""),
    )


@list_endpoint(
    EVERYBODY,
    PRODUCT_ROW,
    cached=True,
    filters={
        "q": Text(LONGEST, about="Words to look for in names, descriptions and categories."),
        "category": Text(1000, repeatable=True, about="The name of a category; of several any."),
        "min_price": Amount(about="At this price at least."),
        "max_price": Amount(about="At this price at most."),
        "in_stock": Number(range(1, 2), about="Only what is in stock."),
        "sort": Choice(tuple(ORDERS), about="The order; relevance only beside q, and then the default."),
    },
    filtered=wanted_products,
)
def products() -> QuerySet[Product]:
    """All products."""
    return Product.objects.catalog()


@detail_endpoint(
    EVERYBODY,
    Row(
        "DetailedProduct",
        {
            "product_id": "product_id",
            "name": "name",
            "description": "description",
            "price": "price",
            "stock": "stock",
            "category": "category__category_name",
        },
    ),
)
def product(product_id: int) -> QuerySet[Product]:
    """A product."""
    return Product.objects.filter(pk=product_id)


@list_endpoint(
    EVERYBODY,
    Row(
        "Category",
        {"category_id": "category_id", "category_name": "category_name", "product_count": "product_count"},
    ),
    cached=True,
)
def categories() -> QuerySet[Category]:
    """All categories."""
    return Category.objects.by_name()


@list_endpoint(EVERYBODY, PRODUCT_ROW, cached=True)
def low_stock() -> QuerySet[Product]:
    """The products of which fewer than ten are left."""
    return Product.objects.low_stock()


@list_endpoint(
    EVERYBODY,
    Row(
        "CategoryStats",
        {
            "category_name": "category_name",
            "product_count": "product_count",
            "total_stock": "total_stock",
            "avg_price": "avg_price",
        },
    ),
    cached=True,
)
def category_stats() -> QuerySet[Category]:
    """What each category holds."""
    return Category.objects.with_stock_summary()
