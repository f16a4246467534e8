"""`manage.py run_jobs` as a process: ended kindly or killed, what was committed is done."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from shop.models import Category, Job, JobStatus
from tests import BACKEND
from tests.jobs import tasks
from tests.support.jobs import make_due
from tests.support.races import session, wait_until
from tests.support.serving import environment
from webshop.postgres import end_with_parent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@contextmanager
def worker(log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one until the block ends, with these variables."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_jobs"],
            cwd=BACKEND,
            env=environment(**more),
            stderr=file,
            preexec_fn=partial(end_with_parent, signal.SIGKILL),
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def names() -> set[str]:
    return set(Category.objects.values_list("category_name", flat=True))


def is_done() -> bool:
    return not Job.objects.waiting().exists()


def test_it_ends_after_the_job_in_hand(tmp_path: Path) -> None:
    tasks.begin.enqueue("long", 1)
    tasks.write.enqueue("next")
    with worker(tmp_path / "log") as process:
        wait_until(lambda: "long 1" in names())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert names() == {"long 1", "long 1 done"}
    assert list(Job.objects.order_by("pk").filter(slot=None).values_list("status", flat=True)) == [
        "done",
        "waiting",
    ]
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "No mail is sent: there is no mail server." in line
    with worker(tmp_path / "log"):
        wait_until(is_done)
    assert names() == {"long 1", "long 1 done", "next"}


def test_jobs_of_another_version_end_no_worker(tmp_path: Path) -> None:
    """A deploy leaves some whose task is gone, or takes other arguments by now: staff see why."""
    tasks.write.enqueue("one", and_another="two")  # type: ignore[call-arg]
    Job.objects.create(task="shop.jobs.yesterday.send", arguments={"args": [], "kwargs": {}}, queue="default")
    Job.objects.update(attempts=7)
    tasks.write.enqueue("next")
    with worker(tmp_path / "log"):
        wait_until(is_done)
    assert names() == {"next"}
    assert list(Job.objects.dead().order_by("pk").values_list("error", flat=True)) == [
        "OtherArgumentsError",
        "NoSuchTaskError",
    ]


def test_money_and_those_who_hold_it_keep_no_mail_waiting(tmp_path: Path) -> None:
    for queue in ("money", "asking"):
        tasks.begin.using(queue_name=queue).enqueue(queue, 60)
    with worker(tmp_path / "log", EMAIL_HOST="127.0.0.1"):
        wait_until(lambda: names() == {"money 1", "asking 1"})
        tasks.write.using(queue_name="mail").enqueue("mail")
        tasks.write.enqueue("other")
        wait_until(lambda: names() == {"money 1", "asking 1", "mail", "other"})


def test_what_a_killed_worker_had_is_done_by_another(tmp_path: Path) -> None:
    """Killed while it does the job; it is the second attempt that is done."""
    tasks.begin.enqueue("job", 60)
    with worker(tmp_path / "log") as process:
        wait_until(lambda: "job 1" in names())
        process.kill()
        process.wait()
    job = Job.objects.get(slot=None)
    assert (job.status, job.attempts) == (JobStatus.WAITING, 1)
    job.arguments["args"][1] = 0
    job.save()
    make_due()  # the lease ends
    with worker(tmp_path / "log"):
        wait_until(is_done)
    assert names() == {"job 1", "job 2", "job 2 done"}
    assert Job.objects.get(slot=None).attempts == 2


@pytest.mark.parametrize("statement", ["SET attempts", "SET status"])
def test_a_worker_killed_while_it_writes(tmp_path: Path, statement: str) -> None:
    """It waits for a lock amid taking the job or amid saying that it is done; that is rolled back."""
    tasks.write.enqueue("job")
    with connection.cursor() as cursor:
        condition = "NEW.attempts > OLD.attempts" if "attempts" in statement else "NEW.status <> OLD.status"
        cursor.execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'; "
            "CREATE TRIGGER hold BEFORE UPDATE ON job "
            f"FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION hold()"
        )
    try:
        with session() as other, worker(tmp_path / "log") as process:
            other.execute("SELECT pg_advisory_xact_lock(1)")
            wait_until(partial(waits, "advisory"))
            process.kill()
            process.wait()
        wait_until(lambda: not waits("advisory"))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION hold CASCADE")
    # What the killed one had begun in PostgreSQL may still be committed: then the lease is waited for.
    Category.objects.all().delete()
    make_due()
    with worker(tmp_path / "log"):
        wait_until(is_done)
    if "attempts" in statement:
        assert names() == {"job"}


def waits(event: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = %s", [event])
        return bool(cursor.fetchone()[0])


def test_a_database_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with worker(tmp_path / "log") as process:
        tasks.write.enqueue("before")
        wait_until(lambda: "before" in names())
        for number in range(3):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            tasks.write.enqueue(f"after {number}")
            wait_until(lambda: f"after {number}" in names())  # noqa: B023 - within the round
        assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
