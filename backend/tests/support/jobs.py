"""The worker, in the thread of a test."""

from django.conf import settings
from django.utils import timezone

from shop.jobs.worker import claim, work
from shop.models import Job


def do_jobs() -> int:
    """Do what is due; return how many jobs."""
    number = 0
    while job := next(filter(None, map(claim, settings.TASKS["default"]["QUEUES"])), None):
        work(job)
        number += 1
    return number


def make_due() -> None:
    """Let the time pass that jobs wait for."""
    Job.objects.waiting().update(due_at=timezone.now())
