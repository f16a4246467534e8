"""What need not be kept any more, and so must not be: it goes."""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from shop.customers.models import RefreshToken
from shop.orders.models import IdempotencyKey

KEY_LIFETIME = timedelta(days=2)
"""So long a checkout can be asked again under its key."""

FORGET = """
UPDATE delivery
SET first_name = '', last_name = '', strasse = '', plz = '', ort = '', carrier = '', tracking_number = ''
FROM "order"
WHERE "order".order_id = delivery.order_id
AND order_date < current_date - make_interval(years => %s)
AND delivery.last_name <> ''
"""

FORGET_NOTES = """
DELETE FROM order_note USING "order"
WHERE "order".order_id = order_note.order_id AND order_date < current_date - make_interval(years => %s)
"""


def prune(*, keep_years: int) -> dict[str, int]:
    """Forget who got the orders older than so many years, and delete what has expired; return how many.

    What staff noted about such an order goes. It keeps its delivery's row, by which it is known as one that
    was placed here.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [keep_years])
        deliveries = cursor.rowcount
        cursor.execute(FORGET_NOTES, [keep_years])
        notes = cursor.rowcount
    return {
        "deliveries": deliveries,
        "notes": notes,
        "keys": IdempotencyKey.objects.filter(created_at__lt=now - KEY_LIFETIME).delete()[0],
        "tokens": RefreshToken.objects.dead().delete()[0],
    }
