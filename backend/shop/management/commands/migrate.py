"""`manage.py migrate`: Django's, one at a time, and never in the way of the shop for long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DataError, IntegrityError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg2.errors import LockNotAvailable

from shop.database.errors import one_line
from shop.database.migration_state import missing_migrations

LOCK = int.from_bytes(b"migrate")
"""The key of the advisory lock in the database that is migrated: 30796665482998885."""

PATIENCE_SECONDS = 300


class Command(migrate.Command):
    """Migrate while no other process does; give up when a table stays locked."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate as Django does.

        Raises CommandError when another migrate does not end, a table stays locked, rows break a new rule, or
        a transaction pooler is in between, which does not keep a session's lock.
        """
        if options["check_unapplied"] or options["plan"]:
            super().handle(*args, **options)
            return
        connection = connections[options["database"]]
        if connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]:
            if options["app_label"] or missing_migrations(connection):
                raise CommandError(
                    "migrate needs PostgreSQL itself, not a transaction pooler: set its DATABASE_HOST and "
                    "DATABASE_PORT, and DATABASE_TRANSACTION_POOLER=0"
                )
            self.stdout.write("No migrations to apply.")
            return
        with self.alone(connection):
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                self.stdout.write()
                raise CommandError(
                    "another transaction kept a table locked for 0.8 s; the migration that needs it was "
                    "undone: try again"
                ) from None
            except (DataError, IntegrityError) as error:
                self.stdout.write()
                raise CommandError(f"the data do not fit: {one_line(error)}") from None

    @contextmanager
    def alone(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Hold the lock, and let statements run for long but wait for a table no longer than 0.8 s.

        A statement that waits makes all later ones on its table wait behind it: for less than their own
        lock_timeout in compose.prod.yml, so that none of them fails.
        """
        with connection.cursor() as cursor:
            self.wait_for_lock(cursor)
            cursor.execute("SET lock_timeout = '800ms'; SET statement_timeout = 0")
        try:
            yield
        finally:
            if connection.connection and connection.is_usable():  # if not, the lock went with the connection
                with connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout; RESET statement_timeout")
                    cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])

    def wait_for_lock(self, cursor: Any) -> None:
        """Take the lock, by trying: who waits in PostgreSQL is waited for by CREATE INDEX CONCURRENTLY."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        waited = False
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            (locked,) = cursor.fetchone()
            if locked:
                return
            if time.monotonic() >= deadline:
                raise CommandError(f"another migrate did not end within {PATIENCE_SECONDS} s")
            if not waited:
                self.stdout.write("Waiting for another migrate to end.")
                self.stdout.flush()
            waited = True
            time.sleep(0.5)
