"""The tables after a test that commits: empty, in a hundredth of the time that Django's `flush` takes."""

from django.db import connection
from django.test import TransactionTestCase

FILLED = """
SELECT quote_ident(relname), pg_relation_size(oid) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')  -- which migrate fills
"""

LARGE = 1_000_000
"""Bytes from which on deleted rows would cost the next tests more than a new file."""


def empty_tables(_: TransactionTestCase) -> None:
    """Take the place of TransactionTestCase._fixture_teardown."""
    with connection.cursor() as cursor:
        cursor.execute(FILLED)
        sizes = dict(cursor.fetchall())
        if not sizes:
            return
        # No trigger adds up what is sold meanwhile or keeps an invoice, and no foreign key wants an order.
        cursor.execute("SET session_replication_role = replica")
        if large := [table for table, size in sizes.items() if size > LARGE]:
            cursor.execute(f"TRUNCATE {', '.join(large)} CASCADE")
        cursor.execute(
            "".join(f"DELETE FROM {table}; " for table in sizes) + "RESET session_replication_role"
        )
