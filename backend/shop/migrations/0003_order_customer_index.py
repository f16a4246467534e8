"""An index of the orders by customer that holds the amounts too, in the place of Django's plain one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_on_delete")]

    operations = [
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["customer"], include=("total_amount",), name="order_customer_id"),
        ),
        # By itself, AlterField would put Django's foreign key in the place of that of 0002.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    sql="DROP INDEX order_customer_id_9da9253f",
                    reverse_sql='CREATE INDEX order_customer_id_9da9253f ON "order" (customer_id)',
                ),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="order",
                    name="customer",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="orders",
                        to="shop.customer",
                    ),
                ),
            ],
        ),
    ]
