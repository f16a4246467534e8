"""`manage.py runserver`: Django's; without a database it ends with one line."""

import os

from django.contrib.staticfiles.management.commands import runserver
from django.db import OperationalError

from shop.database.errors import one_line


class Command(runserver.Command):
    """Serve for developers, with static files."""

    def check_migrations(self) -> None:
        """Tell which migrations are missing; end the process when there is no database to ask."""
        try:
            super().check_migrations()
        except OperationalError as error:
            self.stderr.write(f"manage.py: the database does not answer: {one_line(error)}")
            os._exit(1)  # the server runs in a thread, whose exceptions end nothing
