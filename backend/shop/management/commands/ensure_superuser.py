"""`manage.py ensure_superuser`: the superuser of the environment, made once."""

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction


class Command(BaseCommand):
    """Make what `createsuperuser --noinput` makes, and nothing when that user exists."""

    help = "Creates the superuser of DJANGO_SUPERUSER_USERNAME, _PASSWORD and _EMAIL unless it exists."

    def handle(self, **_: Any) -> None:
        """Create the superuser; one that exists keeps its password."""
        for name in ("DJANGO_SUPERUSER_USERNAME", "DJANGO_SUPERUSER_PASSWORD", "DJANGO_SUPERUSER_EMAIL"):
            if not os.environ.get(name):
                raise CommandError(f"{name} is missing")
        username = os.environ["DJANGO_SUPERUSER_USERNAME"]
        users = get_user_model()
        with transaction.atomic(), connection.cursor() as cursor:
            # Two boots at once: the second waits here and then finds the user.
            cursor.execute(f"LOCK TABLE {users._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
            if users.objects.filter(username=username).exists():
                self.stdout.write(f"Superuser {username} exists.")
            else:
                call_command("createsuperuser", interactive=False, stdout=self.stdout)
