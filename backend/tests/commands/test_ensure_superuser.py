"""manage.py ensure_superuser, which the entrypoint runs; and commands before `migrate`."""

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

from tests import BACKEND
from tests.support.serving import OTHER_DATABASE, command_environment

NAMES = ("DJANGO_SUPERUSER_USERNAME", "DJANGO_SUPERUSER_PASSWORD", "DJANGO_SUPERUSER_EMAIL")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _superuser(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("chief", "of staff", "chief@example.com"), strict=True):
        monkeypatch.setenv(name, value)


def test_the_superuser_is_made_once_and_keeps_a_changed_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("ensure_superuser")
    chief = User.objects.get()
    assert (chief.username, chief.email, chief.is_superuser) == ("chief", "chief@example.com", True)
    assert chief.check_password("of staff")
    chief.set_password("changed")
    chief.save()
    call_command("ensure_superuser")
    assert User.objects.get().check_password("changed")
    assert capsys.readouterr().out == "Superuser created successfully.\nSuperuser chief exists.\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(CommandError, match=f"^{name} is missing$"):
        call_command("ensure_superuser")
    assert not User.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["ensure_superuser", "ensure_roles", "load_sample_data"])
def test_before_migrate_a_command_says_what_to_do(command: str) -> None:
    environment = command_environment("postgres")
    result = subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=BACKEND,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "manage.py: the database has no tables yet: run manage.py migrate\n"


@pytest.mark.slow
def test_the_second_of_two_boots_finds_the_superuser(migrated_database: Any) -> None:
    environment = command_environment(OTHER_DATABASE)
    migrated_database.execute(
        "BEGIN; INSERT INTO auth_user (username, password, is_superuser, first_name, last_name, email, "
        "is_staff, is_active, date_joined) VALUES ('chief', '!', true, '', '', '', true, true, now())"
    )
    command = [sys.executable, "manage.py", "ensure_superuser"]
    second = subprocess.Popen(command, cwd=BACKEND, env=environment, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=4)
    migrated_database.execute("COMMIT")
    assert second.communicate(timeout=20)[0] == "Superuser chief exists.\n"
    assert second.returncode == 0
