"""What providers say by themselves: a hint each, of which the shop asks what is true of it."""

from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from shop.jobs.models import Job
from shop.jobs.worker import MONEY
from shop.orders.models import Payment, PaymentProvider
from shop.payments.models import PaymentEvent

SETTLE = "shop.payments.settling.settle"

LIFETIME = timedelta(days=60)
"""So long an event is known as one that was heard; the books of `test` stay."""

WRITE = """
INSERT INTO payment_event (provider, event, kind, reference) VALUES (%s, %s, %s, %s)
ON CONFLICT (provider, event) DO NOTHING
"""


def write(provider: str, event: str, kind: str, reference: str) -> bool:
    """Write an event down; return whether it is a new one."""
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [provider, event, kind, reference])
        return bool(cursor.rowcount)


def prune_events() -> dict[str, int]:
    """Delete what Stripe said long ago, which it does not say again; return how many."""
    old = PaymentEvent.objects.filter(received_at__lt=timezone.now() - LIFETIME)
    return {"events": old.exclude(provider=PaymentProvider.TEST).delete()[0]}


@transaction.atomic
def store(provider: str, event: str, kind: str, reference: str) -> bool:
    """Write an event down once, with a job that asks the provider about the payment of this reference.

    One whose payment is not known by its reference yet is looked for when the provider's answer comes.
    Returns whether the event is a new one.
    """
    is_new = write(provider, event, kind, reference)
    if is_new:
        of_it = Payment.objects.filter(provider=provider, reference=reference).exclude(reference="")
        Job.objects.enqueue(SETTLE, of_it.values_list("pk"), queue=MONEY)
    return is_new
