"""The seven tables of the shop, and what the database adds up of them; queries stand right above their model.

Every rule is a named constraint in the database. What SQL has to add to Django's own tables (ON DELETE, the
name of the cart's unique key) is in migration 0002; `tests/test_schema.py` compares both with these models.
"""

from decimal import Decimal
from typing import Self

from django.contrib.auth.hashers import check_password, make_password
from django.db import models, transaction
from django.db.models import Count, F, Q, Sum, Value
from django.db.models.functions import Cast, Coalesce, Concat, Lower, Now, Round
from django.utils import timezone

from shop.database.fields import ZERO, LowerCaseEmailField

LOW_STOCK = 10
"""A product with fewer units than this is low on stock."""


def full_name(path: str = "") -> Concat:
    """Return a customer's name in SQL, as `str(customer)` has it; `path` leads to the customer."""
    return Concat(f"{path}first_name", Value(" "), f"{path}last_name")


class CustomerQuerySet(models.QuerySet["Customer"]):
    """Queries on customers."""

    def with_spending(self) -> Self:
        """Add total_orders and total_spent over all orders, the biggest spender first."""
        return self.annotate(
            full_name=full_name(),
            total_orders=Coalesce("spending__total_orders", 0),
            total_spent=Coalesce("spending__total_spent", ZERO),
        ).order_by("-total_spent", "customer_id")


class Customer(models.Model):
    """A customer's account."""

    customer_id = models.AutoField(primary_key=True)
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    email = LowerCaseEmailField(max_length=254)
    password = models.CharField(max_length=128, help_text="A hash, as Django's password hashers make it.")
    strasse = models.CharField(max_length=200, blank=True, default="", db_default="")
    ort = models.CharField(max_length=100, blank=True, default="", db_default="")
    plz = models.CharField(max_length=20, blank=True, default="", db_default="")

    objects = CustomerQuerySet.as_manager()

    class Meta:
        db_table = "customer"
        constraints = (
            models.UniqueConstraint(
                fields=["email"],
                name="customer_email_unique",
                violation_error_message="A customer with this e-mail address exists already.",
            ),
            models.CheckConstraint(
                condition=Q(email=Lower("email")),
                name="customer_email_lower_case",
                violation_error_message="The e-mail address must be in lower case.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"

    def set_password(self, raw_password: str) -> None:
        """Put the hash of this password on the instance; save() stores it."""
        self.password = make_password(raw_password)

    def check_password(self, raw_password: str) -> bool:
        """Tell whether this is the customer's password."""
        return check_password(raw_password, self.password)


class CustomerSpending(models.Model):
    """The orders of a customer who has any, counted and added up: a view, made by migration 0005."""

    customer = models.OneToOneField(
        Customer, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="spending"
    )
    total_orders = models.BigIntegerField()
    total_spent = models.DecimalField(max_digits=30, decimal_places=2)

    class Meta:
        db_table = "customer_spending"
        managed = False
        default_permissions = ()

    def __str__(self) -> str:
        return f"Spending of {self.customer}"


class CategoryQuerySet(models.QuerySet["Category"]):
    """Queries on categories."""

    def with_stock_summary(self) -> Self:
        """Add product_count, total_stock and avg_price (two decimals), the largest category first."""
        return self.annotate(
            product_count=Coalesce("stock__product_count", 0),
            total_stock=Coalesce("stock__total_stock", 0),
            avg_price=Coalesce(Round("stock__avg_price", 2), ZERO),
        ).order_by("-product_count", "category_name")


class Category(models.Model):
    """A category of products."""

    category_id = models.AutoField(primary_key=True)
    category_name = models.CharField(max_length=100)

    objects = CategoryQuerySet.as_manager()

    class Meta:
        db_table = "category"
        verbose_name_plural = "categories"
        constraints = (
            models.UniqueConstraint(
                fields=["category_name"],
                name="category_category_name_unique",
                violation_error_message="A category with this name exists already.",
            ),
        )

    def __str__(self) -> str:
        return self.category_name


class CategoryStock(models.Model):
    """The products of a category that has any, added up: a view, made by migration 0005."""

    category = models.OneToOneField(
        Category, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="stock"
    )
    product_count = models.BigIntegerField()
    total_stock = models.BigIntegerField()
    avg_price = models.DecimalField(max_digits=30, decimal_places=2)

    class Meta:
        db_table = "category_stock"
        managed = False
        default_permissions = ()

    def __str__(self) -> str:
        return f"Stock of {self.category}"


class ProductQuerySet(models.QuerySet["Product"]):
    """Queries on products."""

    def catalog(self) -> Self:
        """Put all products in the order of the catalog."""
        return self.order_by("product_id")

    def low_stock(self) -> Self:
        """Keep the products with fewer than LOW_STOCK units, the scarcest first."""
        return self.filter(stock__lt=LOW_STOCK).order_by("stock", "product_id")

    def bestsellers(self) -> Self:
        """Add total_sold and total_revenue, and keep the ten products sold most, over all orders."""
        # The ten best of the products whose main row says all; the others, which are few, are all looked at.
        spare = ProductSales.objects.filter(main=False).values("product")
        alone = ProductSales.objects.filter(main=True, quantity__gt=0).exclude(product__in=spare)
        best = alone.filter(product__in=self.values("pk")).order_by("-quantity", "product").values("product")
        return (
            self.filter(pk__in=best[:10].union(spare))
            .annotate(
                total_sold=Cast(Sum("sales__quantity"), models.BigIntegerField()),
                total_revenue=Sum("sales__revenue"),
            )
            .filter(total_sold__gt=0)
            .order_by("-total_sold", "product_id")[:10]
        )


class Product(models.Model):
    """A product of the catalog."""

    product_id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="", db_default="")
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.IntegerField(default=0, db_default=0)
    category = models.ForeignKey(Category, on_delete=models.RESTRICT, related_name="products")

    objects = ProductQuerySet.as_manager()

    class Meta:
        db_table = "product"
        constraints = (
            models.CheckConstraint(
                condition=Q(price__gte=0),
                name="product_price_not_negative",
                violation_error_message="The price must not be negative.",
            ),
            models.CheckConstraint(
                condition=Q(stock__gte=0),
                name="product_stock_not_negative",
                violation_error_message="The stock must not be negative.",
            ),
        )

    def __str__(self) -> str:
        return self.name


class ProductSales(models.Model):
    """Units sold of a product, and their revenue: the sum of its rows.

    The triggers of migration 0004 keep them as order lines change; nobody else may write them. One row of a
    product is its main row. Others are there only while several transactions sell it, until the next sale.
    """

    product_sales_id = models.BigAutoField(primary_key=True)
    product = models.ForeignKey(
        Product, on_delete=models.DO_NOTHING, db_constraint=False, related_name="sales"
    )
    main = models.BooleanField()
    quantity = models.BigIntegerField()
    revenue = models.DecimalField(max_digits=30, decimal_places=2)

    class Meta:
        db_table = "product_sales"
        default_permissions = ()
        indexes = (models.Index(fields=["main", "-quantity", "product"], name="product_sales_best"),)
        constraints = (
            models.UniqueConstraint(
                fields=["product"], condition=Q(main=True), name="product_sales_main_unique"
            ),
        )

    def __str__(self) -> str:
        return f"Sales of {self.product}"


class OrderStatus(models.TextChoices):
    """The status values of the specification."""

    PENDING = "pending"
    PROCESSING = "processing"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


OPEN_STATUSES = (OrderStatus.PENDING, OrderStatus.PROCESSING, OrderStatus.SHIPPED)
"""The statuses an order can leave, in the order it goes through them."""


class OrderQuerySet(models.QuerySet["Order"]):
    """Queries on orders."""

    def of_customer(self, customer_id: int) -> Self:
        """Keep one customer's orders, the newest first."""
        return self.filter(customer_id=customer_id).order_by("-order_date", "-order_id")

    def by_status(self) -> models.QuerySet["Order", tuple[str, int, Decimal]]:
        """Return the number and the total amount of the orders in each status that any has."""
        sums = {"orders": Count("pk"), "revenue": Sum("total_amount")}
        return self.order_by().values("status").annotate(**sums).values_list("status", *sums)

    def move_to(self, status: OrderStatus) -> int:
        """Move the open orders that are not as far yet to this status, and return their number.

        Completed and cancelled orders stay as they are.
        """
        before = OPEN_STATUSES[: OPEN_STATUSES.index(status)] if status in OPEN_STATUSES else OPEN_STATUSES
        return self.filter(status__in=before).update(status=status)

    @transaction.atomic
    def update_totals(self) -> None:
        """Store the sum of its lines as each order's total_amount."""
        # Whoever waits for an order sees the lines of whom it waited for only in its next statement.
        orders = list(self.order_by("pk").select_for_update().values_list("pk", flat=True))
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
            models.Index(fields=["order_date"], name="order_order_date"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=OrderStatus.values),
                name="order_status_known",
                violation_error_message="The status must be one of the five.",
            ),
            models.CheckConstraint(
                condition=Q(total_amount__gte=0),
                name="order_total_amount_not_negative",
                violation_error_message="The total amount must not be negative.",
            ),
        )

    def __str__(self) -> str:
        return f"Order {self.order_id}"

    def update_total(self) -> None:
        """Store the sum of the lines as total_amount."""
        Order.objects.filter(pk=self.pk).update_totals()
        self.refresh_from_db(fields=["total_amount"])


class OrderItemQuerySet(models.QuerySet["OrderItem"]):
    """Queries on order lines."""

    def with_subtotal(self) -> Self:
        """Add subtotal: quantity times price_per_unit."""
        return self.annotate(subtotal=F("quantity") * F("price_per_unit"))

    def of_order(self, order_id: int) -> Self:
        """Keep one order's lines, as they were entered, with subtotal and customer_name."""
        return (
            self.filter(order_id=order_id)
            .with_subtotal()
            .annotate(customer_name=full_name("order__customer__"))
            .order_by("order_item_id")
        )


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
                condition=Q(price_per_unit__gte=0),
                name="order_item_price_per_unit_not_negative",
                violation_error_message="The price must not be negative.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"


class CartQuerySet(models.QuerySet["Cart"]):
    """Queries on carts."""

    def with_items(self) -> Self:
        """Keep the carts with an item in them."""
        return self.filter(models.Exists(CartItem.objects.filter(cart=models.OuterRef("pk"))))

    def with_total(self) -> Self:
        """Add total: the sum of the items at today's prices."""
        items = CartItem.objects.filter(cart=models.OuterRef("pk")).with_subtotal().values("cart")
        total = items.annotate(total=Sum("subtotal")).values("total")
        return self.annotate(total=Coalesce(models.Subquery(total), ZERO))


class Cart(models.Model):
    """A customer's one cart."""

    cart_id = models.AutoField(primary_key=True)
    customer = models.OneToOneField(
        Customer,
        on_delete=models.CASCADE,
        related_name="cart",
        error_messages={"unique": "This customer has a cart already."},
    )
    last_updated = models.DateTimeField(default=timezone.now, db_default=Now())

    objects = CartQuerySet.as_manager()

    class Meta:
        db_table = "cart"

    def __str__(self) -> str:
        return f"Cart of {self.customer}"


class CartItemQuerySet(models.QuerySet["CartItem"]):
    """Queries on cart lines."""

    def with_subtotal(self) -> Self:
        """Add subtotal: quantity times today's price."""
        return self.annotate(subtotal=F("quantity") * F("product__price"))

    def of_customer(self, customer_id: int) -> Self:
        """Keep the lines of one customer's cart, as they were put in, with subtotal."""
        return self.filter(cart__customer_id=customer_id).with_subtotal().order_by("cart_item_id")


class CartItem(models.Model):
    """A line of a cart: so many of a product, at whatever it costs today."""

    cart_item_id = models.AutoField(primary_key=True)
    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="cart_items")
    quantity = models.IntegerField()

    objects = CartItemQuerySet.as_manager()

    class Meta:
        db_table = "cart_item"
        constraints = (
            models.UniqueConstraint(
                fields=["cart", "product"],
                name="cart_item_cart_product_unique",
                violation_error_message="This product is in the cart already.",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1),
                name="cart_item_quantity_positive",
                violation_error_message="The quantity must be at least 1.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"
