"""Several at once: threads and sessions with connections of their own."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from django.db import connection, connections
from django.db.models import Model

PATIENCE = 30


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return what each call returns or raises, each in a thread of its own; they start together."""
    start = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            start.wait()
            results[number] = call()
        except Exception as error:  # noqa: BLE001 - the caller looks at it
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=numbered) for numbered in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@contextmanager
def session() -> Iterator[Any]:
    """A cursor of psql, as it were: on a connection of its own, in a transaction."""
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    with closing(psycopg2.connect(**parameters)) as other, other.cursor() as cursor:
        yield cursor


def meanwhile(
    statement: str, act: Callable[[], Any], then: str = "SELECT", seen: list[Any] | None = None
) -> Any:
    """Return what an act returns or raises that waits for an open transaction with this statement.

    Once the act waits for it, the transaction does the rest, whose rows go to `seen`, and commits.
    """
    with session() as other:
        other.execute(statement)
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.extend(at_once(act)))
        thread.start()
        wait_for_waiters(1)
        other.execute(then)
        if seen is not None:
            seen.extend(other.fetchall())
        other.connection.commit()
        thread.join()
    return results[0]


WAITERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def wait_for_waiters(number: int) -> None:
    """Wait until so many sessions of this database wait for a lock."""
    wait_until(lambda: count_waiters() == number)


def count_waiters() -> int:
    with connection.cursor() as cursor:
        cursor.execute(WAITERS)
        return int(cursor.fetchone()[0])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def crowd[Item](threads: int, act: Callable[[Item], Any], items: Iterable[Item]) -> list[Any]:
    """Return what an act of each item returns or raises, by so many threads at once."""

    def run(item: Item) -> Any:
        try:
            return act(item)
        except Exception as error:  # noqa: BLE001 - the caller looks at it
            return error

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(run, items))
        list(pool.map(leave, [threading.Barrier(threads)] * threads))
    return results


def leave(all_here: threading.Barrier) -> None:
    """Close this thread's connection, once each thread has come here."""
    all_here.wait()
    connections.close_all()


CONFLICT = """
CREATE FUNCTION end_with_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not obtain lock' USING ERRCODE = 'lock_not_available';
END $$;
CREATE CONSTRAINT TRIGGER end_with_conflict AFTER UPDATE ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_with_conflict();
"""


@contextmanager
def conflict_at_commit(model: type[Model]) -> Iterator[None]:
    """Have what changes a row of a table fail as it commits, for what others have locked."""
    with connection.cursor() as cursor:
        cursor.execute(CONFLICT.format(table=f'"{model._meta.db_table}"'))
        try:
            yield
        finally:
            cursor.execute("DROP FUNCTION end_with_conflict CASCADE")
