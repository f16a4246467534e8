"""Customers, and what the database adds up of their orders."""

from typing import Self

from django.contrib.auth.hashers import check_password, make_password
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce, Concat, Lower

from shop.database.fields import ZERO, LowerCaseEmailField


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
