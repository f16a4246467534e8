"""The worker: takes jobs that are due, one at a time of each queue, and does them until it is told to end."""

import json
import logging
import time
from collections.abc import Collection, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from inspect import BoundArguments, signature
from threading import Event

from django.conf import settings
from django.db import Error, close_old_connections, connection, connections
from django_tasks import TaskContext
from django_tasks.base import Task

from shop.jobs.backend import result, task_of
from shop.jobs.models import Job, JobStatus

logger = logging.getLogger(__name__)

LEASE_SECONDS = 180
"""So long a job belongs to the worker that took it: longer than all time-outs of a job together."""

PAUSES = (10, 60, 5 * 60, 30 * 60, 2 * 60 * 60, 6 * 60 * 60, 24 * 60 * 60)
"""How many seconds after each failure a job is tried again; after one more failure it is dead."""

MAIL = "mail"
"""The queue of mails, which waits untouched while production has no server to send them by."""

NEWS_LIFETIME = timedelta(days=7)
"""What could not be sent for so long tells nobody anything new; its job is done without sending it."""

MONEY = "money"
"""The queue of jobs that never die: after the last pause they are tried once a day."""

ASKING = "asking"
"""The queue of what only asks providers of payments, who may be away: nobody waits for it."""

IDLE_SECONDS = 1.0

# Whoever waits for a row that another worker takes at this moment passes it over.
CLAIM = """
UPDATE job
SET attempts = attempts + 1, error = '', started_at = clock_timestamp(),
    due_at = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE job_id = (
    SELECT job_id FROM job
    WHERE queue = %(queue)s AND status = 'waiting' AND due_at <= statement_timestamp() - %(held_for)s
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
) AND status = 'waiting' AND due_at <= statement_timestamp()
RETURNING *
"""

ONCE = """
INSERT INTO job (task, arguments, queue, slot) VALUES (%s, %s, %s, %s) ON CONFLICT (slot) DO NOTHING
"""

NO_ARGUMENTS = '{"args": [], "kwargs": {}}'
TELL_STAFF = "shop.jobs.mail.tell_staff_of_failures"


class HopelessError(Exception):
    """To try this job again would give the same: it is dead."""


class OtherArgumentsError(TypeError):
    """The task takes other arguments: the job is of another version of the shop."""


class LostError(Exception):
    """Another worker has this job by now."""


def sends_mail() -> bool:
    """Tell whether mails go out, or wait until there is a server to send them by."""
    return bool(settings.EMAIL_HOST or settings.DEBUG)


def claim(queue: str) -> Job | None:
    """Take the job of a queue that is due for the longest time; None if none is."""
    held_for = NEWS_LIFETIME if queue == MAIL and not sends_mail() else timedelta(0)
    for job in Job.objects.raw(CLAIM, {"queue": queue, "lease": LEASE_SECONDS, "held_for": held_for}):
        return job
    return None


def work(job: Job) -> None:
    """Do a job that was claimed, and write down how it went."""
    if job.attempts > len(PAUSES) + 1:
        if job.queue != MONEY:
            finish(job, JobStatus.DEAD, "its worker was killed each time")
            return
        tell_once(job)
    try:
        task = task_of(job)
        context = [TaskContext(task_result=result(task, job))] if task.takes_context else []
        arguments = arguments_of(job, task, context)
        task.call(*arguments.args, **arguments.kwargs)
    except HopelessError as failure:
        finish(job, JobStatus.DEAD, str(failure))
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is tried again
        fail(job, failure)
    else:
        finish(job, JobStatus.DONE)


def arguments_of(job: Job, task: Task, context: Collection[TaskContext]) -> BoundArguments:
    """Return what a task is called with. Raises OtherArgumentsError."""
    try:
        return signature(task.func).bind(*context, *job.arguments["args"], **job.arguments["kwargs"])
    except TypeError:
        raise OtherArgumentsError from None


def renew(context: TaskContext) -> None:
    """Give a long job its whole lease again, and hold it until the transaction ends.

    What the transaction writes, a worker that lost the job cannot write: it gets LostError.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE job SET due_at = clock_timestamp() + make_interval(secs => %s) "
            "WHERE job_id = %s AND attempts = %s AND status = 'waiting'",
            [LEASE_SECONDS, context.task_result.id, context.attempt],
        )
        if not cursor.rowcount:
            raise LostError


def fail(job: Job, failure: Exception) -> None:
    """Have a job tried again after a pause; without one left it is dead."""
    # The text of an error may tell whom it is about.
    name = type(failure).__name__
    logger.warning("job %d (%s): attempt %d failed: %s", job.pk, job.task, job.attempts, name)
    step = job.attempts - 1
    if step >= len(PAUSES) and job.queue != MONEY:
        finish(job, JobStatus.DEAD, name)
        return
    if step >= len(PAUSES):
        tell_once(job)
    pause = PAUSES[min(step, len(PAUSES) - 1)]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE job SET due_at = clock_timestamp() + make_interval(secs => %s), error = %s "
            "WHERE job_id = %s AND attempts = %s AND status = 'waiting'",
            [pause, name, job.pk, job.attempts],
        )
        tell_if_lost(job, cursor.rowcount)


def tell_once(job: Job) -> None:
    """Have staff told of a job that never dies and does not come to its end either."""
    arguments = json.dumps({"args": [job.pk, job.task], "kwargs": {}})
    with connection.cursor() as cursor:
        cursor.execute(ONCE, [TELL_STAFF, arguments, "default", slot_of_telling(job.pk)])


def slot_of_telling(job_id: int) -> str:
    """Return the slot of the job that tells staff of this one: there is one for ever."""
    return f"failing {job_id}"


def finish(job: Job, status: JobStatus, error: str = "") -> None:
    """Write down the end of a job, if it still belongs to this attempt."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE job SET status = %s, finished_at = clock_timestamp(), error = %s "
            "WHERE job_id = %s AND attempts = %s AND status = 'waiting'",
            [status, error, job.pk, job.attempts],
        )
        tell_if_lost(job, cursor.rowcount)
    if status == JobStatus.DEAD:
        logger.error("job %d (%s) is dead after %d attempts: %s", job.pk, job.task, job.attempts, error)


def tell_if_lost(job: Job, changed: int) -> None:
    if not changed:
        logger.warning(
            "job %d (%s): attempt %d took too long, another one has it", job.pk, job.task, job.attempts
        )


class Schedule:
    """Tasks that are done once in each slot of so many seconds, however many workers there are."""

    def __init__(self, tasks: Mapping[Task, int]) -> None:
        self.tasks = tasks
        self.known: dict[Task, str] = {}

    def enqueue(self) -> None:
        """Write a job for each slot that has begun and has none."""
        now = int(time.time())
        for task, seconds in self.tasks.items():
            begin = datetime.fromtimestamp(now - now % seconds, UTC)
            slot = f"{task.name} {begin:%Y-%m-%dT%H:%M:%SZ}"
            if self.known.get(task) != slot:
                with connection.cursor() as cursor:
                    cursor.execute(ONCE, [task.module_path, NO_ARGUMENTS, task.queue_name, slot])
                self.known[task] = slot


def run(queues: Collection[str], tasks: Mapping[Task, int], ended: Event) -> None:
    """Do jobs until the event is set, those of each queue in a thread: none waits for another queue's.

    `tasks` are the periodic ones, each with the seconds of its slots. What ends one thread ends all, and is
    raised.
    """
    with ThreadPoolExecutor(len(queues)) as pool:
        threads = [
            pool.submit(
                run_queue,
                queue,
                Schedule({task: seconds for task, seconds in tasks.items() if task.queue_name == queue}),
                ended,
            )
            for queue in queues
        ]
        wait(threads, return_when=FIRST_EXCEPTION)
        ended.set()
    for thread in threads:
        thread.result()


def run_queue(queue: str, schedule: Schedule, ended: Event) -> None:
    """Do the jobs of a queue until the event is set; a database that is away is waited for."""
    while not ended.is_set():
        close_old_connections()
        try:
            schedule.enqueue()
            job = claim(queue)
            if job:
                work(job)
                continue
        except Error as failure:
            logger.warning("the database does not answer: %s", type(failure).__name__)
            connections.close_all()
        ended.wait(IDLE_SECONDS)
    connections.close_all()
