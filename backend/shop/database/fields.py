"""Kinds of columns and values that Django does not have."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.db import models

ZERO = models.Value(Decimal("0.00"), output_field=models.DecimalField())
"""No money, in SQL: what a sum of no rows is."""

AMOUNTS = (Decimal(0), Decimal("99999999.99"))
"""What a price or a total may be. The upper end refuses NaN, which PostgreSQL sorts above all numbers."""

DATES = (date.min, date.max)
TIMES = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""What Python can hold, from the year 1 to 9999; PostgreSQL goes beyond both ends, to infinity."""


class LowerCaseEmailField(models.EmailField):
    """An e-mail address stored, and looked up, in lower case."""

    def to_python(self, value: Any) -> Any:
        """Return the value as a form hands it on, in lower case."""
        value = super().to_python(value)
        return value.lower() if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        """Return the value as the database gets it, in lower case."""
        return self.to_python(super().get_prep_value(value))
