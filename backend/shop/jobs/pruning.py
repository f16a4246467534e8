"""Jobs that are over, and mails: they need not be kept for ever."""

from datetime import timedelta

from django.utils import timezone

from shop.jobs.models import Job, JobStatus, Mail

JOB_LIFETIME = timedelta(days=7)
"""So long a job that is done can be looked at; a dead one stays until staff say what becomes of it."""

MAIL_LIFETIME = timedelta(days=365)
"""So long it can be looked up what a customer was told; then names and addresses go."""


def prune_jobs() -> dict[str, int]:
    """Delete jobs that were done, and mails that were written, long ago; return how many."""
    now = timezone.now()
    done = Job.objects.filter(status=JobStatus.DONE, finished_at__lt=now - JOB_LIFETIME)
    return {
        "jobs": done.delete()[0],
        "mails": Mail.objects.filter(written_at__lt=now - MAIL_LIFETIME).delete()[0],
    }
