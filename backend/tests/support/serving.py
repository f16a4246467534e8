"""The shop on a real server, as a process of its own on the database of the tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.db import connection

from tests import BACKEND

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")

OTHER_DATABASE = f"test_other{WORKER}"
"""What the fixture other_database makes, a name for each of those who test at the same time."""

MIGRATED_DATABASE = f"test_migrated{WORKER}"
"""What the fixture migrated_database copies."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Shop:
    """A running server; its log is in two files."""

    port: int
    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask on a connection of its own; redirects are not followed."""
        return self.ask(method, path, b"", headers)

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """Send a body, as get() asks."""
        return self.ask("POST", path, body, headers)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Ask with these headers, whose names have underscores for hyphens."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, names)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())

    def requests(self, number: int) -> list[dict[str, Any]]:
        """Wait for so many lines in the log of requests, and return them all."""
        return lines(self.stdout, number)

    def log(self, number: int = 1) -> list[dict[str, Any]]:
        """Return what else it logged, which is so much at least."""
        return lines(self.stderr, number)

    def forget(self) -> None:
        """Empty both logs."""
        for log in (self.stdout, self.stderr):
            os.truncate(log, 0)

    def workers(self, number: int) -> list[int]:
        """Wait until so many processes answer, and return them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + 20
        while len(found := [int(pid) for pid in children.read_text().split()]) != number:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found


def lines(path: Path, number: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 20
    while len(written := path.read_text().splitlines()) < number:
        assert time.monotonic() < deadline, written
        time.sleep(0.02)
    return [json.loads(line) for line in written]


def environment(**more: str) -> dict[str, str]:
    """Return that of a shop in production, open, on the database of this process."""
    return {
        "PATH": os.environ["PATH"],
        "DEBUG": "0",
        "DJANGO_HTTPS": "0",
        "DJANGO_SECRET_KEY": "of the tests",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "SHOP_API_AUTH": "open",
        **database(),
        **more,
    }


def command_environment(name: str = "") -> dict[str, str]:
    """Return that of a command of manage.py on the database of this process, or on another one beside it."""
    return os.environ | {"DJANGO_SETTINGS_MODULE": "webshop.settings"} | database(name)


def database(name: str = "") -> dict[str, str]:
    """Return the variables of the database of this process, or of another one beside it."""
    parts = connection.settings_dict
    return {
        "DATABASE_NAME": name or str(parts["NAME"]),
        "DATABASE_USERNAME": str(parts["USER"]),
        "DATABASE_PASSWORD": str(parts["PASSWORD"]),
        "DATABASE_HOST": str(parts["HOST"]),
        "DATABASE_PORT": str(parts["PORT"]),
    }


def serving(directory: Path, *arguments: str, **more: str) -> AbstractContextManager[Shop]:
    """Serve the shop with these arguments to gunicorn and variables until the block ends."""
    return running(directory, ["-m", "gunicorn", "webshop.wsgi", *arguments, "--bind"], more)


@contextmanager
def replica(**more: str) -> Iterator[str]:
    """Serve the shop with one process; yield its address. The test's rows must be committed."""
    with TemporaryDirectory() as directory, serving(Path(directory), "--workers=1", **more) as shop:
        yield f"http://127.0.0.1:{shop.port}"


def developing(directory: Path) -> AbstractContextManager[Shop]:
    """Serve the shop as developers do until the block ends."""
    more = {"DEBUG": "1", "PYTHONUNBUFFERED": "1"}
    return running(directory, ["manage.py", "runserver", "--noreload"], more)


@contextmanager
def running(directory: Path, command: list[str], more: dict[str, str]) -> Iterator[Shop]:
    """Run Python with this command and a free address until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    stdout, stderr = directory / "stdout", directory / "stderr"
    with stdout.open("ab") as out, stderr.open("ab") as err:
        process = subprocess.Popen(
            [sys.executable, *command, f"127.0.0.1:{port}"],
            cwd=BACKEND,
            env=environment(**more),
            stdout=out,
            stderr=err,
        )
    try:
        wait_for(port, stderr)
        yield Shop(port, process, stdout, stderr)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    pytest.fail(f"the shop does not listen: {log.read_text()}")
