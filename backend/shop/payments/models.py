"""What the providers of payments said."""

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from shop.orders.models import PaymentProvider


class PaymentEvent(models.Model):
    """A provider's word that something happened to a payment, which it is then asked for."""

    payment_event_id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=10, choices=PaymentProvider)
    event = models.CharField(max_length=255, help_text="The provider's id of it.")
    kind = models.CharField(max_length=100)
    reference = models.CharField(max_length=255, help_text="The provider's id of what it is about.")
    received_at = models.DateTimeField(default=timezone.now, db_default=Now())

    class Meta:
        db_table = "payment_event"
        default_permissions = ("view",)
        indexes = (models.Index(fields=["provider", "reference"], name="payment_event_reference"),)
        constraints = (models.UniqueConstraint(fields=["provider", "event"], name="payment_event_unique"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.provider}"
