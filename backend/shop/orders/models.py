"""Orders and their lines."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Self
from uuid import uuid4

from django.db import models, transaction
from django.db.models import Case, Count, F, Q, Sum, When
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from shop.catalog.models import Category, Product
from shop.customers.models import Customer, full_name
from shop.database.fields import AMOUNTS, DATES, ZERO
from shop.database.statements import Parameter


class OrderStatus(models.TextChoices):
    """The status values of the specification."""

    PENDING = "pending"
    PROCESSING = "processing"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


LOOKUPS = {
    "status": "status__in",
    "from": "order_date__gte",
    "to": "order_date__lte",
    "customer": "customer_id",
}
"""How the filters of a list are asked of an order."""


def holds_money() -> models.Exists:
    """Tell of the outer order whether the shop holds money for it."""
    payments = Payment.objects.filter(order=models.OuterRef("pk"), status__in=PaymentStatus.keeping())
    return models.Exists(payments.exclude(status=PaymentStatus.OPEN))


class OrderQuerySet(models.QuerySet["Order"]):
    def newest_first(self) -> Self:
        return self.order_by("-order_date", "-order_id")

    def placed_by(self, customer_id: int | Parameter) -> Self:
        """Keep the orders of a customer, the newest first."""
        return self.filter(customer_id=customer_id).newest_first()

    def asked_for(self, filters: Mapping[str, Any]) -> Self:
        """Keep those of any `status` in a list, of the days `from` to `to`, of a `customer`."""
        return self.filter(**{LOOKUPS[name]: value for name, value in filters.items()})

    def not_asked_for(self, filters: Mapping[str, Any]) -> Self:
        """Keep the others."""
        return self.exclude(**{LOOKUPS[name]: value for name, value in filters.items()})

    def without_erased_customers(self) -> Self:
        """Leave out the orders whose customer cannot be told anything any more."""
        return self.filter(customer__in=Customer.objects.without_erased())

    def to_pack(self) -> Self:
        """Keep what may be sent: paid, or on account and new; nothing whose money went back, or may go."""
        # Joined: of a subquery under OR PostgreSQL would read all deliveries, for however few orders.
        by_invoice = Q(delivery=None) | Q(delivery__payment_provider=PaymentProvider.INVOICE)
        on_account = by_invoice & Q(status=OrderStatus.PENDING)
        paid = Payment.objects.filter(order=models.OuterRef("order"), status=PaymentStatus.PAID)
        lost = Payment.objects.filter(
            ~models.Exists(paid), order=models.OuterRef("pk"), status__in=PaymentStatus.lost()
        )
        return self.filter(Q(status=OrderStatus.PROCESSING) | on_account, ~models.Exists(lost))

    def paid(self) -> Self:
        """Keep those for which the shop holds money."""
        return self.filter(holds_money())

    def unpaid(self) -> Self:
        """Keep those not completed for which the shop holds no money."""
        not_done = (OrderStatus.PENDING, OrderStatus.PROCESSING, OrderStatus.SHIPPED)
        return self.filter(~holds_money(), status__in=not_done)

    def with_product(self, product: Product) -> Self:
        """Keep those with a line of this product."""
        return self.filter(pk__in=OrderItem.objects.filter(product=product).values("order"))

    def with_category(self, category: Category) -> Self:
        """Keep those with a line of a product of this category."""
        return self.filter(pk__in=OrderItem.objects.filter(product__category=category).values("order"))

    def by_status(self) -> models.QuerySet["Order", tuple[str, int, Decimal]]:
        """Return the number and the total amount of the orders in each status that any has."""
        sums = {"orders": Count("pk"), "revenue": Sum("total_amount")}
        return self.order_by().values("status").annotate(**sums).values_list("status", *sums)

    def by_day(
        self, first: date, last: date
    ) -> models.QuerySet["Order", tuple[date, int, Decimal, int, Decimal]]:
        """Return number and total amount of these days' orders, and of those of them that are cancelled.

        A day without orders is left out.
        """
        cancelled = Q(status=OrderStatus.CANCELLED)
        sums = {
            "orders": Count("pk"),
            "amount": Sum("total_amount"),
            "cancelled_orders": Count("pk", filter=cancelled),
            "cancelled_amount": Sum("total_amount", filter=cancelled, default=ZERO),
        }
        days = self.filter(order_date__range=(first, last)).order_by("order_date").values("order_date")
        return days.annotate(**sums).values_list("order_date", *sums)

    @transaction.atomic
    def update_totals(self) -> None:
        """Store the sum of its lines as each order's total_amount."""
        # Lines that others wrote while we waited for an order are seen by the next statement only.
        orders = list(self.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        lines = (
            OrderItem.objects.filter(order=models.OuterRef("pk")).with_subtotal().order_by().values("order")
        )
        total = lines.annotate(total=Sum("subtotal")).values("total")
        Order.objects.filter(pk__in=orders).update(total_amount=Coalesce(models.Subquery(total), ZERO))


class Order(models.Model):
    """A customer's order; total_amount is the sum of its lines."""

    order_id = models.AutoField(primary_key=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders", db_index=False)
    order_date = models.DateField(
        default=timezone.localdate,
        db_default=models.Func(template="CURRENT_DATE", output_field=models.DateField()),
    )
    status = models.CharField(
        max_length=20, choices=OrderStatus, default=OrderStatus.PENDING, db_default=OrderStatus.PENDING.value
    )
    total_amount = models.DecimalField(
        max_digits=10, decimal_places=2, default=Decimal("0.00"), db_default=Decimal("0.00")
    )

    objects = OrderQuerySet.as_manager()

    class Meta:
        db_table = "order"
        indexes = (
            # With the amounts, so that with_spending() need not read the orders themselves.
            models.Index(fields=["customer"], include=["total_amount"], name="order_customer_id"),
            # Lists read these backwards, and see the status there: of all orders, of the few not done yet.
            models.Index(fields=["order_date", "order_id", "status"], name="order_by_date"),
            models.Index(
                fields=["order_date", "order_id", "status"],
                condition=~Q(status="completed"),
                name="order_not_completed",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(order_date__range=DATES),
                name="order_order_date_in_range",
                violation_error_message="The date must be in the years 1 to 9999.",
            ),
            models.CheckConstraint(
                condition=Q(status__in=OrderStatus.values),
                name="order_status_known",
                violation_error_message="The status must be one of the five.",
            ),
            models.CheckConstraint(
                condition=Q(total_amount__range=AMOUNTS),
                name="order_total_amount_not_negative",
                violation_error_message="The total amount must be between 0.00 and 99999999.99.",
            ),
        )

    def __str__(self) -> str:
        return f"Order {self.order_id}"

    @property
    def recipient(self) -> "Delivery | Customer":
        """Whose address it goes to: the delivery's, or without one the customer's own."""
        return getattr(self, "delivery", None) or self.customer

    @property
    def address(self) -> str:
        """Where it goes, as on a parcel; a line that is empty is left out."""
        to = self.recipient
        lines = (f"{to.first_name} {to.last_name}", to.strasse, f"{to.plz} {to.ort}")
        return "\n".join(line.strip() for line in lines if line.strip())

    def update_total(self) -> None:
        """Store the sum of the lines as total_amount."""
        Order.objects.filter(pk=self.pk).update_totals()
        self.refresh_from_db(fields=["total_amount"])


class OrderItemQuerySet(models.QuerySet["OrderItem"]):
    def with_subtotal(self) -> Self:
        """Add subtotal: quantity times price_per_unit."""
        return self.annotate(subtotal=F("quantity") * F("price_per_unit"))

    def of_order(self, order_id: int | Parameter) -> Self:
        """Keep one order's lines, as they were entered, with subtotal and customer_name."""
        return (
            self.filter(order_id=order_id)
            .with_subtotal()
            .annotate(customer_name=full_name("order__customer__"))
            .order_by("order_item_id")
        )

    def by_order(self, orders: Collection[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the lines of each of these orders, as they were entered, with subtotal and product_name."""
        columns = ("product_id", "product_name", "quantity", "price_per_unit", "subtotal")
        found = self.filter(order__in=orders).with_subtotal().order_by("order", "pk")
        lines: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for line in found.annotate(product_name=F("product__name")).values("order_id", *columns):
            lines[line.pop("order_id")].append(line)
        return lines


class OrderItem(models.Model):
    """A line of an order: so many of a product, at the price of that day."""

    order_item_id = models.AutoField(primary_key=True)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.RESTRICT, related_name="order_items")
    quantity = models.IntegerField()
    price_per_unit = models.DecimalField(max_digits=10, decimal_places=2)

    objects = OrderItemQuerySet.as_manager()

    class Meta:
        db_table = "order_item"
        constraints = (
            models.CheckConstraint(
                condition=Q(quantity__gte=1),
                name="order_item_quantity_positive",
                violation_error_message="The quantity must be at least 1.",
            ),
            models.CheckConstraint(
                condition=Q(price_per_unit__range=AMOUNTS),
                name="order_item_price_per_unit_not_negative",
                violation_error_message="The price must be between 0.00 and 99999999.99.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"


class PaymentProvider(models.TextChoices):
    """Who lets customers pay, or `invoice`: nobody online."""

    INVOICE = "invoice"
    TEST = "test"
    STRIPE = "stripe"


class Delivery(models.Model):
    """Where an order placed in the shop goes, and how it went: the address of that day."""

    order = models.OneToOneField(Order, models.CASCADE, primary_key=True, related_name="delivery")
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    strasse = models.CharField(max_length=200)
    plz = models.CharField(max_length=20)
    ort = models.CharField(max_length=100)
    carrier = models.CharField(max_length=50, blank=True, default="", db_default="")
    tracking_number = models.CharField(max_length=100, blank=True, default="", db_default="")
    payment_provider = models.CharField(
        max_length=10,
        choices=PaymentProvider,
        default=PaymentProvider.INVOICE,
        db_default=PaymentProvider.INVOICE.value,
        help_text="Where the order is paid: SHOP_PAYMENT, as it was when it was placed.",
    )

    class Meta:
        db_table = "delivery"
        verbose_name_plural = "deliveries"
        constraints = (
            models.CheckConstraint(
                condition=Q(payment_provider__in=PaymentProvider.values),
                name="delivery_payment_provider_known",
            ),
        )

    def __str__(self) -> str:
        return f"Delivery of {self.order}"


class PaymentStatus(models.TextChoices):
    """What became of a payment."""

    OPEN = "open"
    PAID = "paid"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    FAILED = "failed"
    EXPIRED = "expired"
    DISPUTED = "disputed"

    @classmethod
    def live(cls) -> tuple["PaymentStatus", ...]:
        """Those of which an order has one at the most."""
        return cls.OPEN, cls.PAID, cls.DISPUTED

    @classmethod
    def holding(cls) -> tuple["PaymentStatus", ...]:
        """Those that keep the lines of an order as they are."""
        return *cls.live(), cls.REFUNDING

    @classmethod
    def keeping(cls) -> tuple["PaymentStatus", ...]:
        """Those that keep an order from being deleted: there is money in them, or may be."""
        return *cls.holding(), cls.REFUND_FAILED

    @classmethod
    def lost(cls) -> tuple["PaymentStatus", ...]:
        """Those whose money went back to the customer, or may go there."""
        return cls.DISPUTED, cls.REFUNDING, cls.REFUND_FAILED, cls.REFUNDED

    @classmethod
    def unsettled(cls) -> tuple["PaymentStatus", ...]:
        """Those in which something has still to happen."""
        return cls.OPEN, cls.DISPUTED, cls.REFUNDING, cls.REFUND_FAILED


class PaymentQuerySet(models.QuerySet["Payment"]):
    def live(self) -> Self:
        return self.filter(status__in=PaymentStatus.live())

    def holding(self) -> Self:
        """Keep those that forbid changing the lines of their orders."""
        return self.filter(status__in=PaymentStatus.holding())

    def in_trouble(self) -> Self:
        """Keep those that wait for somebody of the staff."""
        by_hand = Q(status=PaymentStatus.REFUNDING, provider=PaymentProvider.INVOICE)
        return self.filter(Q(status__in=(PaymentStatus.DISPUTED, PaymentStatus.REFUND_FAILED)) | by_hand)

    def unsettled_by_status(self) -> dict[str, int]:
        """Return how many there are in each status in which something has still to happen."""
        unsettled = self.filter(status__in=PaymentStatus.unsettled()).order_by()
        return dict(
            unsettled.values("status").annotate(payments=Count("pk")).values_list("status", "payments")
        )

    def shown_first(self) -> Self:
        """Order by what an order shows: the one that is paid, else the last."""
        return self.order_by(Case(When(status=PaymentStatus.PAID, then=0), default=1), "-payment_id")


class Payment(models.Model):
    """A customer's way to pay an order, at a provider.

    `key` is what the provider is called with, so that to ask again does nothing twice; `reference` is what it
    calls the payment, empty until it answered. `received` is what was paid of which currency, where that is
    known. `token` is in the address of the test page.
    """

    payment_id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="payments")
    provider = models.CharField(max_length=10, choices=PaymentProvider)
    status = models.CharField(
        max_length=20,
        choices=PaymentStatus,
        default=PaymentStatus.OPEN,
        db_default=PaymentStatus.OPEN.value,
    )
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3)
    key = models.UUIDField(default=uuid4, unique=True)
    token = models.CharField(max_length=64, blank=True, default="", db_default="")
    reference = models.CharField(max_length=255, blank=True, default="", db_default="")
    url = models.TextField(null=True, blank=True)  # noqa: DJ001 - null is no page, in the API as well
    return_url = models.CharField(max_length=2000, blank=True, default="", db_default="")
    received = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    received_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(default=timezone.now, db_default=Now())
    note = models.CharField(max_length=200, blank=True, default="", db_default="")

    objects = PaymentQuerySet.as_manager()

    class Meta:
        db_table = "payment"
        default_permissions = ("view", "change")
        indexes = (
            # Few of all payments, which jobs and /metrics look for.
            models.Index(
                fields=["status"],
                condition=Q(status__in=["open", "disputed", "refunding", "refund_failed"]),
                name="payment_unsettled",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(status__in=["open", "paid", "disputed"]),
                name="payment_live_unique",
            ),
            models.UniqueConstraint(fields=["token"], condition=~Q(token=""), name="payment_token_unique"),
            models.UniqueConstraint(
                fields=["provider", "reference"],
                condition=~Q(reference=""),
                name="payment_reference_unique",
            ),
            models.CheckConstraint(
                condition=Q(provider__in=PaymentProvider.values), name="payment_provider_known"
            ),
            models.CheckConstraint(condition=Q(status__in=PaymentStatus.values), name="payment_status_known"),
            models.CheckConstraint(condition=Q(amount__range=AMOUNTS), name="payment_amount_not_negative"),
        )

    def __str__(self) -> str:
        return f"Payment {self.payment_id}"


class Actor(models.TextChoices):
    """Who changes an order."""

    CUSTOMER = "customer"
    STAFF = "staff"
    PAYMENT = "payment"
    SYSTEM = "system"


class OrderHistory(models.Model):
    """A status that an order came to, when, and by whom."""

    order_history_id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="history")
    status = models.CharField(max_length=20, choices=OrderStatus)
    at = models.DateTimeField(default=timezone.now, db_default=Now())
    by = models.CharField(max_length=20, choices=Actor)

    class Meta:
        db_table = "order_history"
        verbose_name_plural = "order history"
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=OrderStatus.values), name="order_history_status_known"
            ),
            models.CheckConstraint(condition=Q(by__in=Actor.values), name="order_history_by_known"),
        )

    def __str__(self) -> str:
        return f"{self.order}: {self.status}"


class OrderNote(models.Model):
    """What one of the staff noted about an order, for the others. Customers never see it."""

    order_note_id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="notes")
    text = models.CharField(max_length=2000)
    at = models.DateTimeField(default=timezone.now, db_default=Now())
    username = models.CharField(max_length=150)

    class Meta:
        db_table = "order_note"
        default_permissions = ()

    def __str__(self) -> str:
        return f"Note of {self.order}"


class Invoice(models.Model):
    """A bill, or the cancellation of one, with all that it prints, which stays whatever becomes of the order.

    Numbers have no gaps. A cancellation refers to its invoice by `cancels`, and has its quantities and
    amounts below 0. `lines` are objects of product_id, product_name, quantity, price_per_unit and subtotal.
    `address` is emptied when the law wants it no longer kept.
    """

    number = models.IntegerField(primary_key=True)
    order = models.ForeignKey(Order, models.RESTRICT, related_name="invoices", db_index=False)
    cancels = models.OneToOneField(
        "self", models.RESTRICT, null=True, blank=True, related_name="cancellation"
    )
    made_on = models.DateField()
    supplied_on = models.DateField()
    order_date = models.DateField()
    seller = models.TextField()
    address = models.TextField()
    lines = models.JSONField()
    currency = models.CharField(max_length=3)
    vat_rate = models.IntegerField()
    net = models.DecimalField(max_digits=10, decimal_places=2)
    vat = models.DecimalField(max_digits=10, decimal_places=2)
    gross = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        db_table = "invoice"
        default_permissions = ("view",)
        indexes = (
            # For `prune`, which looks for few of all.
            models.Index(fields=["made_on"], condition=~Q(address=""), name="invoice_with_address"),
        )
        constraints = (
            # One invoice of an order, and one cancellation of it.
            models.UniqueConstraint(
                fields=["order", "cancels"], nulls_distinct=False, name="invoice_order_unique"
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="invoice_number_positive"),
            models.CheckConstraint(condition=Q(gross=F("net") + F("vat")), name="invoice_adds_up"),
            models.CheckConstraint(
                condition=Q(cancels=None, gross__gte=0) | Q(cancels__isnull=False, gross__lte=0),
                name="invoice_cancellation_takes_back",
            ),
        )

    def __str__(self) -> str:
        return f"R-{self.number:06}"


class IdempotencyKey(models.Model):
    """A key under which a customer placed an order, and the answer, to be given again."""

    idempotency_key_id = models.BigAutoField(primary_key=True)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="idempotency_keys", db_index=False)
    key = models.CharField(max_length=255)
    request_digest = models.BinaryField()
    answer = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())

    class Meta:
        db_table = "idempotency_key"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["customer", "key"], name="idempotency_key_customer_key_unique"),
        )

    def __str__(self) -> str:
        return f"Key of {self.customer}"
