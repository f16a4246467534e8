"""Jobs that are over, and mails: they need not be kept for ever."""

from datetime import timedelta

from django.utils import timezone

from shop.jobs.models import Job, JobStatus

JOB_LIFETIME = timedelta(days=7)
"""So long a job that is done can be looked at; a dead one stays until staff say what becomes of it."""


def prune_jobs() -> int:
    """Delete jobs that were done long ago; return how many."""
    return Job.objects.filter(status=JobStatus.DONE, finished_at__lt=timezone.now() - JOB_LIFETIME).delete()[
        0
    ]
