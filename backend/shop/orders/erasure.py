"""A customer's right to be forgotten, which the books survive, and to have a copy of all that is known."""

from collections.abc import Collection
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q, QuerySet

from shop.carts.models import CART_ROW, Cart
from shop.customers.accounts import confirmed
from shop.customers.models import ACCOUNT_ROW, Customer, RefreshToken
from shop.database.refusal import Refusal, WrongPasswordError
from shop.database.statements import JsonArray, JsonObject, Row
from shop.jobs.models import Mail
from shop.orders.document import ORDER_ROW, with_documents
from shop.orders.models import IdempotencyKey, Order, OrderNote, OrderStatus, PaymentStatus

EXPORT_ROW = Row("Export", {"customer": "customer_row", "cart": "cart_row", "orders": "order_rows"})

OPEN = (OrderStatus.PENDING, OrderStatus.PROCESSING, OrderStatus.SHIPPED)


class OpenOrdersError(Refusal):
    """An order of the customer is on its way, or its money is."""

    code = "open_orders"
    message = "An order is still on its way"


def export(customer_id: Any) -> QuerySet[Customer]:
    """Return the customer with all that the shop holds about them: account, cart or null, orders."""
    return Customer.objects.filter(pk=customer_id).annotate(
        customer_row=JsonObject(Customer.objects.filter(pk=customer_id), ACCOUNT_ROW, may_be_null=False),
        cart_row=JsonObject(Cart.objects.with_rows(customer_id), CART_ROW),
        order_rows=JsonArray(with_documents(Order.objects.placed_by(customer_id)), ORDER_ROW),
    )


def erase(*, customer_id: int, current_password: str) -> None:
    """Forget a customer who says so; raise WrongPasswordError and OpenOrdersError."""
    known = confirmed(customer_id, current_password).password
    if not forget(Customer.objects.filter(pk=customer_id, password=known)):
        raise WrongPasswordError


@transaction.atomic
def forget(known: QuerySet[Customer]) -> bool:
    """Forget a customer: the row goes, or with orders all in it that tells of a person.

    `known` is the customer as long as that is who was meant; return False if it is not any more.
    Raises OpenOrdersError.
    """
    # Whoever places an order, or is about to erase, waits for this row.
    customer = known.select_for_update(no_key=True).first()
    if not customer:
        return False
    # Whoever writes a note or a mail about one of the orders waits for it, or is waited for.
    orders: QuerySet[Order] = Order.objects.filter(customer=customer)
    with_orders = list(orders.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    # Whoever makes a cart waits for the key. Before the orders it would be what their mails wait for.
    known.select_for_update().get()
    if has_open_orders(customer):
        raise OpenOrdersError
    forget_names([customer.pk])
    if not with_orders:
        customer.delete()
        return True
    Cart.objects.filter(customer=customer).delete()
    RefreshToken.objects.filter(customer=customer).delete()
    Mail.objects.filter(customer=customer).delete()
    IdempotencyKey.objects.filter(customer=customer).delete()
    OrderNote.objects.filter(order__customer=customer).delete()
    return bool(
        known.update(
            first_name="Deleted",
            last_name="customer",
            email=f"deleted-{customer.pk}@invalid",
            password=make_password(None),  # none that anybody could know
            **dict.fromkeys(("strasse", "plz", "ort"), ""),
        )
    )


def has_open_orders(customer: Customer) -> bool:
    """Tell whether an order of the customer is on its way, or its money is."""
    money = Q(payments__status__in=PaymentStatus.unsettled())
    return Order.objects.filter(Q(status__in=OPEN) | money, customer=customer).exists()


def forget_names(customers: Collection[int]) -> None:
    """Take the names out of what the admin tells of their past: who changed an account, or its cart."""
    carts = Cart.objects.filter(customer__in=customers).values_list("pk", flat=True)
    for model, keys in ((Customer, customers), (Cart, carts)):
        entries = LogEntry.objects.filter(
            content_type__app_label="shop",
            content_type__model=model._meta.model_name,
            object_id__in=[str(key) for key in keys],
        )
        entries.update(object_repr=f"Deleted {model._meta.verbose_name}")
