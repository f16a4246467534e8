#!/usr/bin/env python
"""Django's command-line utility for the webshop."""

import os
import sys


def main() -> None:
    """Run one command; what its user can mend is one line on stderr and exit code 1."""
    if sys.argv[1:2] == ["quickstart"]:
        # It makes the environment that the settings are read from, so it runs before Django.
        try:
            from webshop.quickstart import quickstart
        except ModuleNotFoundError as error:
            sys.exit(f"quickstart: {error}; it needs the dev dependencies: uv sync")
        quickstart(sys.argv[2:])
        return

    from django import conf
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError
    from psycopg2.errors import UndefinedTable

    from shop.database.errors import one_line

    settings = "tests.settings" if sys.argv[1:2] == ["test"] else "webshop.settings"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    try:
        if sys.argv[1:2] != ["help"]:
            # Django puts off what the settings refuse, until the shell stumbles over it with a traceback.
            _ = conf.settings.DEBUG
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"manage.py: {error}")
    except OperationalError as error:
        sys.exit(f"manage.py: the database does not answer: {one_line(error)}")
    except ProgrammingError as error:
        if not isinstance(error.__cause__, UndefinedTable):
            raise
        sys.exit("manage.py: the database has no tables yet: run manage.py migrate")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
