"""Orders that are packed: what to fetch for them, and that they went out."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Sum

from shop.database.statements import Prepared
from shop.orders.models import Actor, Delivery, Order, OrderItem, OrderStatus
from shop.orders.workflow import move

# How they are sent, of those deliveries in which it still is what the page showed.
WRITE = Prepared(
    """
    UPDATE delivery SET carrier = sent.carrier, tracking_number = sent.tracking_number
    FROM unnest(
        %(orders)s::integer[], %(carriers)s::text[], %(numbers)s::text[],
        %(seen_carriers)s::text[], %(seen_numbers)s::text[]
    ) AS sent (order_id, carrier, tracking_number, seen_carrier, seen_number)
    WHERE delivery.order_id = sent.order_id
    AND delivery.carrier = sent.seen_carrier AND delivery.tracking_number = sent.seen_number
    RETURNING delivery.order_id
    """,
    orders="integer[]",
    carriers="text[]",
    numbers="text[]",
    seen_carriers="text[]",
    seen_numbers="text[]",
)


class Parcel(NamedTuple):
    """An order that went out, how, and what it was when somebody said so."""

    order_id: int
    carrier: str
    tracking_number: str
    seen: str
    seen_carrier: str
    seen_tracking_number: str


class Sent(NamedTuple):
    """The status that each order came from that is shipped now, and why each of the others stayed."""

    came_from: dict[int, OrderStatus]
    stayed: dict[int, str]


@transaction.atomic
def ship(parcels: Sequence[Parcel]) -> Sent:
    """Ship the orders of these parcels; those stay that are not what they were seen as, or not to be packed.

    An order without a delivery is shipped, and keeps no carrier and number.
    """
    by_key = {parcel.order_id: parcel for parcel in parcels}
    orders = Order.objects.filter(pk__in=by_key).order_by("pk")
    locked = dict(orders.select_for_update(no_key=True).values_list("pk", "status"))
    to_pack = set(Order.objects.to_pack().filter(pk__in=locked).values_list("pk", flat=True))
    stayed = {}
    for key, parcel in by_key.items():
        if key not in locked:
            stayed[key] = "it is gone"
        elif locked[key] != parcel.seen:
            stayed[key] = f"it is {locked[key]} now"
        elif key not in to_pack:
            stayed[key] = "it is not paid, or its payment is disputed or refunded"
    # Before the orders move, as the mails about it tell them.
    written = write_how([parcel for key, parcel in by_key.items() if key not in stayed])
    ready = by_key.keys() - stayed.keys()
    others = Delivery.objects.filter(order__in=ready - written).values_list("pk", flat=True)
    stayed |= dict.fromkeys(others, "somebody else wrote how it is sent")
    came_from: dict[int, OrderStatus] = {}
    for status in (OrderStatus.PENDING, OrderStatus.PROCESSING):
        some = [key for key, parcel in by_key.items() if key not in stayed and parcel.seen == status]
        came_from |= move(orders=some, to=OrderStatus.SHIPPED, by=Actor.STAFF, sources=[status])
    return Sent(came_from, stayed)


def write_how(parcels: Sequence[Parcel]) -> set[int]:
    """Write how orders are sent into their deliveries; return those where nobody else did."""
    if not parcels:
        return set()
    orders, carriers, numbers, _, seen_carriers, seen_numbers = map(list, zip(*parcels, strict=True))
    with connection.cursor() as cursor:
        WRITE.run(
            cursor,
            orders=orders,
            carriers=carriers,
            numbers=numbers,
            seen_carriers=seen_carriers,
            seen_numbers=seen_numbers,
        )
        return {key for (key,) in cursor.fetchall()}


def to_fetch(orders: Collection[int]) -> list[tuple[int, str, int]]:
    """Return number, name and units of each product in these orders, by number."""
    lines = OrderItem.objects.filter(order__in=orders).order_by("product_id")
    products = lines.values_list("product_id", "product__name")
    return list(products.annotate(units=Sum("quantity")))
