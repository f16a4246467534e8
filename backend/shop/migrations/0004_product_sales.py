"""The sales of each product: a table that triggers keep, so that bestsellers need not add up all order lines.

Every statement adds what it changed, in its own transaction: whoever sees a line sees it in the sum of its
product's rows. 01_create_tables.sql has it in one piece, docs/PROJECT_STRUCTURE.md the reasons.
"""

import django.db.models.deletion
from django.db import migrations, models

ADD = """
CREATE FUNCTION product_sales_add(sold_product integer, units bigint, amount numeric) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off  -- a plan made when the table was small must do when it has grown
AS $$
BEGIN
    -- The rows that no other transaction holds become one. What others hold stays for the next sale: nobody waits.
    WITH free AS (
        DELETE FROM product_sales
        WHERE product_sales_id = ANY (ARRAY(
            SELECT product_sales_id FROM product_sales WHERE product_id = sold_product FOR UPDATE SKIP LOCKED
        ))
        RETURNING main, quantity, revenue
    )
    INSERT INTO product_sales (product_id, main, quantity, revenue)
    SELECT sold_product,
           coalesce(bool_or(main), false),
           units + coalesce(sum(quantity), 0),
           amount + coalesce(sum(revenue), 0)
    FROM free;
END $$
"""

FOLLOW = """
CREATE FUNCTION product_sales_follow() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM product_sales_add(product_id, sum(quantity), sum(quantity * price_per_unit))
        FROM added GROUP BY product_id;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM product_sales_add(product_id, -sum(quantity), -sum(quantity * price_per_unit))
        FROM removed GROUP BY product_id;
    ELSE
        PERFORM product_sales_add(product_id, sum(quantity), sum(quantity * price_per_unit))
        FROM (
            SELECT product_id, quantity, price_per_unit FROM added
            UNION ALL
            SELECT product_id, -quantity, price_per_unit FROM removed
        ) AS changed
        GROUP BY product_id
        HAVING sum(quantity) <> 0 OR sum(quantity * price_per_unit) <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER product_sales_insert AFTER INSERT ON order_item REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION product_sales_follow();
CREATE TRIGGER product_sales_update AFTER UPDATE ON order_item REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION product_sales_follow();
CREATE TRIGGER product_sales_delete AFTER DELETE ON order_item REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION product_sales_follow()
"""

PRODUCTS = """
CREATE FUNCTION product_sales_product() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO product_sales (product_id, main, quantity, revenue)
        SELECT product_id, true, 0, 0 FROM added
        ON CONFLICT DO NOTHING;
    ELSE
        -- All of them, unless another transaction holds some. Zeros can stay and go without changing a sum.
        DELETE FROM product_sales
        WHERE product_sales_id = ANY (ARRAY(
            SELECT product_sales_id FROM product_sales JOIN removed USING (product_id)
            WHERE quantity = 0 AND revenue = 0
            FOR UPDATE OF product_sales SKIP LOCKED
        ));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER product_sales_insert AFTER INSERT ON product REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION product_sales_product();
CREATE TRIGGER product_sales_delete AFTER DELETE ON product REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION product_sales_product()
"""

REFILL = """
CREATE FUNCTION product_sales_refill() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'TRUNCATE %: do it in READ COMMITTED; an older snapshot lacks rows', TG_TABLE_NAME;
    END IF;
    DELETE FROM product_sales;
    INSERT INTO product_sales (product_id, main, quantity, revenue)
    SELECT product_id, true, coalesce(sum(quantity), 0), coalesce(sum(quantity * price_per_unit), 0)
    FROM product
    LEFT JOIN order_item USING (product_id)
    GROUP BY product_id
    ON CONFLICT DO NOTHING;  -- a product made since the DELETE has its row
    RETURN NULL;
END $$;
CREATE TRIGGER product_sales_truncate AFTER TRUNCATE ON order_item
    FOR EACH STATEMENT EXECUTE FUNCTION product_sales_refill();
CREATE TRIGGER product_sales_refill AFTER TRUNCATE ON product_sales
    FOR EACH STATEMENT EXECUTE FUNCTION product_sales_refill()
"""

REFUSE = """
CREATE FUNCTION refuse_to_write() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE '% is kept by the database: leave it out', TG_TABLE_NAME;
END $$;
CREATE TRIGGER product_sales_refuse BEFORE INSERT OR UPDATE OR DELETE ON product_sales
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_to_write()
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_order_customer_index")]

    operations = [
        migrations.CreateModel(
            name="ProductSales",
            fields=[
                ("product_sales_id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "product",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="sales",
                        to="shop.product",
                    ),
                ),
                ("main", models.BooleanField()),
                ("quantity", models.BigIntegerField()),
                ("revenue", models.DecimalField(decimal_places=2, max_digits=30)),
            ],
            options={
                "db_table": "product_sales",
                "default_permissions": (),
                "indexes": [models.Index(fields=["main", "-quantity", "product"], name="product_sales_best")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("main", True)),
                        fields=("product",),
                        name="product_sales_main_unique",
                    )
                ],
            },
        ),
        migrations.RunSQL(ADD, "DROP FUNCTION product_sales_add"),
        migrations.RunSQL(FOLLOW, "DROP FUNCTION product_sales_follow CASCADE"),
        migrations.RunSQL(PRODUCTS, "DROP FUNCTION product_sales_product CASCADE"),
        migrations.RunSQL(REFILL, "DROP FUNCTION product_sales_refill CASCADE"),
        migrations.RunSQL(REFUSE, "DROP FUNCTION refuse_to_write CASCADE"),
        # The triggers lock out every writer until the migration is through: what is there now is added up here.
        migrations.RunSQL("TRUNCATE product_sales; ANALYZE product_sales", migrations.RunSQL.noop),
    ]
