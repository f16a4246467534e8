"""`manage.py await_migrations`: wait until another process has migrated the database."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, connection

from shop.database.errors import one_line
from shop.database.migration_state import missing_migrations

PATIENCE_SECONDS = 300


class Command(BaseCommand):
    """Return once the database answers and no migration is missing; migrate nothing."""

    help = "Waits until the database answers and all migrations are applied."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--timeout", type=int, default=PATIENCE_SECONDS, metavar="SECONDS", help="default: %(default)s"
        )

    def handle(self, *, timeout: int, **_: Any) -> None:
        """Wait, and say why whenever the reason changes."""
        if timeout < 0:
            raise CommandError(f"--timeout must be 0 or more, not {timeout}")
        deadline = time.monotonic() + timeout
        said = None
        while reason := self.reason():
            if time.monotonic() >= deadline:
                raise CommandError(f"gave up after {timeout} s: {reason}")
            kind = reason.partition(":")[0]
            if kind != said:
                self.stdout.write(f"Waiting: {reason}")
                self.stdout.flush()
            said = kind
            time.sleep(min(1, max(0, deadline - time.monotonic())))

    def reason(self) -> str:
        """Return what there is to wait for, or nothing."""
        try:
            missing = missing_migrations(connection)
        except (OperationalError, InterfaceError) as error:
            connection.close()
            return f"the database does not answer: {one_line(error)}"
        return f"migrations are missing: {', '.join(missing)}" if missing else ""
