"""Work that waits to be done after the transaction that wants it, and mails, which are some of it."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from django.db import models, transaction
from django.db.models import Count, Min, Q
from django.db.models.functions import Now
from django.utils import timezone


class JobStatus(models.TextChoices):
    """What became of a job; one that is being run still waits, until its worker says how it went."""

    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


SEND_WRITTEN = "shop.jobs.mail.send_written"
"""The task that sends the mail of a number."""

AT_ONCE = 10_000
"""So many jobs staff try again or discard in one go."""


class JobQuerySet(models.QuerySet["Job"]):
    def waiting(self) -> Self:
        return self.filter(status=JobStatus.WAITING)

    def dead(self) -> Self:
        return self.filter(status=JobStatus.DEAD)

    def gauges(self, held: str) -> dict[str, float]:
        """Return how many jobs wait, how many are dead, and for how long the oldest due one waits.

        Those of the queue that is `held` need no worker now.
        """
        now = timezone.now()
        due = Q(due_at__lte=now) & ~Q(queue=held)
        found = self.waiting().aggregate(waiting=Count("*"), oldest=Min("due_at", filter=due))
        age = (now - found["oldest"]).total_seconds() if found["oldest"] else 0.0
        return {"waiting": found["waiting"], "dead": self.dead().count(), "oldest_due_seconds": age}

    def enqueue(self, task: str, calls: Iterable[Sequence[Any]], queue: str) -> None:
        """Write a job for each of these calls of a task, which a room above this one may have."""
        rows = [Job(task=task, arguments={"args": list(call), "kwargs": {}}, queue=queue) for call in calls]
        self.bulk_create(rows)

    def locked(self) -> list[int]:
        """Lock these jobs, AT_ONCE of them, and return their keys. Needs a transaction."""
        return list(self.order_by("pk").select_for_update().values_list("pk", flat=True)[:AT_ONCE])

    @transaction.atomic
    def retry(self) -> list[int]:
        """Let dead jobs begin anew, and those that pause after a failure go on now; return their keys.

        One that a worker has in hand has no error, and is left to it. AT_ONCE of each are taken.
        """
        now = timezone.now()
        dead, early = self.dead().locked(), self.waiting().exclude(error="").filter(due_at__gt=now).locked()
        anew = {"status": JobStatus.WAITING, "attempts": 0, "finished_at": None, "error": ""}
        Job.objects.dead().filter(pk__in=dead).update(due_at=now, **anew)
        Job.objects.waiting().filter(pk__in=early).update(due_at=now)
        return dead + early

    @transaction.atomic
    def discard(self) -> list[int]:
        """Delete dead jobs, AT_ONCE of them; return their keys. A mail that one was to send says so."""
        dead = self.dead().locked()
        discarded = Job.objects.dead().filter(pk__in=dead)
        mails = list(discarded.filter(task=SEND_WRITTEN).values_list("arguments__args__0", flat=True))
        Mail.objects.filter(pk__in=mails, sent_at=None, dropped="").update(dropped="given up")
        discarded.delete()
        return dead


class Job(models.Model):
    """A call of a task.

    `due_at` is when it may be run; while a worker has it, when another one may take it. `attempts` counts how
    often it was begun, and tells workers apart: one whose number is not the job's any more has lost it.
    `error` is how the last attempt went, and empty while one is under way.
    """

    job_id = models.BigAutoField(primary_key=True)
    task = models.CharField(max_length=200, help_text="The module and name of the function.")
    arguments = models.JSONField()
    queue = models.CharField(max_length=20)
    slot = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 - NULLs are no doubles
    status = models.CharField(
        max_length=20, choices=JobStatus, default=JobStatus.WAITING, db_default=JobStatus.WAITING.value
    )
    attempts = models.IntegerField(default=0, db_default=0)
    enqueued_at = models.DateTimeField(default=timezone.now, db_default=Now())
    due_at = models.DateTimeField(default=timezone.now, db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="", db_default="")

    objects = JobQuerySet.as_manager()

    class Meta:
        db_table = "job"
        default_permissions = ("view", "change", "delete")
        indexes = (
            models.Index(fields=["queue", "due_at"], condition=Q(status="waiting"), name="job_waiting"),
            models.Index(fields=["job_id"], condition=Q(status="dead"), name="job_dead"),
            models.Index(fields=["finished_at"], condition=~Q(status="waiting"), name="job_finished_at"),
        )
        constraints = (
            models.UniqueConstraint(fields=["slot"], name="job_slot_unique"),
            models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="job_status_known"),
        )

    def __str__(self) -> str:
        return f"Job {self.job_id}"


class Mail(models.Model):
    """A mail as it was written in the transaction that caused it.

    `dropped` says why it never goes out. The job that sends it knows no more than its number, so that erasing
    a customer leaves nothing to send.
    """

    mail_id = models.BigAutoField(primary_key=True)
    customer = models.ForeignKey("shop.Customer", models.CASCADE, related_name="mails", null=True, blank=True)
    order = models.ForeignKey("shop.Order", models.CASCADE, related_name="mails", null=True, blank=True)
    kind = models.CharField(max_length=30)
    recipients = models.TextField(help_text="Addresses, one a line.")
    subject = models.CharField(max_length=200)
    text = models.TextField()
    html = models.TextField(blank=True)
    written_at = models.DateTimeField(default=timezone.now, db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    dropped = models.CharField(max_length=100, blank=True, default="", db_default="")

    class Meta:
        db_table = "mail"
        default_permissions = ("view",)
        indexes = (
            models.Index(fields=["written_at"], name="mail_written_at"),
            models.Index(fields=["kind", "mail_id"], name="mail_by_kind"),
        )

    def __str__(self) -> str:
        return f"Mail {self.mail_id}"
