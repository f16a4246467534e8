"""Stripe: customers pay on a page of Stripe's, a Checkout Session; no card data ever reaches the shop.

The library takes most of a second to be imported, so that is done where a payment needs it; wsgi.py
does it as a server starts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from django.conf import settings

from shop.orders.models import Payment, PaymentStatus
from shop.payments.provider import Page, ProviderRefusedError, ProviderUnavailableError, Report

if TYPE_CHECKING:
    from stripe import PaymentIntent, Refund, StripeClient
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams

CONNECT_SECONDS, ANSWER_SECONDS = 3, 7
"""So long Stripe may take: ten seconds in all."""

SHORTEST = timedelta(minutes=35)
"""Stripe has no page that closes in less than 30 minutes; the rest is for asking again."""

LONGEST = timedelta(hours=23, minutes=55)
"""Nor one that is open for more than 24 hours."""

GIVEN_BACK = ("succeeded",)
ON_ITS_WAY = ("pending", "requires_action")
TAKEN_BACK = ("needs_response", "under_review", "lost")
"""The statuses of a dispute in which the bank has the money; before them it only asks."""


class Stripe:
    """Payments each of which is a Checkout Session: its id is their reference."""

    @cached_property
    def client(self) -> "StripeClient":
        import stripe

        # It would keep an id in the home directory, and tell how long answers take.
        stripe.enable_telemetry = False
        return stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            base_addresses={"api": settings.STRIPE_API_BASE},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, ANSWER_SECONDS)),
        )

    def start(self, payment: Payment) -> Page:
        """Make the page, or return the one that was made under the key, with these same parameters."""
        marks = {"payment_id": str(payment.pk), "order_id": str(payment.order_id)}
        back = payment.return_url or f"{settings.SHOP_URL}/"
        params: SessionCreateParams = {
            "mode": "payment",
            # Nothing but what settles at once; wallets are cards here.
            "allowed_payment_method_types": ["card"],
            # Else customers may pay in a currency of their own.
            "adaptive_pricing": {"enabled": False},
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": payment.currency.lower(),
                        "unit_amount": int(payment.amount * 100),
                        "product_data": {"name": f"Order {payment.order_id}"},
                    },
                }
            ],
            "client_reference_id": str(payment.pk),
            "metadata": marks,
            # What becomes of the money later is told of the intent, or of its charge.
            "payment_intent_data": {"metadata": marks},
            "success_url": back,
            "cancel_url": back,
            "expires_at": int(closing_time(payment).timestamp()),
        }
        with asking(replays_are_final=True):
            session = self.client.v1.checkout.sessions.create(
                params, {"idempotency_key": f"{payment.key}-start"}
            )
            return Page(session.id, session.url or "", datetime.fromtimestamp(session.expires_at, UTC))

    def fetch(self, payment: Payment) -> Report:
        """Return what became of it; what was paid counts, whatever else is said of the page."""
        session = self.session_of(payment)
        intent = intent_of(session)
        if not intent or intent.status != "succeeded":
            return Report(unpaid(session, intent))
        refunds = self.refunds_of(intent)
        return Report(
            PaymentStatus.PAID,
            money(intent.amount_received),
            intent.currency.upper(),
            refunded=money(total(refunds, GIVEN_BACK)),
            refunding=money(total(refunds, ON_ITS_WAY)),
            is_charged_back=self.is_charged_back(intent),
        )

    def refund(self, payment: Payment) -> None:
        """Give back what was received and is not given back yet.

        Each refund that failed takes its key with it, so the number of those that there are is in the key.
        Raises ProviderRefusedError for one that failed since the shop began to refund, too.
        """
        intent = intent_of(self.session_of(payment))
        if not intent:
            return
        refunds = self.refunds_of(intent)
        missing = intent.amount_received - total(refunds, (*GIVEN_BACK, *ON_ITS_WAY))
        if missing <= 0:
            return
        began = int(payment.changed_at.timestamp())
        if any(has_failed(refund) and refund.created >= began for refund in refunds):
            raise ProviderRefusedError("Refund failed")
        with asking():
            refund = self.client.v1.refunds.create(
                {
                    "payment_intent": intent.id,
                    "amount": missing,
                    "metadata": {"payment_id": str(payment.pk), "order_id": str(payment.order_id)},
                },
                {"idempotency_key": f"{payment.key}-refund-{len(refunds)}"},
            )
        if has_failed(refund):
            raise ProviderRefusedError("Refund failed")

    def expire(self, payment: Payment) -> None:
        """Close the page; one that is closed, paid or failed stays as it is.

        It is looked at first: Stripe would give a failure of its own again under the key.
        """
        if self.session_of(payment).status != "open":
            return
        try:
            with asking():
                self.client.v1.checkout.sessions.expire(
                    payment.reference, {}, {"idempotency_key": f"{payment.key}-expire"}
                )
        except ProviderRefusedError:
            # It may have been paid at that moment.
            if self.session_of(payment).status == "open":
                raise

    def session_of(self, payment: Payment) -> "Session":
        """Return the session of a payment, with what was paid."""
        with asking():
            return self.client.v1.checkout.sessions.retrieve(
                payment.reference, {"expand": ["payment_intent.latest_charge"]}
            )

    def pages_of(self, intent: str) -> list[str]:
        """Return the references of the payments that were paid with this intent: one, or none."""
        with asking():
            return [
                session.id
                for session in self.client.v1.checkout.sessions.list({"payment_intent": intent}).data
            ]

    def refunds_of(self, intent: "PaymentIntent") -> list["Refund"]:
        with asking():
            found = self.client.v1.refunds.list({"payment_intent": intent.id, "limit": 100})
            return list(found.auto_paging_iter())

    def is_charged_back(self, intent: "PaymentIntent") -> bool:
        """Tell whether the customer's bank has the money."""
        charge = intent.latest_charge
        if not charge or isinstance(charge, str) or not charge.disputed:
            return False
        with asking():
            disputes = self.client.v1.disputes.list({"payment_intent": intent.id, "limit": 100})
            return any(dispute.status in TAKEN_BACK for dispute in disputes.data)


def closing_time(payment: Payment) -> datetime:
    """Return when the page closes, the same each time: with the order, as nearly as Stripe lets it."""
    begin = payment.created_at
    deadline = payment.expires_at or begin + LONGEST
    return min(max(deadline, begin + SHORTEST), begin + LONGEST)


def intent_of(session: "Session") -> "PaymentIntent | None":
    """Return what was paid with, or tried to be, of a session that was asked for with it."""
    intent = session.payment_intent
    return None if isinstance(intent, str) else intent


def unpaid(session: "Session", intent: "PaymentIntent | None") -> PaymentStatus:
    """Return what became of a page that was not paid; after a card that was refused another may be tried."""
    if session.status == "expired":
        return PaymentStatus.EXPIRED
    if session.status == "complete" and not (intent and intent.status == "processing"):
        return PaymentStatus.FAILED
    return PaymentStatus.OPEN


def has_failed(refund: "Refund") -> bool:
    return refund.status in ("failed", "canceled")


def total(refunds: list["Refund"], statuses: tuple[str, ...]) -> int:
    """Return the cents of the refunds in these statuses."""
    return sum(refund.amount for refund in refunds if refund.status in statuses)


def money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


@contextmanager
def asking(*, replays_are_final: bool = False) -> Iterator[None]:
    """Raise what Stripe says, or that it says nothing, as the port has it, without what it quotes.

    A bad key of ours, or a payment that this account does not know, is no verdict. Stripe keeps answers under
    their keys, its own failures too: a page of which it told one will never be shown to anybody.
    """
    import stripe

    try:
        yield
    except stripe.StripeError as failure:
        status = failure.http_status or 0
        is_verdict = status in (400, 402) and not isinstance(failure, stripe.RateLimitError)
        is_replay = (failure.headers or {}).get("Idempotent-Replayed") == "true"
        name = f"{type(failure).__name__} {status} {failure.code or ''}".strip()
        if is_verdict or (replays_are_final and is_replay and status >= 500):
            raise ProviderRefusedError(name) from None
        raise ProviderUnavailableError(name) from None
