"""What the models say and Django leaves to Python: ON DELETE in the database, and names for the last two rules."""

from django.db import migrations

FOREIGN_KEYS = (
    # table, column, referred table, ON DELETE, Django's name for the constraint
    (
        "product",
        "category_id",
        "category",
        "RESTRICT",
        "product_category_id_640030a0_fk_category_category_id",
    ),
    ("order", "customer_id", "customer", "CASCADE", "order_customer_id_9da9253f_fk_customer_customer_id"),
    ("order_item", "order_id", "order", "CASCADE", "order_item_order_id_0ca9e92e_fk_order_order_id"),
    (
        "order_item",
        "product_id",
        "product",
        "RESTRICT",
        "order_item_product_id_62a1cc4c_fk_product_product_id",
    ),
    ("cart", "customer_id", "customer", "CASCADE", "cart_customer_id_29e92815_fk_customer_customer_id"),
    ("cart_item", "cart_id", "cart", "CASCADE", "cart_item_cart_id_157ecf5f_fk_cart_cart_id"),
    ("cart_item", "product_id", "product", "CASCADE", "cart_item_product_id_17acb13c_fk_product_product_id"),
)


def replace_foreign_key(
    table: str, column: str, referred: str, on_delete: str, django_name: str
) -> migrations.RunSQL:
    """Return the operation that puts a named foreign key with ON DELETE in the place of Django's."""
    name = f"{table}_{column}_fk"
    key = f'FOREIGN KEY ({column}) REFERENCES "{referred}" ({referred}_id)'
    return migrations.RunSQL(
        sql=f'ALTER TABLE "{table}" DROP CONSTRAINT {django_name}, '
        f"ADD CONSTRAINT {name} {key} ON DELETE {on_delete} DEFERRABLE INITIALLY DEFERRED",
        reverse_sql=f'ALTER TABLE "{table}" DROP CONSTRAINT {name}, '
        f"ADD CONSTRAINT {django_name} {key} DEFERRABLE INITIALLY DEFERRED",
    )


class Migration(migrations.Migration):
    """Runs once, after the tables are made."""

    dependencies = [("shop", "0001_initial")]

    operations = [
        *(replace_foreign_key(*key) for key in FOREIGN_KEYS),
        migrations.RunSQL(
            sql="ALTER TABLE cart RENAME CONSTRAINT cart_customer_id_key TO cart_customer_unique",
            reverse_sql="ALTER TABLE cart RENAME CONSTRAINT cart_customer_unique TO cart_customer_id_key",
        ),
    ]
