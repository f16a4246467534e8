"""An index that gives products in the order of their names without reading them, in the place of one that does not.

It is made while others write, which is not all or nothing, but can be done again after a try that broke off.
"""

from typing import Any

from django.db import migrations

from shop.database.indexes import make_index, wait_without_end

BY_NAME = 'product (name_order(name) COLLATE "C", product_id)'


def replace_index(_: Any, schema_editor: Any) -> None:
    make_index(schema_editor, "product_by_name", f"{BY_NAME} INCLUDE (name)")
    with wait_without_end(schema_editor):
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS product_name_order")


def put_back(_: Any, schema_editor: Any) -> None:
    make_index(schema_editor, "product_name_order", BY_NAME)
    schema_editor.execute("DROP INDEX IF EXISTS product_by_name")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0019_invoices")]

    operations = [
        # Measured in what PostgreSQL calls an operator: it must not make lexemes where it can look them up.
        migrations.RunSQL(
            "ALTER FUNCTION search_lexemes COST 10000", "ALTER FUNCTION search_lexemes COST 1000"
        ),
        migrations.RunPython(replace_index, put_back),
    ]
