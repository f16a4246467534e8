"""compose.yml in several clones of the repository on one machine."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import BACKEND

from .stack import free_port, run

pytestmark = pytest.mark.docker


@dataclass
class Clone:
    """The directory `backend` of a clone, with an .env of its own."""

    backend: Path

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PWD": str(self.backend)}
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

    second.publish(DATABASE_PORT=free_port())
    second.compose("up", "-d", "--wait", "db")
    assert second.psql("SELECT count(*) FROM pg_tables WHERE tablename = 'first'") == "0\n"
    second.compose("down", "-v", "--timeout", "5")
    assert first.compose("ps", "-q", "db").stdout == before
    assert first.psql("SELECT count(*) FROM first") == "0\n"


def test_the_ports_are_those_of_this_machine_alone(first: Clone) -> None:
    first.publish(SHOP_PORT=8001, DATABASE_PORT=5433)
    services = json.loads(first.compose("config", "--format", "json").stdout)["services"]
    published = {
        name: [(port["host_ip"], port["published"], port["target"]) for port in service["ports"]]
        for name, service in services.items()
    }
    assert published == {"web": [("127.0.0.1", "8001", 8000)], "db": [("127.0.0.1", "5433", 5432)]}
    assert services["web"]["environment"]["DATABASE_PORT"] == "5432"


def test_the_earlier_name_keeps_the_earlier_database(first: Clone) -> None:
    (first.backend / ".env").write_text("COMPOSE_PROJECT_NAME=webshop\n")
    volumes = json.loads(first.compose("config", "--format", "json").stdout)["volumes"]
    assert volumes["postgres_data"]["name"] == "webshop_postgres_data"
