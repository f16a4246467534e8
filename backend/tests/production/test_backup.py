"""Backups are made, kept and restored; the restore is rehearsed into an empty database."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Sequence

import pytest
from django.apps import apps

from tests import BACKEND

from .stack import Compose, inspect, run, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def rows(shop: Compose) -> dict[str, str]:
    """The digest of all rows of each table."""
    found = {}
    for table in shop.psql(TABLES).splitlines():
        text = shop.psql(f'SELECT t FROM "{table}" AS t ORDER BY t::text')
        found[table] = hashlib.sha256(text.encode()).hexdigest()
    return found


def backup(shop: Compose, *arguments: str) -> str:
    return shop.execute("backup", "sh", "/backup.sh", *arguments)


@pytest.fixture
def afterwards(shop: Compose) -> Iterator[None]:
    yield
    shop.compose("up", "-d")
    shop.wait()


def test_a_backup_is_made_by_itself_and_restored(shop: Compose, afterwards: None) -> None:
    wait_until("the first backup", lambda: backup(shop, "list"))
    first = f"/var/lib/postgresql/{backup(shop, 'list').splitlines()[0]}"
    table = shop.execute(
        "backup", "pg_restore", "--data-only", "--table=django_migrations", "--file=-", first
    )
    migrations = int(shop.psql("SELECT count(*) FROM django_migrations"))
    assert len(re.findall(r"^\d+\t", table, re.M)) == migrations
    shop.compose("stop", "jobs")  # it writes its regular jobs at any moment
    backup(shop, "now")
    before = rows(shop)
    kept = {
        model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.managed
    }
    assert set(before) == {*kept, "django_migrations"}
    assert before["order"] != before["cart"]

    refused = shop.compose("exec", "-T", "backup", "sh", "/backup.sh", "restore", "latest", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "backup: the database is not empty: nothing was restored\n",
    )
    assert rows(shop) == before

    shop.compose("stop", "web", "migrate")
    shop.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
    said = backup(shop, "restore", "latest")
    assert said.endswith("is restored")
    assert rows(shop) == before
    check = ("--rm", "-T", "--no-deps", "--entrypoint", "python", "migrate", "manage.py", "check_shop")
    assert shop.compose("run", *check).stdout == "The books balance.\n"


def test_the_oldest_backups_make_room(shop: Compose) -> None:
    command = "sleep 1; sh /backup.sh now; sleep 1; sh /backup.sh now; sleep 1; sh /backup.sh now"
    kept = "sh /backup.sh list | wc -l"
    options = ("--rm", "-T", "--no-deps", "-e", "BACKUP_KEEP=2", "--entrypoint", "sh", "backup", "-c")
    assert shop.compose("run", *options, f"{command}; {kept}").stdout.splitlines()[-1] == "2"


@pytest.mark.parametrize("variable", ["BACKUP_KEEP", "BACKUP_HOURS"])
def test_settings_that_cannot_be_meant_are_one_line(shop: Compose, variable: str) -> None:
    options = ("--rm", "-T", "--no-deps", "-e", f"{variable}=0", "backup", "now")
    result = shop.compose("run", *options, check=False)
    assert result.returncode == 1
    line = "backup: BACKUP_HOURS and BACKUP_KEEP must be whole numbers from 1 on, not '0'"
    assert line in result.stderr.splitlines()


@pytest.fixture
def small_disk() -> Iterator[str]:
    """A volume of one MiB."""
    name = f"{Compose.project}_small"
    options = ("--opt=type=tmpfs", "--opt=device=tmpfs", "--opt=o=size=1m,mode=1777")
    run("docker", "volume", "create", *options, name)
    yield name
    run("docker", "volume", "rm", name)


def run_steps(
    shop: Compose, volume: str, steps: Sequence[str], *options: str
) -> subprocess.CompletedProcess[str]:
    """Run them in a container as `backup` is, but with another volume."""
    environment = json.loads(inspect(shop.containers("backup")[0], "{{json .Config.Env}}"))
    options += ("--rm", f"--network={shop.project}_back", "--user=postgres")
    options += (f"--volume={BACKEND}/production/backup.sh:/backup.sh:ro",)
    options += (f"--volume={volume}:/var/lib/postgresql",)
    options += tuple(f"--env={variable}" for variable in environment)
    return run("docker", "run", *options, "--entrypoint=sh", "postgres:17", "-c", "; ".join(steps))


def test_the_first_backup_waits_for_the_migrations(shop: Compose, small_disk: str) -> None:
    steps = ("timeout 5 sh /backup.sh schedule", "echo exit $?", "sh /backup.sh list")
    not_there = "--add-host=web:127.0.0.1"
    assert run_steps(shop, small_disk, steps, not_there).stdout == "exit 124\n"
    assert run_steps(shop, small_disk, steps).stdout.startswith("backup: webshop-")


def test_a_backup_is_healthy_unless_it_is_overdue(shop: Compose, small_disk: str) -> None:
    wait_until("a healthy backup", lambda: shop.healthy("backup"))
    ask = "sh /backup.sh healthy; echo $?"
    steps = (
        ask,
        f"flock lock sh -c '{ask}'",
        f"touch webshop-1.dump; {ask}",
        f"touch -d '-24 hours -50 minutes' webshop-1.dump; {ask}",
        f"touch -d '-25 hours -10 minutes' webshop-1.dump; {ask}",
    )
    said = run_steps(shop, small_disk, steps, "--workdir=/var/lib/postgresql").stdout
    assert said.split() == ["1", "0", "0", "0", "1"]


def test_a_full_disk_loses_nothing(shop: Compose, small_disk: str) -> None:
    steps = (
        "sh /backup.sh now",
        "head -c 2000000 /dev/zero >/var/lib/postgresql/ballast 2>/dev/null",
        "sh /backup.sh now",
        "echo exit $?",
        "ls /var/lib/postgresql",
    )
    result = run_steps(shop, small_disk, steps)
    made, *rest = result.stdout.splitlines()
    assert rest == ["exit 1", "ballast", "data", "lock", made.split()[1].rstrip(",")]
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("backup: no backup was made, the older ones stay: pg_dump: error: ")
    assert "No space left on device" in result.stderr
