"""The queries of the Django peers, as one writes them with the ORM: model instances, no N+1, one order."""

import json
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256

from django.db import transaction
from django.db.models import Avg, Count, DecimalField, F, Model, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, Round
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product
from shop.orders.models import Delivery, IdempotencyKey, OrderHistory

ZERO = Value(Decimal("0.00"), output_field=DecimalField())


def existing[M: Model](found: QuerySet[M], owners: QuerySet) -> list[M]:
    """Return what was found; raise Http404 if that is nothing and there is no owner either."""
    instances = list(found)
    if not instances and not owners.exists():
        raise Http404
    return instances


def products() -> QuerySet[Product]:
    return Product.objects.select_related("category").order_by("product_id")


def found(words: str, limit: int) -> QuerySet[Product]:
    """Return the products that have all these words in their name or description, anywhere in it."""
    wanted = Q()
    for word in words.split():
        wanted &= Q(name__icontains=word) | Q(description__icontains=word)
    return products().filter(wanted)[:limit]


def product(product_id: int) -> Product:
    found: Product = get_object_or_404(products(), pk=product_id)
    return found


def low_stock() -> QuerySet[Product]:
    return Product.objects.select_related("category").filter(stock__lt=10).order_by("stock", "product_id")


def customer_orders(customer_id: int) -> list[Order]:
    orders = Order.objects.filter(customer_id=customer_id).select_related("customer")
    return existing(orders.order_by("-order_date", "-order_id"), Customer.objects.filter(pk=customer_id))


def order_details(order_id: int) -> list[OrderItem]:
    items = OrderItem.objects.filter(order_id=order_id).select_related("order__customer", "product")
    items = items.annotate(subtotal=F("quantity") * F("price_per_unit")).order_by("order_item_id")
    return existing(items, Order.objects.filter(pk=order_id))


def cart_items(customer_id: int) -> list[CartItem]:
    items = CartItem.objects.filter(cart__customer_id=customer_id).select_related("product")
    items = items.annotate(subtotal=F("quantity") * F("product__price")).order_by("cart_item_id")
    return existing(items, Cart.objects.filter(customer_id=customer_id))


def total(items: list[CartItem]) -> Decimal:
    """Return what a cart costs; the items have the annotated subtotal."""
    return sum((item.subtotal for item in items), start=Decimal("0.00"))  # type: ignore[attr-defined]


def bestsellers() -> QuerySet[Product]:
    sold = Product.objects.filter(order_items__isnull=False).annotate(
        total_sold=Sum("order_items__quantity"),
        total_revenue=Sum(F("order_items__quantity") * F("order_items__price_per_unit")),
    )
    return sold.order_by("-total_sold", "product_id")[:10]


def customer_stats() -> QuerySet[Customer]:
    return Customer.objects.annotate(
        total_orders=Count("orders"), total_spent=Coalesce(Sum("orders__total_amount"), ZERO)
    ).order_by("-total_spent", "customer_id")


def category_stats() -> QuerySet[Category]:
    return Category.objects.annotate(
        product_count=Count("products"),
        total_stock=Coalesce(Sum("products__stock"), 0),
        avg_price=Coalesce(Round(Avg("products__price"), 2), ZERO),
    ).order_by("-product_count", "category_name")


class RefusedError(Exception):
    """A checkout cannot be; the message is the code of why."""


def place_order(customer_id: int, key: str, body: dict, document: Callable[[Order], str]) -> str:
    """Place an order of the cart: the specification's example, made right. Return it as `document` has it.

    The customer is locked, so that of two requests with one key the second replays; the products in the order
    of their keys, so that nobody sells what is gone and nobody waits in a circle.
    """
    digest = sha256(json.dumps(body, sort_keys=True).encode()).digest()
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer_id)
        if used := IdempotencyKey.objects.filter(customer=customer, key=key).first():
            if bytes(used.request_digest) != digest:
                raise RefusedError("idempotency_key_reused")
            return used.answer
        cart = Cart.objects.select_for_update().get(customer=customer)
        cart_items = list(cart.items.order_by("cart_item_id"))
        if not cart_items:
            raise RefusedError("cart_empty")
        bought = Product.objects.filter(pk__in=[item.product_id for item in cart_items])
        locked = {product.pk: product for product in bought.order_by("pk").select_for_update()}
        amount = sum(item.quantity * locked[item.product_id].price for item in cart_items)
        if amount != Decimal(body["expected_total"]):
            raise RefusedError("total_changed")

        order = Order.objects.create(customer=customer, total_amount=amount)
        for item in cart_items:
            item.product = locked[item.product_id]
            if item.product.stock < item.quantity:
                raise RefusedError("out_of_stock")
            OrderItem.objects.create(
                order=order,
                product=item.product,
                quantity=item.quantity,
                price_per_unit=item.product.price,
            )
            item.product.stock -= item.quantity
            item.product.save(update_fields=["stock"])
        address = {
            name: getattr(customer, name) for name in ("first_name", "last_name", "strasse", "plz", "ort")
        }
        Delivery.objects.create(order=order, **address)
        OrderHistory.objects.create(order=order, status=order.status, by="customer")
        cart.items.all().delete()
        cart.last_updated = timezone.now()
        cart.save(update_fields=["last_updated"])
        made = document(order)
        IdempotencyKey.objects.create(customer=customer, key=key, request_digest=digest, answer=made)
    return made


def order_items(order: Order) -> QuerySet[OrderItem]:
    """Return the lines of an order, each with its product and subtotal."""
    items = order.items.select_related("product").annotate(subtotal=F("quantity") * F("price_per_unit"))
    return items.order_by("order_item_id")
