"""What customers spent and categories hold, added up before it is joined, which a QuerySet cannot say by itself."""

import django.db.models.deletion
from django.db import migrations, models

SPENDING = """
CREATE VIEW customer_spending AS
SELECT customer_id, count(*) AS total_orders, sum(total_amount) AS total_spent
FROM "order"
GROUP BY customer_id
"""

STOCK = """
CREATE VIEW category_stock AS
SELECT category_id, count(*) AS product_count, sum(stock) AS total_stock, avg(price) AS avg_price
FROM product
GROUP BY category_id
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0004_product_sales")]

    operations = [
        migrations.RunSQL(SPENDING, "DROP VIEW customer_spending"),
        migrations.RunSQL(STOCK, "DROP VIEW category_stock"),
        migrations.CreateModel(
            name="CustomerSpending",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="spending",
                        serialize=False,
                        to="shop.customer",
                    ),
                ),
                ("total_orders", models.BigIntegerField()),
                ("total_spent", models.DecimalField(decimal_places=2, max_digits=30)),
            ],
            options={"db_table": "customer_spending", "default_permissions": (), "managed": False},
        ),
        migrations.CreateModel(
            name="CategoryStock",
            fields=[
                (
                    "category",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="stock",
                        serialize=False,
                        to="shop.category",
                    ),
                ),
                ("product_count", models.BigIntegerField()),
                ("total_stock", models.BigIntegerField()),
                ("avg_price", models.DecimalField(decimal_places=2, max_digits=30)),
            ],
            options={"db_table": "category_stock", "default_permissions": (), "managed": False},
        ),
    ]
