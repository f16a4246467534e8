"""Backups are made, kept and restored; the restore is rehearsed into an empty database."""

import hashlib
import json
from collections.abc import Iterator

import pytest

from tests import BACKEND

from .stack import Compose, inspect, run, wait_until

pytestmark = pytest.mark.docker

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
    backup(shop, "now")
    before = rows(shop)
    assert len(before) == 18
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


def test_a_full_disk_loses_nothing(shop: Compose, small_disk: str) -> None:
    environment = json.loads(inspect(shop.containers("backup")[0], "{{json .Config.Env}}"))
    options = ["--rm", f"--network={shop.project}_back", "--user=postgres"]
    options += [f"--volume={BACKEND}/production/backup.sh:/backup.sh:ro"]
    options += [f"--volume={small_disk}:/var/lib/postgresql"]
    options += [f"--env={variable}" for variable in environment]
    steps = (
        "sh /backup.sh now",
        "head -c 2000000 /dev/zero >/var/lib/postgresql/ballast 2>/dev/null",
        "sh /backup.sh now",
        "echo exit $?",
        "ls /var/lib/postgresql",
    )
    result = run("docker", "run", *options, "--entrypoint=sh", "postgres:17", "-c", "; ".join(steps))
    made, *rest = result.stdout.splitlines()
    assert rest == ["exit 1", "ballast", "data", "lock", made.split()[1].rstrip(",")]
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("backup: no backup was made, the older ones stay: pg_dump: error: ")
    assert "No space left on device" in result.stderr
