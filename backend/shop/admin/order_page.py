"""What the page of an order tells of it beside its form, and the notes that staff add there."""

import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.utils import timezone

from shop.admin.base import list_link, log_changes, number_of
from shop.customers.models import Customer
from shop.orders.models import Actor, Order, OrderNote, OrderStatus

MOVED = "Changed Status from {} to {}."
"""What the log says of an order that staff moved."""

PAID = "Marked as paid."
"""What it says of one that staff marked as paid, before the move if that was one."""

PLACED = "Placed."
"""What the log says of an order that staff placed of a cart."""

ONE_PRESS = timedelta(minutes=1)
"""Within it the same note by the same person is a button that was pressed twice."""


class Event(NamedTuple):
    """What became of an order, or was done with it."""

    at: datetime
    what: str
    by: str


def told_of(order: Order) -> dict[str, Any]:
    """Return what the page of an order shows of its customer, history and notes."""
    customers = Customer.objects.annotate(number_of_orders=number_of(Order, "customer"))
    customer: Any = customers.get(orders=order.pk)
    return {
        "customer": customer,
        "customers_orders": list_link(Order, "customer", customer, customer.number_of_orders),
        "history": history_of(order),
        "notes": order.notes.order_by("-pk"),
    }


def history_of(order: Order) -> list[Event]:
    """Return the statuses that an order came to and what staff did besides, by time.

    The history says that staff moved the order; who of them it was is in the log, once for each status, as no
    order comes to one twice.
    """
    steps = list(order.history.order_by("pk"))
    by_staff = {step.status for step in steps if step.by == Actor.STAFF}
    log = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Order), object_id=str(order.pk)
    )
    names: dict[str | None, str] = {}
    events = []
    for entry in log.select_related("user").order_by("pk"):
        user: Any = entry.user
        name, text = user.get_username(), entry.get_change_message()
        status = status_reached(entry, text)
        if status in by_staff:
            names[status] = name
            text = PAID if text.startswith(PAID) else ""
        if text:
            events.append(Event(entry.action_time, text, name))
    for step in steps:
        name = names.get(step.status, "")
        by = f"{name} (staff)" if step.by == Actor.STAFF and name else step.by
        events.append(Event(step.at, step.get_status_display(), by))
    return sorted(events, key=lambda event: event.at)


def status_reached(entry: LogEntry, text: str) -> str | None:
    """Return the status that an order came to by what this line of the log, with this text, tells."""
    if entry.action_flag == ADDITION or text == PLACED:
        return OrderStatus.PENDING
    moved = re.fullmatch(re.escape(MOVED).replace(r"\{\}", r"(\w+)"), text.removeprefix(f"{PAID} "))
    return moved[2] if moved else None


def add_note(request: HttpRequest, order: Order, text: str) -> None:
    """Add a note of the user about an order that is locked."""
    note = OrderNote(order=order, text=text, username=request.user.get_username())
    just_now = order.notes.filter(text=note.text, username=note.username, at__gt=timezone.now() - ONE_PRESS)
    if not just_now.exists():
        note.save(force_insert=True)
        log_changes(request, Order, {order.pk: "Added a note."})
