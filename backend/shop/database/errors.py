"""Error messages of the database: logs must not show what customers entered."""

import re
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg2.errors import DeadlockDetected, LockNotAvailable


def without_values(execute: Callable[..., Any], *args: Any) -> Any:
    """Run a statement; take from an error what PostgreSQL quotes: values.

    Below its first line that is the row, or the statement around the place where it failed.
    """
    try:
        return execute(*args)
    except DatabaseError as error:
        for wrapped in (error, error.__cause__):
            if wrapped:
                line = str(wrapped).partition("\n")[0]
                quotes_values = isinstance(error, DataError) or "tsquery" in line
                wrapped.args = (re.sub('".*', "…", line) if quotes_values else line,)
        raise


def install(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Have a new connection run its statements so."""
    if without_values not in connection.execute_wrappers:
        connection.execute_wrappers.append(without_values)


def is_outage(error: BaseException | None) -> bool:
    """Tell whether the database did not answer, or not in time.

    When it dies in the middle of an answer, psycopg2 has no kind of error for that.
    """
    return isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line; PostgreSQL's have several, and a newline at the end."""
    return " ".join(str(error).split())


connection_created.connect(install)


def is_lock_conflict(error: BaseException) -> bool:
    """Tell whether PostgreSQL ended a statement for what others have locked."""
    return isinstance(error.__cause__, DeadlockDetected | LockNotAvailable)
