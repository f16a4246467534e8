"""The rules of 0006, checked against the rows that are there: all may read and write meanwhile."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0006_number_and_date_ranges")]

    operations = [
        ValidateConstraint("order", "order_total_amount_not_negative"),
        ValidateConstraint("orderitem", "order_item_price_per_unit_not_negative"),
        ValidateConstraint("product", "product_price_not_negative"),
        ValidateConstraint("productsales", "product_sales_revenue_number"),
        ValidateConstraint("order", "order_order_date_in_range"),
        ValidateConstraint("cart", "cart_last_updated_in_range"),
    ]
