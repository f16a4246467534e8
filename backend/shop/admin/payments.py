"""Payments in the admin: seen in their orders, where staff act on them."""

# ruff: noqa: ARG002 - Django hands its hooks more than each of them needs

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from shop.admin.base import FASTER, LookOnly, SafeAdmin, change_link, log_changes, no_conflict
from shop.jobs.models import Mail
from shop.orders.models import Order, Payment, PaymentProvider, PaymentStatus
from shop.payments.refunding import begin_refund, mark_refunded
from shop.payments.settling import accept, payable


class Act(NamedTuple):
    """What staff can do with a payment."""

    label: str
    run: Callable[..., Any]


ACTS = {
    "accept": Act("Accept", accept),
    "refund": Act("Refund", begin_refund),
    "mark_refunded": Act("Mark as refunded", mark_refunded),
}

ALLOWED = {
    PaymentStatus.PAID: ("refund",),
    PaymentStatus.DISPUTED: ("accept", "refund"),
    PaymentStatus.REFUND_FAILED: ("refund", "mark_refunded"),
}
"""Which acts a payment is ripe for."""


def acts_on(payment: Payment) -> Sequence[str]:
    """Return which acts there are for a payment, as it is."""
    if payment.status == PaymentStatus.REFUNDING and payment.provider == PaymentProvider.INVOICE:
        return ("mark_refunded",)
    return ALLOWED.get(PaymentStatus(payment.status), ())


def kept_by_payments(who_has: str, order: str = "") -> tuple[Count, str, str]:
    """Return what forbids deleting an order that has payments, or a line, from which `order` leads to it."""
    payments = f"{order}payments__"
    # What is expired here may still be paid until its page is closed.
    can_be_paid = {f"{payments}status": PaymentStatus.EXPIRED, f"{payments}expires_at__gt": Now()}
    of_these = Q(**{f"{payments}status__in": PaymentStatus.keeping()}) | Q(**can_be_paid)
    return (
        Count(f"{order}payments", filter=of_these),
        f"{who_has} %d payment that is open, paid, disputed or to be refunded",
        f"{who_has} %d payments that are open, paid, disputed or to be refunded",
    )


def word(payment: Payment) -> str:
    """Return its status as it stands in a sentence."""
    return payment.get_status_display().lower()


def answer_act(
    model_admin: SafeAdmin, request: HttpRequest, object_id: str, permission: str, act: Callable[[Any], str]
) -> HttpResponse:
    """Act on an order or a payment in a transaction that locks the order, and lead to its page.

    What the act returns is said there, and so is the ValidationError that it raises. Without the lock nobody
    changes the status of a payment, or deletes it.
    """
    if not request.user.has_perm(permission):
        raise PermissionDenied
    key = unquote(object_id)
    obj: Any = model_admin.get_object(request, key)
    level = messages.ERROR
    try:
        with no_conflict(), transaction.atomic():
            if obj:
                list(Order.objects.filter(pk=obj.order_id).select_for_update(no_key=True))
                obj = model_admin.get_object(request, key)
            if not obj:
                return model_admin.gone(request, object_id)
            text = act(obj)
        level = messages.SUCCESS
    except ValidationError as error:
        (text,) = error.messages
    model_admin.message_user(request, text, level)
    return HttpResponseRedirect(reverse("admin:shop_order_change", args=[obj.order_id]))


def may_mark_paid(user: Any) -> bool:
    """Tell whether a user may say that an order was paid, which moves it on."""
    return bool(user.has_perms(("shop.change_order", "shop.change_payment")))


class Row(NamedTuple):
    """A payment in the page of its order, with label and address of what can be done with it."""

    payment: Payment
    received: str
    buttons: Sequence[tuple[str, str]]


def row_of(payment: Payment, may_act: bool) -> Row:
    """Return the row of a payment; `received` is what was paid, where that is not its amount."""
    was_paid = (payment.received, payment.received_currency)
    is_other = payment.received is not None and was_paid != (payment.amount, payment.currency)
    acts = acts_on(payment) if may_act else ()
    return Row(
        payment,
        f"{payment.received} {payment.received_currency}" if is_other else "",
        [(ACTS[name].label, reverse(f"admin:shop_payment_{name}", args=[payment.pk])) for name in acts],
    )


def money_and_mails(request: HttpRequest, order: Order) -> dict[str, Any]:
    """Return what the page of an order shows of its payments and mails, and what the user may do."""
    user = request.user
    may_act = user.has_perm("shop.change_payment")
    payments = Payment.objects.filter(order=order).order_by("pk")
    return {
        "payments": [row_of(payment, may_act) for payment in payments],
        "may_mark_paid": may_mark_paid(user) and payable(Order.objects.filter(pk=order.pk)).exists(),
        "mails": Mail.objects.filter(order=order).order_by("pk").defer("recipients", "text", "html"),
    }


class TroubleFilter(admin.SimpleListFilter):
    """Keeps the payments that wait for somebody of the staff."""

    title = "trouble"
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Return the one choice."""
        return [("yes", "Disputed, or to be repaid by hand")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep them if that is asked for; a value that is no choice keeps none."""
        kept = {None: queryset.all, "yes": queryset.in_trouble}
        return kept.get(self.value(), queryset.none)()


@admin.register(Payment)
class PaymentAdmin(LookOnly):
    """All payments, to look at; what staff do with one begins in the page of its order."""

    fields = (
        "its_order",
        "provider",
        "status",
        "amount",
        "currency",
        "received",
        "received_currency",
        "reference",
        "created_at",
        "expires_at",
        "changed_at",
        "note",
    )
    list_display = ("payment_id", "its_order", "provider", "status", "amount", "currency", "created_at")
    list_filter = (TroubleFilter, "status", "provider")
    link_lookups = ("trouble", "status__exact", "provider__exact")
    search_fields = ("reference__exact",)
    search_help_text = "The number of an order, or what the provider calls a payment"
    number_field = "order_id"
    ordering = ("-payment_id",)

    @admin.display(description="order", ordering="order")
    def its_order(self, payment: Any) -> SafeString:
        """Link to the order."""
        return change_link(Order(pk=payment.order_id))

    def get_urls(self) -> list[Any]:
        """Add an address for each act."""
        acts = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(require_POST(partial(self.act, name=name))),
                name=f"shop_payment_{name}",
            )
            for name in ACTS
        ]
        return [*acts, *super().get_urls()]

    def act(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Do this with a payment, if it is as its page showed it."""
        act = partial(self.act_and_log, request, name=name)
        return answer_act(self, request, object_id, "shop.change_payment", act)

    def act_and_log(self, request: HttpRequest, payment: Payment, name: str) -> str:
        """Do it, if the payment is what the page showed and ripe for it."""
        if payment.status != request.POST.get("seen") or name not in acts_on(payment):
            raise ValidationError(FASTER.format(payment, word(payment)))
        ACTS[name].run(payment_id=payment.pk)
        log_changes(request, Order, {payment.order_id: f"{ACTS[name].label}: {payment}."})
        payment.refresh_from_db(fields=["status"])
        return f"{payment} is {word(payment)} now."
