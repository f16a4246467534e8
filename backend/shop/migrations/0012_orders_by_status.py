"""Indexes of orders for lists by status and days, the newest first, in the place of the one of days alone.

They are made while others write, which is not all or nothing, but can be done again after a try that broke off.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

from shop.database.indexes import wait_without_end


class AddIndex(AddIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with wait_without_end(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.index.name}")
            super().database_forwards(app_label, schema_editor, *states)


class RemoveIndex(RemoveIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with wait_without_end(schema_editor):
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with wait_without_end(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.name}")
            super().database_backwards(app_label, schema_editor, *states)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0011_search_indexes")]

    operations = [
        AddIndex("order", models.Index(fields=["order_date", "order_id", "status"], name="order_by_date")),
        AddIndex(
            "order",
            models.Index(
                fields=["order_date", "order_id", "status"],
                condition=models.Q(("status", "completed"), _negated=True),
                name="order_not_completed",
            ),
        ),
        RemoveIndex("order", "order_order_date"),
    ]
