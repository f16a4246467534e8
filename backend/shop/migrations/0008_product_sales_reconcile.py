"""`manage.py reconcile_product_sales` may write product_sales, as the triggers may."""

from django.db import migrations

REFUSE = """
CREATE OR REPLACE TRIGGER product_sales_refuse BEFORE INSERT OR UPDATE OR DELETE ON product_sales
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0{})
    EXECUTE FUNCTION refuse_to_write()
"""
UNLESS_RECONCILED = " AND current_setting('shop.reconcile', true) IS DISTINCT FROM 'on'"


class Migration(migrations.Migration):
    dependencies = [("shop", "0007_validate_ranges")]

    operations = [migrations.RunSQL(REFUSE.format(UNLESS_RECONCILED), REFUSE.format(""))]
