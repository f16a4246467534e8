"""The tables of the shop, and what the database adds up of them, each in the room of its subject.

Every rule is a named constraint in the database. What SQL has to add to Django's own tables (ON DELETE, the
name of the cart's unique key) is in migration 0002; `tests/test_schema.py` compares both with these models.
"""

from shop.api.models import RequestCount
from shop.carts.models import Cart, CartItem
from shop.catalog.models import (
    Category,
    CategoryStock,
    ImportLine,
    ImportPart,
    ImportStatus,
    Product,
    ProductImport,
    ProductSales,
    SearchWord,
    StockCorrection,
)
from shop.customers.models import Customer, CustomerSpending, RefreshToken
from shop.jobs.models import Job, JobStatus, Mail
from shop.orders.models import (
    Delivery,
    IdempotencyKey,
    Invoice,
    Order,
    OrderHistory,
    OrderItem,
    OrderNote,
    OrderStatus,
    Payment,
    PaymentProvider,
    PaymentStatus,
)
from shop.payments.models import PaymentEvent

__all__ = [
    "Cart",
    "CartItem",
    "Category",
    "CategoryStock",
    "Customer",
    "CustomerSpending",
    "Delivery",
    "IdempotencyKey",
    "ImportLine",
    "ImportPart",
    "ImportStatus",
    "Invoice",
    "Job",
    "JobStatus",
    "Mail",
    "Order",
    "OrderHistory",
    "OrderItem",
    "OrderNote",
    "OrderStatus",
    "Payment",
    "PaymentEvent",
    "PaymentProvider",
    "PaymentStatus",
    "Product",
    "ProductImport",
    "ProductSales",
    "RefreshToken",
    "RequestCount",
    "SearchWord",
    "StockCorrection",
]
