"""`manage.py ensure_roles`: the groups of the staff, with what each may do."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from shop.admin.roles import ROLES, NoPermissionError, codenames, ensure_roles


class Command(BaseCommand):
    """Make the groups of shop.admin.roles; nothing is taken from a group that exists."""

    help = f"Makes the groups {', '.join(ROLES)}, and gives each the permissions that it lacks."

    def handle(self, **_: Any) -> None:
        """Make and complete the groups, and say in one line what was done."""
        try:
            given = ensure_roles()
        except NoPermissionError as error:
            raise CommandError(f"the permission {error} is missing: run manage.py migrate") from error
        said = [
            f"{role} (all)" if set(lacking) == codenames(role) else f"{role} ({', '.join(lacking)})"
            for role, lacking in given.items()
        ]
        self.stdout.write(f"Given: {', '.join(said)}." if said else "All roles have what they need.")
