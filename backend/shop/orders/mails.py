"""What a customer is told of an order, and when."""

from collections.abc import Collection, Mapping
from decimal import ROUND_HALF_UP, Decimal
from itertools import batched
from typing import Any

from django.conf import settings

from shop.customers.models import full_name
from shop.jobs.mail import Letter, letter, post
from shop.orders.document import ORDER_ROW, with_documents
from shop.orders.models import Order, OrderStatus

OF_STATUS = {OrderStatus.SHIPPED: "shipped", OrderStatus.CANCELLED: "cancelled"}
"""The mails about a status that an order came to."""


def tell(kind: str, orders: Collection[int]) -> None:
    """Write the customers of these orders a mail of this kind, about what the transaction made of each."""
    found = with_documents(Order.objects.filter(pk__in=orders).without_erased_customers()).order_by("pk")
    rows = found.annotate(name=full_name("customer__")).values(
        *ORDER_ROW.values(), "customer_id", "customer__email", "name"
    )
    for some in batched(rows, 1000, strict=False):
        post(
            [
                order_letter(
                    kind,
                    {key: order[column] for key, column in ORDER_ROW.items()},
                    customer_id=order["customer_id"],
                    email=order["customer__email"],
                    name=order["name"],
                )
                for order in some
            ]
        )


def order_letter(
    kind: str, document: Mapping[str, Any], *, customer_id: int, email: str, name: str
) -> Letter:
    """Return a mail about an order, which is as its document shows it."""
    total = Decimal(document["total_amount"])
    context = {"order": document, "name": name, "vat": vat_in(total), "currency": settings.SHOP_CURRENCY}
    return letter(kind, to=[email], context=context, customer_id=customer_id, order_id=document["order_id"])


def vat_in(total: Decimal) -> Decimal:
    """Return the VAT in a price that includes it, by SHOP_VAT_RATE in percent."""
    rate = settings.SHOP_VAT_RATE
    return (total * rate / (100 + rate)).quantize(Decimal("0.01"), ROUND_HALF_UP)
