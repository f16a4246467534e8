"""Indexes by which jobs and mails are found among a million, and the rule of 0014, checked against the rows.

They are made while others write, which is not all or nothing, but can be done again after a try that broke off.
"""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models

from shop.database.indexes import AddIndex, RemoveIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0016_stock_corrections")]

    operations = [
        ValidateConstraint("delivery", "delivery_payment_provider_known"),
        AddIndex(
            "job",
            models.Index(
                fields=["queue", "due_at"], condition=models.Q(("status", "waiting")), name="job_waiting"
            ),
        ),
        RemoveIndex("job", "job_due_at_waiting"),
        AddIndex(
            "job", models.Index(fields=["job_id"], condition=models.Q(("status", "dead")), name="job_dead")
        ),
        AddIndex("mail", models.Index(fields=["kind", "mail_id"], name="mail_by_kind")),
    ]
