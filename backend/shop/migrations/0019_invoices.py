"""Invoices, which nobody changes once they are made; in SQL, as Django 5.2 knows no ON DELETE and no triggers."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

TABLE = """
CREATE TABLE invoice (
    number      integer PRIMARY KEY,
    order_id    integer        NOT NULL,
    cancels_id  integer,
    made_on     date           NOT NULL,
    supplied_on date           NOT NULL,
    order_date  date           NOT NULL,
    seller      text           NOT NULL,
    address     text           NOT NULL,
    lines       jsonb          NOT NULL,
    currency    varchar(3)     NOT NULL,
    vat_rate    integer        NOT NULL,
    net         numeric(10, 2) NOT NULL,
    vat         numeric(10, 2) NOT NULL,
    gross       numeric(10, 2) NOT NULL,
    CONSTRAINT invoice_order_unique UNIQUE NULLS NOT DISTINCT (order_id, cancels_id),
    CONSTRAINT invoice_cancels_unique UNIQUE (cancels_id),
    CONSTRAINT invoice_number_positive CHECK (number >= 1),
    CONSTRAINT invoice_adds_up CHECK (gross = net + vat),
    CONSTRAINT invoice_cancellation_takes_back CHECK (
        cancels_id IS NULL AND gross >= 0 OR cancels_id IS NOT NULL AND gross <= 0
    ),
    CONSTRAINT invoice_order_id_fk FOREIGN KEY (order_id) REFERENCES "order" (order_id)
        ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT invoice_cancels_id_fk FOREIGN KEY (cancels_id) REFERENCES invoice (number)
        ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX invoice_with_address ON invoice (made_on) WHERE address <> '';
"""

# The law wants them kept for years; then `prune` takes the address off, and nothing else.
KEEP = """
CREATE FUNCTION invoice_keep() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('shop.prune', true) = 'on' THEN
        OLD.address := '';
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE 'an invoice stays as it was made';
END $$;
CREATE TRIGGER invoice_keep BEFORE UPDATE OR DELETE ON invoice
    FOR EACH ROW EXECUTE FUNCTION invoice_keep();
"""

REVERSE = "DROP TABLE invoice; DROP FUNCTION invoice_keep"


class Migration(migrations.Migration):
    dependencies = [
        ("shop", "0018_imports"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLE + KEEP, reverse_sql=REVERSE)],
            state_operations=[
                migrations.CreateModel(
                    name="Invoice",
                    fields=[
                        ("number", models.IntegerField(primary_key=True, serialize=False)),
                        ("made_on", models.DateField()),
                        ("supplied_on", models.DateField()),
                        ("order_date", models.DateField()),
                        ("seller", models.TextField()),
                        ("address", models.TextField()),
                        ("lines", models.JSONField()),
                        ("currency", models.CharField(max_length=3)),
                        ("vat_rate", models.IntegerField()),
                        ("net", models.DecimalField(decimal_places=2, max_digits=10)),
                        ("vat", models.DecimalField(decimal_places=2, max_digits=10)),
                        ("gross", models.DecimalField(decimal_places=2, max_digits=10)),
                        (
                            "cancels",
                            models.OneToOneField(
                                blank=True,
                                null=True,
                                on_delete=django.db.models.deletion.RESTRICT,
                                related_name="cancellation",
                                to="shop.invoice",
                            ),
                        ),
                        (
                            "order",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.RESTRICT,
                                related_name="invoices",
                                to="shop.order",
                            ),
                        ),
                    ],
                    options={"db_table": "invoice", "default_permissions": ("view",)},
                ),
                migrations.AddIndex(
                    model_name="invoice",
                    index=models.Index(
                        condition=~Q(address=""), fields=["made_on"], name="invoice_with_address"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="invoice",
                    constraint=models.UniqueConstraint(
                        fields=["order", "cancels"], nulls_distinct=False, name="invoice_order_unique"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="invoice",
                    constraint=models.CheckConstraint(
                        condition=Q(number__gte=1), name="invoice_number_positive"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="invoice",
                    constraint=models.CheckConstraint(
                        condition=Q(gross=F("net") + F("vat")), name="invoice_adds_up"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="invoice",
                    constraint=models.CheckConstraint(
                        condition=Q(cancels=None, gross__gte=0) | Q(cancels__isnull=False, gross__lte=0),
                        name="invoice_cancellation_takes_back",
                    ),
                ),
            ],
        ),
    ]
