"""Indexes of orders for lists by status and days, the newest first, in the place of the one of days alone.

They are made while others write, which is not all or nothing, but can be done again after a try that broke off.
"""

from django.db import migrations, models

from shop.database.indexes import AddIndex, RemoveIndex


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
