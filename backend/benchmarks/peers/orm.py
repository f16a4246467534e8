"""The queries of the Django peers, as one writes them with the ORM: model instances, no N+1, one order."""

from decimal import Decimal

from django.db.models import Avg, Count, DecimalField, F, Model, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, Round
from django.http import Http404

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, Product

ZERO = Value(Decimal("0.00"), output_field=DecimalField())


def existing[M: Model](found: QuerySet[M], owners: QuerySet) -> list[M]:
    """Return what was found; raise Http404 if that is nothing and there is no owner either."""
    instances = list(found)
    if not instances and not owners.exists():
        raise Http404
    return instances


def products() -> QuerySet[Product]:
    return Product.objects.select_related("category").order_by("product_id")


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
