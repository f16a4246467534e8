"""Invoices: one for each order that wants one, numbered without gaps, and taken back with the order."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, OuterRef, Subquery
from django.utils import timezone

from shop.orders.mails import vat_in
from shop.orders.models import Invoice, Order, OrderHistory, OrderItem, OrderStatus

# Who takes a number waits for those who did before: if they roll back, their numbers are free again. Locking
# the table itself would wait for its vacuum, too.
TAKE_TURNS = "SELECT pg_advisory_xact_lock('invoice'::regclass::bigint)"

AS_BILLED = ("order_id", "supplied_on", "order_date", "seller", "address", "currency", "vat_rate")
"""What a cancellation has of its invoice as it is."""


@transaction.atomic
def make_invoices(*, orders: Collection[int]) -> list[Invoice]:
    """Make the invoices of those of these orders that have none and can have one; return what is made."""
    locked = Order.objects.filter(pk__in=orders).order_by("pk").select_for_update(no_key=True)
    drafts, _ = drafts_of(list(locked.values_list("pk", flat=True)))
    number_and_store(drafts)
    return drafts


def why_not(orders: Collection[int]) -> dict[int, str]:
    """Return why orders have no invoice, by order."""
    drafts, reasons = drafts_of(orders)
    return reasons | {draft.order_id: "it is not made yet" for draft in drafts}


def cancel_invoices(orders: Collection[int]) -> None:
    """Take back the invoices of orders that are locked and cancelled, each by one more."""
    standing = Invoice.objects.filter(order__in=orders, cancels=None, cancellation=None).order_by("number")
    number_and_store(
        [
            Invoice(
                **{name: getattr(invoice, name) for name in AS_BILLED},
                cancels=invoice,
                made_on=timezone.localdate(),
                lines=[
                    line | {"quantity": -line["quantity"], "subtotal": str(-Decimal(line["subtotal"]))}
                    for line in invoice.lines
                ],
                net=-invoice.net,
                vat=-invoice.vat,
                gross=-invoice.gross,
            )
            for invoice in standing
        ]
    )


def number_and_store(drafts: Sequence[Invoice]) -> None:
    """Store invoices under the next numbers. The transaction locks nothing of orders after this."""
    if not drafts:
        return
    with connection.cursor() as cursor:
        cursor.execute(TAKE_TURNS)
    last = Invoice.objects.aggregate(last=Max("number"))["last"] or 0
    for number, draft in enumerate(drafts, last + 1):
        draft.number = number
    Invoice.objects.bulk_create(drafts)


def drafts_of(orders: Collection[int]) -> tuple[list[Invoice], dict[int, str]]:
    """Return a draft for each of these orders that has no invoice, and by order why it cannot have one."""
    shipped = OrderHistory.objects.filter(order=OuterRef("pk"), status=OrderStatus.SHIPPED).order_by("-pk")
    found = (
        Order.objects.filter(pk__in=orders, invoices=None)
        .select_related("customer", "delivery")
        .annotate(shipped_at=Subquery(shipped.values("at")[:1]))
        .order_by("pk")
    )
    lines = OrderItem.objects.by_order(orders)
    drafts, reasons = [], {}
    for order in found:
        if reason := obstacle(order, lines[order.pk]):
            reasons[order.pk] = reason
        else:
            drafts.append(draft_of(order, lines[order.pk]))
    return drafts, reasons


def obstacle(order: Order, lines: Sequence[Any]) -> str:
    """Return why there can be no invoice of an order, or "" if there can."""
    to = order.recipient
    if order.status == OrderStatus.CANCELLED:
        return "it is cancelled"
    if not lines:
        return "it has no lines"
    if not all((to.last_name, to.strasse, to.plz, to.ort)):
        return "its address is not complete"
    return ""


def draft_of(order: Any, lines: Sequence[dict[str, Any]]) -> Invoice:
    """Return the invoice of an order as of now, without a number."""
    gross = sum(line["subtotal"] for line in lines)
    vat = vat_in(gross)
    today = timezone.localdate()
    return Invoice(
        order=order,
        made_on=today,
        supplied_on=timezone.localdate(order.shipped_at) if order.shipped_at else today,
        order_date=order.order_date,
        seller=settings.SHOP_SELLER,
        address=order.address,
        lines=[line | {name: str(line[name]) for name in ("price_per_unit", "subtotal")} for line in lines],
        currency=settings.SHOP_CURRENCY,
        vat_rate=settings.SHOP_VAT_RATE,
        net=gross - vat,
        vat=vat,
        gross=gross,
    )
