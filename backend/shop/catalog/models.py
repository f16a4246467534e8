"""Categories and products, and what the database adds up of them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Count, Func, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Cast, Coalesce, Collate, Now, Round
from django.utils import timezone

from shop.database.fields import AMOUNTS, ZERO
from shop.database.keys import any_of

LOW_STOCK = 10
"""A product with fewer units than this is low on stock."""


def in_dictionary_order(column: str) -> Collate:
    """Return what sorts names as a dictionary does, German or English: Äpfel between Apfel and Birne."""
    return Collate(Func(column, function="name_order"), "C")


class CategoryQuerySet(models.QuerySet["Category"]):
    def by_name(self) -> Self:
        """Add product_count, in the order of a dictionary."""
        products = Product.objects.filter(category=OuterRef("pk")).order_by().values("category")
        return self.annotate(
            product_count=Coalesce(Subquery(products.annotate(number=Count("pk")).values("number")), 0)
        ).order_by(in_dictionary_order("category_name"), "category_id")

    def with_stock_summary(self) -> Self:
        """Add product_count, total_stock and avg_price (two decimals), the largest category first."""
        return self.annotate(
            product_count=Coalesce("stock__product_count", 0),
            total_stock=Coalesce("stock__total_stock", 0),
            avg_price=Coalesce(Round("stock__avg_price", 2), ZERO),
        ).order_by("-product_count", "category_name")


class Category(models.Model):
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
    def catalog(self) -> Self:
        """Put all products in the order of the catalog."""
        return self.order_by("product_id")

    def among(
        self,
        *,
        categories: Sequence[str] = (),
        min_price: Decimal | None = None,
        max_price: Decimal | None = None,
        in_stock: bool = False,
    ) -> Self:
        """Keep the products of these categories, by name, at these prices, and those that are there."""
        found = self
        if categories:
            keys = Category.objects.filter(category_name__in=categories).values("pk")
            # Of one category an index has the products in the order of their prices. Whether there is any
            # is asked first, as nobody's products would be looked for in all of the shop.
            if len(set(categories)) == 1:
                found = found.filter(models.Exists(keys), category=keys[:1])
            else:
                found = found.filter(any_of("category", keys))
        if min_price is not None:
            found = found.filter(price__gte=min_price)
        if max_price is not None:
            found = found.filter(price__lte=max_price)
        return found.filter(stock__gt=0) if in_stock else found

    def low_stock(self) -> Self:
        """Keep the products with fewer than LOW_STOCK units, the scarcest first."""
        return self.filter(stock__lt=LOW_STOCK).order_by("stock", "product_id")

    def running_short(self) -> dict[str, int]:
        """Return how many products are sold_out, and how many low."""
        there = Q(stock__gt=0)
        return self.low_stock().aggregate(sold_out=Count("pk", filter=~there), low=Count("pk", filter=there))

    def bestsellers(self) -> Self:
        """Add total_sold and total_revenue, and keep the ten products sold most, over all orders."""
        # The ten best of the products whose main row says all; the others, which are few, are all looked at.
        spare = ProductSales.objects.spare()
        alone = ProductSales.objects.alone().filter(quantity__gt=0)
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
                condition=Q(price__range=AMOUNTS),
                name="product_price_not_negative",
                violation_error_message="The price must be between 0.00 and 99999999.99.",
            ),
            models.CheckConstraint(
                condition=Q(stock__gte=0),
                name="product_stock_not_negative",
                violation_error_message="The stock must not be negative.",
            ),
        )

    def __str__(self) -> str:
        return self.name


class StockCorrection(models.Model):
    """A stock that staff corrected, and why; the user may be gone, the name stays."""

    stock_correction_id = models.BigAutoField(primary_key=True)
    product = models.ForeignKey(Product, models.CASCADE, related_name="corrections")
    before = models.IntegerField()
    after = models.IntegerField()
    reason = models.CharField(max_length=200)
    at = models.DateTimeField(default=timezone.now, db_default=Now())
    username = models.CharField(max_length=150)

    class Meta:
        db_table = "stock_correction"
        default_permissions = ()

    def __str__(self) -> str:
        return f"Stock of {self.product}: {self.before} → {self.after}"


class ProductSalesQuerySet(models.QuerySet["ProductSales"]):
    def spare(self) -> models.QuerySet["ProductSales", Any]:
        """Return the products whose main row does not say all."""
        return self.filter(main=False).values("product")

    def alone(self) -> Self:
        """Keep the main rows of the others."""
        return self.filter(main=True).exclude(product__in=ProductSales.objects.spare())


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

    objects = ProductSalesQuerySet.as_manager()

    class Meta:
        db_table = "product_sales"
        default_permissions = ()
        indexes = (models.Index(fields=["main", "-quantity", "product"], name="product_sales_best"),)
        constraints = (
            models.UniqueConstraint(
                fields=["product"], condition=Q(main=True), name="product_sales_main_unique"
            ),
            models.CheckConstraint(
                condition=Q(revenue__lt=models.Value("NaN")), name="product_sales_revenue_number"
            ),
        )

    def __str__(self) -> str:
        return f"Sales of {self.product}"


class SearchWord(models.Model):
    """A word of a product's name, to which the search corrects what was typed.

    Triggers add the words of new names; shop.catalog.search.renew_words takes those that are gone. A word may
    be there twice.
    """

    search_word_id = models.BigAutoField(primary_key=True)
    word = models.TextField(db_index=True)

    class Meta:
        db_table = "search_word"
        default_permissions = ()

    def __str__(self) -> str:
        return self.word


class ImportStatus(models.TextChoices):
    """How far an import is; what is `refused` can be checked again."""

    CHECKING = "checking"
    READY = "ready"
    APPLYING = "applying"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class ProductImport(models.Model):
    """A spreadsheet of products: first compared with those that there are, then applied as a whole.

    `total` is about how many lines there are, `read` how many are compared. `problems` has the first wrong
    lines, each as its number and what is wrong; of all there are `wrong`. `reason` says why the whole is
    refused.
    """

    product_import_id = models.BigAutoField(primary_key=True)
    # Not a foreign key in the database, as the shop's tables are made without Django's.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
    )
    file_name = models.CharField(max_length=200)
    status = models.CharField(
        max_length=20,
        choices=ImportStatus,
        default=ImportStatus.CHECKING,
        db_default=ImportStatus.CHECKING.value,
    )
    total = models.IntegerField(default=0, db_default=0)
    read = models.IntegerField(default=0, db_default=0)
    new = models.IntegerField(default=0, db_default=0)
    changed = models.IntegerField(default=0, db_default=0)
    unchanged = models.IntegerField(default=0, db_default=0)
    wrong = models.IntegerField(default=0, db_default=0)
    problems = models.JSONField(default=list)
    reason = models.CharField(max_length=300, blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())
    changed_at = models.DateTimeField(default=timezone.now, db_default=Now())

    class Meta:
        db_table = "product_import"
        verbose_name = "import"
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=ImportStatus.values), name="product_import_status_known"
            ),
        )

    def __str__(self) -> str:
        return f"Import {self.product_import_id}"


class ImportPart(models.Model):
    """A piece of an import's file: as a whole it would be in memory several times."""

    import_part_id = models.BigAutoField(primary_key=True)
    product_import = models.ForeignKey(ProductImport, models.CASCADE, related_name="parts", db_index=False)
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "import_part"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["product_import", "number"], name="import_part_number_unique"),
        )

    def __str__(self) -> str:
        return f"Part {self.number} of {self.product_import}"


class ImportLine(models.Model):
    """What a line of an import makes new or changes: what is null stays.

    A new product has no `product_id` yet. `seen_…` is what the preview showed beside each change.
    """

    import_line_id = models.BigAutoField(primary_key=True)
    product_import = models.ForeignKey(ProductImport, models.CASCADE, related_name="lines", db_index=False)
    line = models.IntegerField()
    # None of these is a foreign key: they may be gone when the import is applied, which tells.
    product_id = models.IntegerField(null=True)
    name = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null stays as it is
    category_id = models.IntegerField(null=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    stock = models.IntegerField(null=True)
    description = models.TextField(null=True)  # noqa: DJ001
    seen_name = models.CharField(max_length=200, null=True)  # noqa: DJ001
    seen_category_id = models.IntegerField(null=True)
    seen_price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    seen_stock = models.IntegerField(null=True)
    seen_description = models.TextField(null=True)  # noqa: DJ001

    class Meta:
        db_table = "import_line"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["product_import", "line"], name="import_line_line_unique"),
        )

    def __str__(self) -> str:
        return f"Line {self.line} of {self.product_import}"
