"""What Stripe tells by itself: whether it is Stripe that tells it, and which payment it is about."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django_tasks import task

from shop.jobs.models import Job
from shop.jobs.worker import MONEY
from shop.orders.models import Payment, PaymentProvider
from shop.payments.events import SETTLE, store, write
from shop.payments.stripe import Stripe

TOLERANCE_SECONDS = 5 * 60
"""So old an event may be: who caught one cannot send it again for ever."""

OF_A_PAGE = re.compile(r"checkout\.session\..+")
OF_MONEY = re.compile(r"refund\..+|charge\.(refund.*|dispute\..+)")
"""The types of events that may be about a payment of the shop; the others are nobody's here."""

NAME = re.compile(r"[\w.-]{1,255}", re.ASCII)
KIND = re.compile(r"[\w.-]{1,100}", re.ASCII)


class BadEventError(Exception):
    """It is no event, or none that Stripe signed a moment ago."""


@dataclass(frozen=True)
class Event:
    """What happened, and the id of what it happened to: a page, or what was paid with there."""

    event: str
    kind: str
    reference: str

    @property
    def is_of_a_page(self) -> bool:
        return bool(OF_A_PAGE.fullmatch(self.kind))


def read_event(body: bytes, signature: str, secrets: Collection[str]) -> Event | None:
    """Return an event that was signed with one of these secrets; None for one that is about no payment.

    Raises BadEventError.
    """
    verify(body, signature, secrets)
    try:
        match json.loads(body):
            case {"id": str(event), "type": str(kind), "data": {"object": {**about}}}:
                pass
            case _:
                raise BadEventError
    except (ValueError, RecursionError):
        raise BadEventError from None
    member = "id" if OF_A_PAGE.fullmatch(kind) else "payment_intent" if OF_MONEY.fullmatch(kind) else ""
    reference: Any = about.get(member)
    if not member or reference is None:
        return None
    if not (NAME.fullmatch(event) and KIND.fullmatch(kind) and NAME.fullmatch(str(reference))):
        raise BadEventError
    return Event(event, kind, str(reference))


def verify(body: bytes, signature: str, secrets: Collection[str]) -> None:
    """Raise BadEventError unless one of the secrets signed this, a moment ago."""
    import stripe

    # The library cannot compare other letters, and takes bytes that are no text for a mistake of ours.
    if not signature.isascii():
        raise BadEventError
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        return
    raise BadEventError


def take(event: Event) -> None:
    """Write an event down once, with a job that asks about its payment."""
    about = PaymentProvider.STRIPE, event.event, event.kind, event.reference
    if event.is_of_a_page:
        store(*about)
        return
    with transaction.atomic():
        if write(*about):
            find_payment.enqueue(event.reference)


@task(queue_name=MONEY)
def find_payment(intent: str) -> None:
    """Have the payment settled on whose page this was paid with; it may be none of the shop's."""
    pages = Stripe().pages_of(intent)
    of_it = Payment.objects.filter(provider=PaymentProvider.STRIPE, reference__in=pages)
    Job.objects.enqueue(SETTLE, of_it.values_list("pk"), queue=MONEY)
