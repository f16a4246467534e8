"""A worker that is killed amid an import: another one does it, once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from django.db import connection
from django_tasks import TaskContext

from shop.catalog import importing
from shop.catalog.importing import apply, begin
from shop.jobs.backend import result, task_of
from shop.jobs.worker import LostError, claim, work
from shop.models import Category, ImportLine, Job, Product, ProductImport
from tests.jobs.test_processes import waits, worker
from tests.support.jobs import do_jobs, make_due
from tests.support.races import session, wait_until
from tests.support.spreadsheets import csv_file

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def sent(lines: int) -> ProductImport:
    table = [[f"Lamp {number}", "Home", "1"] for number in range(lines)]
    return begin(file=[csv_file(["name", "category", "price"], *table)], name="lamps.csv", user_id=0)


def kill_amid(table: str, log: Path) -> None:
    """Have a worker wait for a lock when it writes into this table, and kill it then."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'; "
            f"CREATE TRIGGER hold BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION hold()"
        )
    try:
        with session() as other, worker(log) as process:
            other.execute("SELECT pg_advisory_xact_lock(1)")
            wait_until(partial(waits, "advisory"))
            process.kill()
            process.wait()
        wait_until(lambda: not waits("advisory"))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION hold CASCADE")


def status_of(found: ProductImport) -> Callable[[], str]:
    return lambda: str(ProductImport.objects.get(pk=found.pk).status)


def test_a_worker_killed_while_it_compares(home: Category, tmp_path: Path) -> None:
    found = sent(2500)
    kill_amid("import_line", tmp_path / "log")
    make_due()  # the lease ends
    with worker(tmp_path / "log"):
        wait_until(lambda: status_of(found)() == "ready")
    found.refresh_from_db()
    assert (found.new, found.read, ImportLine.objects.count()) == (2500, 2500, 2500)
    assert Job.objects.get(task="shop.catalog.importing.check").attempts == 2


def test_a_worker_killed_while_it_applies(home: Category, tmp_path: Path) -> None:
    found = sent(10)
    do_jobs()
    assert apply(found.pk)
    kill_amid("product", tmp_path / "log")
    assert not Product.objects.exists()
    assert status_of(found)() == "applying"
    make_due()
    with worker(tmp_path / "log"):
        wait_until(lambda: status_of(found)() == "done")
    assert Product.objects.count() == 10


def test_a_worker_that_lost_the_job_writes_nothing_more(
    home: Category, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was so slow that another one has the job, and is through with it."""
    found = sent(2500)
    slow = claim("default")
    assert slow
    compare_rows = importing.compare_rows

    def late(context: TaskContext, *args: object) -> None:
        monkeypatch.setattr(importing, "compare_rows", compare_rows)
        make_due()
        other = claim("default")
        assert other
        work(other)
        compare_rows(context, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(importing, "compare_rows", late)
    with pytest.raises(LostError):
        task_of(slow).call(TaskContext(task_result=result(task_of(slow), slow)), found.pk)
    found.refresh_from_db()
    assert (found.status, found.new, ImportLine.objects.count()) == ("ready", 2500, 2500)
