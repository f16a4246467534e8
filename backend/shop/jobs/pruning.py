"""Jobs that are over, and mails: they need not be kept for ever."""

from datetime import timedelta

from django.utils import timezone

from shop.jobs.models import Job, JobStatus, Mail
from shop.jobs.worker import MONEY, PAUSES, slot_of_telling

JOB_LIFETIME = timedelta(days=7)
"""So long a job that is done can be looked at; a dead one stays until staff say what becomes of it."""

MAIL_LIFETIME = timedelta(days=365)
"""So long it can be looked up what a customer was told; then names and addresses go."""


def prune_jobs() -> dict[str, int]:
    """Delete jobs that were done, and mails that were written, long ago; return how many.

    What told staff of a job that still fails stays, as it is known by it that they were told.
    """
    now = timezone.now()
    failing = Job.objects.waiting().filter(queue=MONEY, attempts__gt=len(PAUSES))
    told = [slot_of_telling(key) for key in failing.values_list("pk", flat=True)]
    done = Job.objects.filter(status=JobStatus.DONE, finished_at__lt=now - JOB_LIFETIME).exclude(
        slot__in=told
    )
    return {
        "jobs": done.delete()[0],
        "mails": Mail.objects.filter(written_at__lt=now - MAIL_LIFETIME).delete()[0],
    }
