"""Jobs: what is committed is done, once, whatever dies meanwhile."""

import logging
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks.exceptions import TaskResultDoesNotExist
from pytest_django import Settings

from shop.jobs import worker
from shop.jobs.backend import PostgresBackend
from shop.jobs.pruning import prune_jobs
from shop.jobs.worker import PAUSES, Schedule, claim, run, work
from shop.models import Category, Job, JobStatus, Mail
from tests.jobs import tasks
from tests.support.jobs import do_jobs, make_due
from tests.support.races import at_once, wait_until

pytestmark = pytest.mark.django_db


def names() -> list[str]:
    return list(Category.objects.order_by("pk").values_list("category_name", flat=True))


def test_a_job_is_done_once() -> None:
    result = tasks.write.enqueue("one")
    assert (result.status, result.attempts) == (TaskResultStatus.READY, 0)
    assert do_jobs() == 1
    assert do_jobs() == 0
    assert names() == ["one"]
    result.refresh()
    assert (result.status, result.attempts, result.errors) == (TaskResultStatus.SUCCESSFUL, 1, [])
    assert result.is_finished


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_leaves_none() -> None:
    with transaction.atomic():
        tasks.write.enqueue("never")
        transaction.set_rollback(True)
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_not_committed_is_not_done() -> None:
    with transaction.atomic():
        tasks.write.enqueue("later")
        assert at_once(do_jobs) == [0]
    assert at_once(do_jobs) == [1]


def test_a_later_one_waits() -> None:
    tasks.write.using(run_after=timezone.now() + timedelta(hours=1)).enqueue("later")
    assert do_jobs() == 0
    make_due()
    assert do_jobs() == 1


def test_one_that_fails_is_tried_again_after_each_pause_and_then_dead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks.fail.enqueue("ada@example.com")
    for attempt, pause in enumerate(PAUSES, 1):
        assert do_jobs() == 1
        job = Job.objects.get()
        assert (job.attempts, job.status, job.error) == (attempt, JobStatus.WAITING, "ValueError")
        assert abs((job.due_at - timezone.now()).total_seconds() - pause) < 5
        make_due()
    assert do_jobs() == 1
    job = Job.objects.get()
    assert (job.attempts, job.status) == (len(PAUSES) + 1, JobStatus.DEAD)
    make_due()
    assert do_jobs() == 0
    assert "ada" not in caplog.text
    assert caplog.records[-1].levelno == logging.ERROR
    assert (
        caplog.records[-1].getMessage()
        == f"job {job.pk} (tests.jobs.tasks.fail) is dead after 8 attempts: ValueError"
    )


def test_one_about_money_is_tried_every_day_for_ever() -> None:
    tasks.pay.enqueue()
    Job.objects.update(attempts=100)
    assert do_jobs() == 2  # the other one tells the staff
    job = Job.objects.get(queue="money")
    assert (job.attempts, job.status) == (101, JobStatus.WAITING)
    assert abs((job.due_at - timezone.now()).total_seconds() - PAUSES[-1]) < 5


def test_a_hopeless_one_is_dead_at_once() -> None:
    tasks.give_up.enqueue()
    assert do_jobs() == 1
    job = Job.objects.get()
    assert (job.attempts, job.status, job.error) == (1, JobStatus.DEAD, "there is nobody of that name")


def test_one_that_kills_its_worker_each_time_ends() -> None:
    tasks.write.enqueue("never")
    for _ in range(len(PAUSES) + 1):
        assert claim("default")
        make_due()
    assert do_jobs() == 1
    assert Job.objects.get().status == JobStatus.DEAD
    assert names() == []


def test_one_that_is_taken_belongs_to_its_worker_until_the_lease_ends() -> None:
    tasks.write.enqueue("one")
    first = claim("default")
    assert first
    assert claim("default") is None
    make_due()
    second = claim("default")
    assert second
    work(second)
    assert Job.objects.get().status == JobStatus.DONE
    worker.finish(first, JobStatus.DEAD, "too late")
    assert Job.objects.get().status == JobStatus.DONE
    worker.fail(first, ValueError())
    assert Job.objects.get().error == ""


def test_a_task_that_this_version_has_not_is_tried_again() -> None:
    """In a deploy the old worker may meet a job of the new version."""
    Job.objects.create(task="shop.jobs.tomorrow.send", arguments={"args": [], "kwargs": {}}, queue="default")
    assert do_jobs() == 1
    job = Job.objects.get()
    assert (job.status, job.error) == (JobStatus.WAITING, "NoSuchTaskError")


@pytest.mark.parametrize("task", ["os.system", "shop.models.Job"])
def test_what_is_no_task_is_not_called(task: str) -> None:
    Job.objects.create(task=task, arguments={"args": ["true"], "kwargs": {}}, queue="default")
    assert do_jobs() == 1
    assert Job.objects.get().error == "NoSuchTaskError"


def test_a_job_that_is_gone() -> None:
    for unknown in ("0", "x", "-1"):
        with pytest.raises(TaskResultDoesNotExist):
            PostgresBackend("default", {}).get_result(unknown)


@pytest.mark.django_db(transaction=True)
def test_two_workers_over_a_thousand_jobs() -> None:
    for number in range(1000):
        tasks.write.enqueue(f"job {number}")
    done = at_once(do_jobs, do_jobs)
    assert sum(done) == 1000
    assert min(done) > 0
    assert sorted(names()) == sorted(f"job {number}" for number in range(1000))


@pytest.mark.django_db(transaction=True)
def test_a_job_that_another_worker_takes_is_passed_over() -> None:
    tasks.write.enqueue("locked")
    tasks.write.enqueue("free")
    with transaction.atomic():
        Job.objects.select_for_update().order_by("pk").first()
        assert at_once(do_jobs) == [1]
    assert names() == ["free"]


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_ends_no_worker() -> None:
    tasks.lose_the_connection.enqueue()
    tasks.write.enqueue("after it")
    ended = Event()

    def work_on() -> None:
        run(["default"], {}, ended)

    thread = Thread(target=work_on)
    thread.start()
    try:
        wait_until(lambda: names() == ["after it"])
    finally:
        ended.set()
        thread.join()
    lost = Job.objects.get(task="tests.jobs.tasks.lose_the_connection")
    assert (lost.status, lost.attempts) == (JobStatus.WAITING, 1)


@pytest.mark.django_db(transaction=True)
def test_what_ends_one_thread_ends_all() -> None:
    """A queue that nobody works on any more would not be noticed."""
    with pytest.raises(ZeroDivisionError):
        run(["mail", "default"], {tasks.write: 0}, Event())


@pytest.mark.django_db(transaction=True)
def test_a_periodic_one_is_done_once_in_each_slot() -> None:
    def two() -> None:
        Schedule({tasks.give_up: 3600}).enqueue()

    at_once(two, two, two)
    schedule = Schedule({tasks.give_up: 3600})
    schedule.enqueue()
    schedule.enqueue()
    assert Job.objects.count() == 1
    Job.objects.update(slot="give_up 2020-01-01T00:00:00Z")
    schedule.enqueue()  # it knows that this slot has one
    assert Job.objects.count() == 1
    Schedule({tasks.give_up: 3600}).enqueue()
    assert Job.objects.count() == 2


def test_dead_ones_begin_anew_or_are_discarded() -> None:
    for _ in range(2):
        tasks.give_up.enqueue()
    tasks.write.enqueue("one")
    assert do_jobs() == 3
    first, second = Job.objects.dead().order_by("pk")
    assert Job.objects.filter(pk=first.pk).retry() == [first.pk]
    assert Job.objects.all().discard() == [second.pk]
    assert [job.attempts for job in Job.objects.waiting()] == [0]
    assert Job.objects.all().discard() == []


def test_one_that_failed_goes_on_before_its_time() -> None:
    """As the same attempt would: whoever had it before has lost it."""
    tasks.pay.enqueue()
    tasks.write.using(run_after=timezone.now() + timedelta(hours=1)).enqueue("later")
    Job.objects.filter(queue="money").update(attempts=5)
    assert do_jobs() == 1
    failed = Job.objects.get(queue="money")
    assert Job.objects.all().retry() == [failed.pk]
    assert Job.objects.all().retry() == []
    assert do_jobs() == 1
    failed.refresh_from_db()
    assert failed.attempts == 7
    assert Job.objects.get(task="tests.jobs.tasks.write").attempts == 0


def test_one_that_a_worker_has_in_hand_is_left_to_it() -> None:
    tasks.pay.enqueue()
    assert do_jobs() == 1
    make_due()
    assert claim("money")
    assert Job.objects.all().retry() == []


def test_staff_are_told_once_however_long_it_fails(mailoutbox: list[Any], settings: Settings) -> None:
    settings.SHOP_STAFF_EMAIL, settings.EMAIL_HOST = ["staff@webshop.test"], "smtp.webshop.test"
    tasks.pay.enqueue()
    Job.objects.update(attempts=7)
    for _ in range(3):
        assert do_jobs() in (1, 3)  # what tells staff, and the mail of it
        Job.objects.exclude(finished_at=None).update(finished_at=timezone.now() - timedelta(days=8))
        prune_jobs()
        make_due()
    assert [mail.subject for mail in mailoutbox] == ["A job about money fails"]
    assert Job.objects.count() == 2
    Job.objects.filter(queue="money").update(status="done", finished_at=timezone.now() - timedelta(days=8))
    prune_jobs()
    assert Job.objects.count() == 0


def test_staff_are_told_of_one_that_kills_its_worker(settings: Settings) -> None:
    settings.SHOP_STAFF_EMAIL = ["staff@webshop.test"]
    tasks.pay.enqueue()
    for _ in range(8):
        assert claim("money")
        make_due()
    do_jobs()
    assert Mail.objects.filter(kind="failing").count() == 1
