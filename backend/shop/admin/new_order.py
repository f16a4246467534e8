"""A new order, as staff take it on the telephone: customer, lines, placed."""

import json
from typing import Any
from uuid import uuid4

from django import forms
from django.core.exceptions import ValidationError
from django.db import connection

from shop.admin.base import hold_customer
from shop.admin.carts import reason
from shop.admin.forms import ShopForm, delivery_field
from shop.orders.checkout import ADDRESS, USE_KEY, AddressMissingError, complete
from shop.orders.document import order_document
from shop.orders.mails import tell
from shop.orders.models import IdempotencyKey, Order

WHO, WHERE = ADDRESS[:2], ADDRESS[2:]
NO_DIGEST = b""
"""What a page is sent with is not compared: it is good for one order, whatever somebody makes of it then."""


class PlacedAlreadyError(Exception):
    """The page was sent before, and placed this order."""

    def __init__(self, order: Order) -> None:
        super().__init__()
        self.order = order


class NewOrderForm(ShopForm):
    """A new order, where it goes, and the key under which the page places it once."""

    key = forms.UUIDField(initial=uuid4, required=False, widget=forms.HiddenInput({"autocomplete": "off"}))
    first_name = delivery_field("first_name")
    last_name = delivery_field("last_name")
    strasse = delivery_field("strasse")
    plz = delivery_field("plz")
    ort = delivery_field("ort")

    def clean(self) -> dict[str, Any] | None:
        """Take a whole name and a whole address, or none: halves of two are a third that nobody lives at."""
        cleaned_data = super().clean()
        for names in (WHO, WHERE):
            lacking = [name for name in names if not self.cleaned_data.get(name)]
            if len(lacking) < len(names):
                for name in lacking:
                    if name not in self.errors:
                        self.add_error(name, "Enter this as well, or leave all of it empty.")
        return cleaned_data


def key_of(form: Any) -> str:
    """Return the key of the page; of what is no page of ours, and is sent without one, each is an order."""
    return f"staff-{form.cleaned_data['key'] or uuid4()}"


def hold_and_address(order: Order, form: Any) -> dict[str, str]:
    """Lock the customer of an order that is about to be placed, and return where it goes.

    Raises PlacedAlreadyError if the page was sent before, and ValidationError for an address that lacks
    something.
    """
    own_address = hold_customer(order.customer_id)
    # Whichever customer stands in the page by now.
    keys = IdempotencyKey.objects.filter(key=key_of(form))
    if document := keys.values_list("answer", flat=True).first():
        raise PlacedAlreadyError(Order(pk=json.loads(document)["order_id"]))
    typed = {name: text for name in ADDRESS if (text := form.cleaned_data[name])}
    try:
        return complete(own_address | typed)
    except AddressMissingError as error:
        raise ValidationError(f"{reason(error)}. Enter where this order goes.") from error


def finish(order: Order, form: Any) -> None:
    """Tell the customer of the order, whose lines are written, and use up the key of the page."""
    if not order.items.exists():
        raise ValidationError("An order has at least one line.")
    tell("placed", [order.pk])
    with connection.cursor() as cursor:
        USE_KEY.run(
            cursor,
            customer_id=order.customer_id,
            key=key_of(form),
            digest=NO_DIGEST,
            answer=order_document(order.pk),
        )
