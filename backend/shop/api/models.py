"""What the kit itself keeps in the database."""

from django.db import models


class RequestCount(models.Model):
    """How many requests a caller made since a window began: one row for each caller and limit.

    The table is unlogged: it is empty after a crash, and writing to it costs little.
    """

    key = models.BinaryField(primary_key=True)
    ends_at = models.DateTimeField(db_index=True)
    requests = models.IntegerField()

    class Meta:
        db_table = "request_count"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.requests} requests until {self.ends_at}"
