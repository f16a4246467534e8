"""Error messages of the database: logs must not show what customers entered."""

from collections.abc import Callable
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


def without_values(execute: Callable[..., Any], *args: Any) -> Any:
    """Run a statement; take from an error what PostgreSQL adds below its first line: values of the row."""
    try:
        return execute(*args)
    except IntegrityError as error:
        for wrapped in (error, error.__cause__):
            if wrapped:
                wrapped.args = (str(wrapped).partition("\n")[0],)
        raise


def install(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Have a new connection run its statements so."""
    if without_values not in connection.execute_wrappers:
        connection.execute_wrappers.append(without_values)


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line; PostgreSQL's have several, and a newline at the end."""
    return " ".join(str(error).split())


connection_created.connect(install)
