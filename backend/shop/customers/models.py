"""Customers, and what the database adds up of their orders."""

from datetime import timedelta
from typing import Self

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce, Concat, Lower
from django.utils import timezone

from shop.database.fields import ZERO, LowerCaseEmailField
from shop.database.statements import Row

REFRESH_LIFETIME = timedelta(days=30)
"""A refresh token that is not used for so long is dead."""

FAMILY_LIFETIME = timedelta(days=90)
"""So long after the sign-in all of its tokens are dead."""

ACCOUNT_ROW = Row(
    "Customer",
    {name: name for name in ("customer_id", "first_name", "last_name", "email", "strasse", "plz", "ort")},
)
"""A customer's account as its owner sees it, by JSON keys."""


def full_name(path: str = "") -> Concat:
    """Return a customer's name in SQL, as `str(customer)` has it; `path` leads to the customer."""
    return Concat(f"{path}first_name", Value(" "), f"{path}last_name")


class CustomerQuerySet(models.QuerySet["Customer"]):
    def without_erased(self) -> Self:
        """Leave out those whose orders alone are still in the books."""
        return self.exclude(
            email=Concat(Value("deleted-"), "customer_id", Value("@invalid"), output_field=models.CharField())
        )

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

    @property
    def is_erased(self) -> bool:
        return bool(self.email == f"deleted-{self.pk}@invalid")

    def set_password(self, raw_password: str) -> None:
        """Put the hash of this password on the instance; save() stores it."""
        self.password = make_password(raw_password)

    def check_password(self, raw_password: str) -> bool:
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


class RefreshTokenQuerySet(models.QuerySet["RefreshToken"]):
    def live(self) -> Self:
        """Keep the tokens that still work: neither themselves nor their family is too old."""
        now = timezone.now()
        return self.filter(issued_at__gt=now - REFRESH_LIFETIME, signed_in_at__gt=now - FAMILY_LIFETIME)

    def dead(self) -> Self:
        """Keep the others."""
        now = timezone.now()
        return self.filter(
            Q(issued_at__lte=now - REFRESH_LIFETIME) | Q(signed_in_at__lte=now - FAMILY_LIFETIME)
        )


class RefreshToken(models.Model):
    """A refresh token of a customer or of a staff user; those that came of one sign-in are a family.

    The token itself is not stored, only its SHA-256. A family whose tokens are deleted is dead.
    """

    token_hash = models.BinaryField(primary_key=True)
    family = models.UUIDField(db_index=True)
    customer = models.ForeignKey(
        Customer, models.CASCADE, related_name="refresh_tokens", null=True, blank=True
    )
    # Not a foreign key in the database: 01_create_tables.sql makes the shop's tables without Django's.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="refresh_tokens",
        null=True,
        blank=True,
        db_constraint=False,
    )
    password_digest = models.CharField(max_length=64)
    signed_in_at = models.DateTimeField()
    issued_at = models.DateTimeField()
    spent_at = models.DateTimeField(null=True, blank=True)
    parent_hash = models.BinaryField(null=True, blank=True, db_index=True)

    objects = RefreshTokenQuerySet.as_manager()

    class Meta:
        db_table = "refresh_token"
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(customer__isnull=False, user__isnull=True)
                | Q(customer__isnull=True, user__isnull=False),
                name="refresh_token_of_customer_or_user",
            ),
        )

    def __str__(self) -> str:
        return f"Refresh token of {self.customer or self.user}"
