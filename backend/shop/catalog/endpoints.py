"""The catalog over HTTP: for whom, which row, which QuerySet."""

from django.db.models import QuerySet

from shop.api.audience import EVERYBODY
from shop.api.reading import list_endpoint
from shop.catalog.models import Category, Product
from shop.database.statements import Row

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


@list_endpoint(EVERYBODY, PRODUCT_ROW, cached=True)
def products() -> QuerySet[Product]:
    """All products."""
    return Product.objects.catalog()


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
