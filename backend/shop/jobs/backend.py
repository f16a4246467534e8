"""The tasks of the shop as rows in PostgreSQL, behind the API of django.tasks.

A row is written in the transaction that wants the work, so it is there with what was committed and gone with
what was rolled back. Of the backends that there are none keeps a job across kill -9 on psycopg2.
"""

from typing import Any

from django.utils import timezone
from django.utils.module_loading import import_string
from django_tasks import TaskResult, TaskResultStatus
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task, TaskError
from django_tasks.exceptions import TaskResultDoesNotExist
from django_tasks.utils import normalize_json

from shop.jobs.models import Job, JobStatus


class PostgresBackend(BaseTaskBackend):
    """What TASKS in the settings names."""

    supports_defer = True
    supports_get_result = True

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """Write the job, in the transaction around if there is one."""
        self.validate_task(task)
        job = Job.objects.create(
            task=task.module_path,
            arguments={"args": normalize_json(args), "kwargs": normalize_json(kwargs)},
            queue=task.queue_name,
            due_at=task.run_after or timezone.now(),
        )
        return result(task, job)

    def get_result(self, result_id: str) -> TaskResult:
        """Return what became of a job; raise TaskResultDoesNotExist if it is gone."""
        job = Job.objects.filter(pk=result_id).first() if result_id.isdecimal() else None
        if not job:
            raise TaskResultDoesNotExist(result_id)
        return result(task_of(job), job)


class NoSuchTaskError(ImportError):
    """The task is of another version of the shop."""


def task_of(job: Job) -> Task:
    """Return the task that a job calls. Raises NoSuchTaskError."""
    try:
        task = import_string(job.task)
    except ImportError:
        raise NoSuchTaskError(job.task) from None
    if not isinstance(task, Task):
        raise NoSuchTaskError(job.task)
    return task


STATUSES = {
    JobStatus.WAITING: TaskResultStatus.READY,
    JobStatus.DONE: TaskResultStatus.SUCCESSFUL,
    JobStatus.DEAD: TaskResultStatus.FAILED,
}


def result(task: Task, job: Job) -> TaskResult:
    """Return a job as django.tasks shows it."""
    return TaskResult(
        task=task,
        id=str(job.pk),
        status=STATUSES[JobStatus(job.status)],
        enqueued_at=job.enqueued_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        last_attempted_at=job.started_at,
        args=job.arguments["args"],
        kwargs=job.arguments["kwargs"],
        backend=task.backend,
        errors=[TaskError(exception_class_path=job.error, traceback="")] if job.error else [],
        worker_ids=[""] * job.attempts,
    )
