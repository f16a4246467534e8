"""The standby: the endpoints read from it while it is fit for it, everything else uses the primary.

A thread in each process looks at the standby all the time, so that no request waits for that.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import psycopg2.extensions
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.models import Model
from psycopg2.errors import LockNotAvailable, QueryCanceled

from shop.database.errors import one_line

ALIAS = "replica"
PAUSE_SECONDS = 5
"""How long the standby is left alone after it failed."""

CHECK_SECONDS = 1
"""How long the standby may take to report its state; if it takes longer, it hangs."""

logger = logging.getLogger(__name__)

source: ContextVar[str] = ContextVar("source", default=DEFAULT_DB_ALIAS)
"""The alias that this thread reads from at the moment."""


class Router:
    """Django's question which database to use: `source` for reads, the primary for all else."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:  # noqa: ARG002
        return source.get()

    def allow_relation(self, *_: Model, **hints: Any) -> bool:  # noqa: ARG002
        """Let rows of both be related: they are of one database."""
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:  # noqa: ARG002
        """Let nothing be migrated but the primary."""
        return db == DEFAULT_DB_ALIAS


class UnfitError(Exception):
    """The server is no standby to read from; the message says why."""


# Received is not all: the primary may have more, of which it told with its last message. Before the first
# message of a new connection both times are the same, and say nothing.
STATE = """
SELECT pg_is_in_recovery(),
       pid IS NOT NULL AND status IS NULL,
       last_msg_send_time <> last_msg_receipt_time AND pg_last_wal_replay_lsn() >= latest_end_lsn,
       extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::float,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float
FROM (SELECT) AS this LEFT JOIN pg_stat_wal_receiver ON true
"""


def age() -> float | None:
    """Ask the standby how many seconds old its data are at the most; None when it cannot know.

    Raises UnfitError for a server that is no standby or hides its state, DatabaseError or InterfaceError for
    one that does not answer.
    """
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(STATE)
        in_recovery, hidden, complete, message_age, replay_age = cursor.fetchone()
    if not in_recovery:
        raise UnfitError("it is no standby: it is not in recovery")
    if hidden:
        raise UnfitError("it hides the state of its WAL receiver: GRANT pg_read_all_stats to the shop's role")
    if complete:
        return float(message_age)
    if message_age is None or replay_age is None:
        return None
    return float(max(message_age, replay_age))


class Standby:
    """What this process knows of the standby, and each thread's way to it."""

    def __init__(self, max_lag: float) -> None:
        """Take for how many seconds what was right may be read."""
        self.max_lag = max_lag
        self.fresh = float("-inf")  # the standby shows all that was committed before, on the monotonic clock
        self.resume = float("-inf")  # when it may be used after a failure
        self.failures = 0
        self.used: bool | None = None
        self.lock, self.connecting, self.local = threading.Lock(), threading.Lock(), threading.local()
        self.watcher: threading.Thread | None = None
        self.connections: WeakSet[psycopg2.extensions.connection] = WeakSet()

    def read[Found](self, ask: Callable[[], Found]) -> Found:
        """Return what `ask` finds on the standby, or on the primary when the standby is not fit.

        What fails on the standby goes to the primary, unless a lock or statement time-out ended it there:
        the caller has waited long enough.
        """
        if self.fit() and self.connected():
            token = source.set(ALIAS)
            try:
                return ask()
            except (DatabaseError, InterfaceError) as error:
                if isinstance(error.__cause__, LockNotAvailable | QueryCanceled):
                    raise
                self.fail(one_line(error))
            finally:
                source.reset(token)
        return ask()

    def fit(self) -> bool:
        """Tell whether the standby shows all that was committed `max_lag` seconds ago."""
        if not self.watcher:
            with self.lock:
                if not self.watcher:  # not before the first request, as a thread does not survive a fork
                    self.watcher = threading.Thread(target=self.watch, name="standby", daemon=True)
                    self.watcher.start()
        return time.monotonic() - self.fresh <= self.max_lag

    def connected(self) -> bool:
        """Tell whether this thread has a connection of the time since the last failure; make one if need be.

        One thread at a time: the others need not wait with it for a server that may be gone.
        """
        connection = connections[ALIAS]
        if connection.connection and getattr(self.local, "failures", None) == self.failures:
            return True
        if not self.connecting.acquire(blocking=False):
            return False
        try:
            connection.close()
            self.local.failures = self.failures
            self.connect()
        except (DatabaseError, InterfaceError) as error:
            self.fail(one_line(error))
            return False
        finally:
            self.connecting.release()
        return True

    def connect(self) -> None:
        """Connect this thread if it is not, in a way that cut() can undo."""
        connection = connections[ALIAS]
        connection.ensure_connection()
        with self.lock:
            self.connections.add(connection.connection)

    def cut(self) -> None:
        """End all connections to a standby that hangs, under the threads that wait: it times nothing out."""
        with self.lock:
            for connection in self.connections:
                with suppress(psycopg2.InterfaceError, OSError):  # it was closed meanwhile
                    line = socket.socket(fileno=os.dup(connection.fileno()))
                    with line:
                        line.shutdown(socket.SHUT_RDWR)

    def fail(self, why: str) -> None:
        """Leave the standby alone for PAUSE_SECONDS, and this thread's connection to it for good."""
        connections[ALIAS].close()
        with self.lock:
            self.fresh, self.resume = float("-inf"), time.monotonic() + PAUSE_SECONDS
            self.failures += 1
            self.log_change(used=False, why=why)

    def log_change(self, *, used: bool, why: str = "") -> None:
        """Log a change: one line for all requests that it concerns."""
        if used and not self.used:
            logger.info("the standby is read from")
        elif not used and self.used is not False:
            logger.warning("the standby is not read from: %s", why)
        self.used = used

    def watch(self) -> None:
        while True:
            self.check()
            # A limit of one second could not be kept by checking once a second.
            time.sleep(max(min(1, self.max_lag / 4), self.resume - time.monotonic()))

    def check(self) -> None:
        """Find out how fresh the standby is."""
        began = time.monotonic()
        patience = threading.Timer(CHECK_SECONDS, self.cut)
        try:
            self.connect()
            patience.start()
            seconds = age()
        except (DatabaseError, InterfaceError, UnfitError) as error:
            self.fail(one_line(error))
            return
        finally:
            patience.cancel()
        with self.lock:
            if began < self.resume:  # it failed meanwhile
                return
            if seconds is not None:
                self.fresh = max(self.fresh, began - seconds)
            used = time.monotonic() - self.fresh <= self.max_lag
            self.log_change(used=used, why=f"it lags more than {self.max_lag} s")


standby = Standby(settings.DATABASE_REPLICA_MAX_LAG) if ALIAS in settings.DATABASES else None


IDENTITY = "SELECT system_identifier FROM pg_control_system()"
RECEIVER_TIMEOUT = (
    "SELECT setting::int, current_setting(name) FROM pg_settings WHERE name = 'wal_receiver_timeout'"
)


@register(Tags.database)
def check_standby(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """Check, for `manage.py check --database replica`, that the server is a standby of the primary."""
    if ALIAS not in (databases or ()):
        return []
    try:
        age()
        identities = []
        for alias in (ALIAS, DEFAULT_DB_ALIAS):
            with connections[alias].cursor() as cursor:
                cursor.execute(IDENTITY)
                identities += cursor.fetchone()
        if identities[0] != identities[1]:
            raise UnfitError("it is a standby of another server than the primary")
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(RECEIVER_TIMEOUT)
            milliseconds, shown = cursor.fetchone()
        limit = settings.DATABASE_REPLICA_MAX_LAG
        if not 0 < milliseconds <= limit * 1000:
            raise UnfitError(
                f"its wal_receiver_timeout must be set, to DATABASE_REPLICA_MAX_LAG ({limit} s) or less, "
                f"not {shown}: while nothing is written it hears from the primary twice in that time"
            )
    except (DatabaseError, InterfaceError, UnfitError) as error:
        host = settings.DATABASES[ALIAS]["HOST"]
        return [Error(f"DATABASE_REPLICA_HOST {host}: {one_line(error)}", id="shop.E001")]
    return []
