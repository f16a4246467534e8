"""What need not be kept any more, and so must not be: it goes."""

from datetime import timedelta

from django.db import connection, transaction
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

# The years begin with the one after the invoice's, as the law counts them.
FORGET_INVOICES = """
UPDATE invoice SET address = ''
WHERE made_on < date_trunc('year', current_date) - make_interval(years => %s)
AND address <> ''
"""


def prune(*, keep_years: int) -> dict[str, int]:
    """Empty the addresses of what is older than so many years, and delete what has expired; return how many.

    What staff noted about such an order goes. It keeps its delivery's row, by which it is known as one that
    was placed here, and its invoice, whose number and amounts tell of nobody.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [keep_years])
        deliveries = cursor.rowcount
        cursor.execute(FORGET_NOTES, [keep_years])
        notes = cursor.rowcount
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL shop.prune = 'on'")  # the trigger that keeps invoices asks for it
        cursor.execute(FORGET_INVOICES, [keep_years])
        invoices = cursor.rowcount
        cursor.execute("SET LOCAL shop.prune = 'off'")
    return {
        "deliveries": deliveries,
        "notes": notes,
        "invoices": invoices,
        "keys": IdempotencyKey.objects.filter(created_at__lt=now - KEY_LIFETIME).delete()[0],
        "tokens": RefreshToken.objects.dead().delete()[0],
    }
