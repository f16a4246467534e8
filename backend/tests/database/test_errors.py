"""Errors of the database: what stands in them, and so in the log."""

import logging
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Value

from shop.models import Customer


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        (
            "customer_email_unique",
            {"first_name": "Ann", "last_name": "Lee", "email": "deborah.bruen@example.com"},
        ),
        (
            "customer_email_lower_case",
            {"first_name": "Ann", "last_name": "Lee", "email": Value("Ann@Example.com")},
        ),
        ("first_name", {"first_name": None, "last_name": "Lee", "email": "ann@example.com"}),
    ],
)
def test_an_error_says_which_rule_was_broken_and_not_by_what(
    deborah: Customer, caplog: pytest.LogCaptureFixture, rule: str, row: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Customer.objects.create(**row)
    logging.getLogger("shop").error("failed", exc_info=caught.value)
    assert rule in caplog.text
    for text in ("DETAIL", "example.com", "Example.com", "Lee"):
        assert text not in caplog.text


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT nothing FROM customer WHERE email = 'ann@example.com'", 'column "nothing" does not exist'),
        ("SELECT 'ann@example.com'::integer", "invalid input syntax for type integer: …"),
        ("SELECT 'ann@example.com\nLee'::date", "invalid input syntax for type date: …"),
    ],
)
def test_an_error_quotes_nothing_of_the_statement(db: None, statement: str, said: str) -> None:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert (str(caught.value), str(caught.value.__cause__)) == (said, said)
