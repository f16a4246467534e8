"""`manage.py sample_data_sql`: the sample shop as SQL, which is how 02_insert_sample_data.sql is made."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import models

HEADER = """\
-- The sample data, for a database made by 01_create_tables.sql: the rows of `manage.py load_sample_data`.
-- Made by `manage.py sample_data_sql`; the tests compare both.
"""


class Command(BaseCommand):
    """Print the statements that insert the sample shop."""

    help = "Prints the sample data as SQL; 02_insert_sample_data.sql is its output."
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        """Print one transaction with an INSERT per table, parents first."""
        from shop.sample.data import sample_shop  # where Faker may be missing, in production, it says so

        self.stdout.write(HEADER)
        self.stdout.write("BEGIN;\n")
        for rows in vars(sample_shop()).values():
            for key, row in enumerate(rows, start=1):
                row.pk = key
            self.stdout.write(insert(rows))
        self.stdout.write("COMMIT;")


def insert(rows: Sequence[models.Model]) -> str:
    """Return the INSERT of these rows and the statement that lets the table's ids go on after them."""
    meta = rows[0]._meta
    columns = ", ".join(field.column for field in meta.fields)
    values = ",\n".join(
        "    (" + ", ".join(literal(getattr(row, field.name)) for field in meta.fields) + ")" for row in rows
    )
    sequence = f"pg_get_serial_sequence('\"{meta.db_table}\"', '{meta.pk.column}')"
    return (
        f'INSERT INTO "{meta.db_table}" ({columns}) VALUES\n{values};\n'
        f"SELECT setval({sequence}, {len(rows)});\n"
    )


def literal(value: Any) -> str:
    """Return a value, or the key of a row referred to, as an SQL literal."""
    if isinstance(value, models.Model):
        value = value.pk
    if isinstance(value, int | Decimal):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
