"""The page of a payment: asked for outside of any transaction, with a key, then written down."""

from django.db import transaction
from django.utils import timezone

from shop.jobs.models import Job
from shop.jobs.worker import MONEY
from shop.orders.models import Payment, PaymentStatus
from shop.orders.workflow import CLOSE_PAGE
from shop.payments.events import SETTLE
from shop.payments.models import PaymentEvent
from shop.payments.provider import Page, ProviderRefusedError, ProviderUnavailableError
from shop.payments.providers import provider_of

NO_ANSWER = "The provider did not answer"
"""The note of a payment whose page anybody may ask for at once."""


def start(payment_id: int) -> None:
    """Ask the provider for the page of a payment, and write down where it is.

    A payment that the provider refuses fails. Raises ProviderUnavailableError: to ask again does no harm.
    """
    payment = Payment.objects.get(pk=payment_id)
    try:
        page = provider_of(payment).start(payment)
    except ProviderUnavailableError:
        Payment.objects.filter(pk=payment_id, reference="", status=PaymentStatus.OPEN).update(note=NO_ANSWER)
        raise
    except ProviderRefusedError as refusal:
        note = f"Refused: {refusal}"[:200]
        refused = Payment.objects.filter(pk=payment_id, reference="", status=PaymentStatus.OPEN)
        refused.update(status=PaymentStatus.FAILED, note=note, changed_at=timezone.now())
    else:
        write_down(payment, page)


@transaction.atomic
def write_down(payment: Payment, page: Page) -> None:
    """Write down the page, unless it is; close it if nobody may pay there any more."""
    unnamed = Payment.objects.filter(pk=payment.pk, reference="")
    if not unnamed.update(
        reference=page.reference, url=page.url, expires_at=page.expires_at, note="", changed_at=timezone.now()
    ):
        return
    # The row is ours until the commit, so its status stays what it is.
    if not Payment.objects.filter(pk=payment.pk, status=PaymentStatus.OPEN).exists():
        Job.objects.enqueue(CLOSE_PAGE, [(payment.pk,)], queue=MONEY)
    # What the provider told of it before its answer was here could not be asked about.
    if PaymentEvent.objects.filter(provider=payment.provider, reference=page.reference).exists():
        Job.objects.enqueue(SETTLE, [(payment.pk,)], queue=MONEY)
