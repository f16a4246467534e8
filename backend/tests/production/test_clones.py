"""compose.yml in several clones of the repository on one machine, and what goes wrong there."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import BACKEND, ROOT

from .stack import free_port, run

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@dataclass
class Clone:
    """The directory `backend` of a clone, with an .env of its own."""

    backend: Path

    def compose(
        self, *arguments: str, check: bool = True, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PWD": str(self.backend)} | changes
        files = ("--file", str(self.backend / "compose.yml"))
        return run("docker", "compose", *files, *arguments, check=check, env=environment)

    def publish(self, **ports: int) -> None:
        """Choose the published ports in .env."""
        lines = (f"{name}={port}\n" for name, port in ports.items())
        (self.backend / ".env").write_text("".join(lines))

    def psql(self, sql: str) -> str:
        return self.compose(
            "exec", "-T", "db", "psql", "-AtqU", "webshop_user", "webshop_db", "-c", sql
        ).stdout


@contextmanager
def cloned(path: Path) -> Iterator[Clone]:
    path.mkdir(parents=True)
    shutil.copy(BACKEND / "compose.yml", path)
    clone = Clone(path)
    try:
        yield clone
    finally:
        clone.compose("down", "-v", "--timeout", "5")


def explained(failed: subprocess.CompletedProcess[str]) -> list[str]:
    """The texts of the troubleshooting table that it says."""
    assert failed.returncode != 0
    page = (ROOT / "docs" / "SETUP_COMPLETE.md").read_text().partition("## Troubleshooting")[2]
    symptoms = "".join(re.findall(r"^\| (.+?) \| ", page, re.M))
    return [text for text in re.findall(r"`([^`]+)`", symptoms) if text in failed.stderr]


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Clone]:
    with cloned(tmp_path / "first" / "backend") as clone:
        yield clone


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Clone]:
    with cloned(tmp_path / "second" / "backend") as clone:
        yield clone


def test_a_second_clone_leaves_the_first_alone(first: Clone, second: Clone) -> None:
    port = free_port()
    first.publish(DATABASE_PORT=port)
    first.compose("up", "-d", "--wait", "db")
    first.psql("CREATE TABLE first ()")
    before = first.compose("ps", "-q", "db").stdout

    second.publish(DATABASE_PORT=port)
    refused = second.compose("up", "-d", "db", check=False)
    assert refused.returncode != 0
    assert refused.stderr.strip().endswith(f"Bind for 127.0.0.1:{port} failed: port is already allocated")
    assert explained(refused)

    second.publish(DATABASE_PORT=free_port())
    second.compose("up", "-d", "--wait", "db")
    assert second.psql("SELECT count(*) FROM pg_tables WHERE tablename = 'first'") == "0\n"
    second.compose("down", "-v", "--timeout", "5")
    assert first.compose("ps", "-q", "db").stdout == before
    assert first.psql("SELECT count(*) FROM first") == "0\n"
    assert str(first.backend / "compose.yml") in first.compose("ls", "-a").stdout


def test_the_ports_are_those_of_this_machine_alone(first: Clone) -> None:
    first.publish(SHOP_PORT=8001, DATABASE_PORT=5433)
    services = json.loads(first.compose("config", "--format", "json").stdout)["services"]
    published = {
        name: [(port["host_ip"], port["published"], port["target"]) for port in service.get("ports", [])]
        for name, service in services.items()
    }
    web, db = ("127.0.0.1", "8001", 8000), ("127.0.0.1", "5433", 5432)
    assert published == {"web": [web], "jobs": [], "db": [db]}
    assert services["web"]["environment"]["DATABASE_PORT"] == "5432"


def test_the_earlier_name_keeps_the_earlier_database(first: Clone) -> None:
    (first.backend / ".env").write_text("COMPOSE_PROJECT_NAME=webshop\n")
    volumes = json.loads(first.compose("config", "--format", "json").stdout)["volumes"]
    assert volumes["postgres_data"]["name"] == "webshop_postgres_data"


def test_the_troubleshooting_says_what_docker_says(first: Clone) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first.publish(DATABASE_PORT=listener.getsockname()[1])
        refused = first.compose("up", "-d", "db", check=False)
        assert explained(refused) == ["address already in use"]
    first.compose("up", "-d", "--wait", "db")
    psql = ("psql", "--host=db", "--username=webshop_user", "webshop_db")
    refused = first.compose("exec", "-T", "-e", "PGPASSWORD=another", "db", *psql, check=False)
    assert explained(refused) == ["password authentication failed for user"]
    elsewhere = str(first.backend / "shop")
    refused = first.compose("exec", "-T", "web", "true", check=False, PWD=elsewhere)
    assert explained(refused) == ['service "web" is not running']
    assert explained(first.compose("ps", check=False, PWD="")) == ["required variable PWD is missing"]
    gone = first.compose("ps", check=False, DOCKER_HOST="unix:///nowhere.sock")
    assert len(explained(gone)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody whom Docker refuses")
def test_the_troubleshooting_says_what_docker_says_to_others() -> None:
    refused = run("docker", "ps", check=False, user=65534)
    assert explained(refused) == ["permission denied while trying to connect to"]
