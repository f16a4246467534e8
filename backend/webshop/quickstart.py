"""`manage.py quickstart`: the whole shop without Docker, on a PostgreSQL of its own in backend/.postgres/."""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from shop.database.errors import one_line

from .postgres import DATABASE, PORT, USER, PostgresError, Server, end_with_parent, lock, postgres

BASE_DIR = Path(__file__).resolve().parent.parent
STATE = BASE_DIR / ".postgres"


def quickstart(arguments: list[str]) -> None:
    """Run PostgreSQL and the development server until Ctrl-C; exit with one line on what went wrong."""
    parser = argparse.ArgumentParser(prog="manage.py quickstart", description=__doc__)
    parser.add_argument(
        "address", nargs="?", default="127.0.0.1:8000", help="[host:]port, 127.0.0.1:8000 if not given"
    )
    host, _, port = parser.parse_args(arguments).address.rpartition(":")
    host = host or "127.0.0.1"
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, stop)
    with suppress(OSError):
        # uv cannot hand on its own kill -9. Other parents, a shell for one, may end before the shop.
        if Path(f"/proc/{os.getppid()}/exe").samefile(os.environ.get("UV", "")):
            end_with_parent(signal.SIGTERM)
    try:
        STATE.mkdir(exist_ok=True)
        lock(STATE, patience=0)
        check_port(host, port)
        sweep()
        with postgres(STATE / "data") as server:
            run_shop(server, f"{host}:{port}")
    except KeyboardInterrupt:
        return
    except PostgresError as error:
        sys.exit(f"quickstart: {one_line(error)}")
    except OSError as error:
        sys.exit(f"quickstart: {error}; it needs to write in {STATE} and /tmp")


def stop(*_: Any) -> None:
    """Handle the first signal as Ctrl-C is handled; another one must not break into the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def sweep() -> None:
    """Remove what a quickstart that was killed left in /tmp; its env file names it."""
    with suppress(FileNotFoundError):
        left = re.search(r"^DATABASE_HOST=(/tmp/webshop-\w+)$", (STATE / "env").read_text(), re.MULTILINE)
        if left:
            shutil.rmtree(left[1], ignore_errors=True)


def check_port(host: str, port: str) -> None:
    """Exit with one line unless the shop can listen there."""
    try:
        if not re.fullmatch("[1-9][0-9]{0,4}", port):
            raise ValueError("not a port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host.strip("[]"), int(port)), family=family):
            pass
    except (OSError, ValueError, OverflowError) as error:
        sys.exit(f"quickstart: cannot listen on {host}:{port} ({error}); name another port: quickstart 8001")


@contextmanager
def running(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of the shop, which ends with the block, and with this process."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        cwd=BASE_DIR,
        env=environment,
        process_group=0,
        preexec_fn=partial(end_with_parent, signal.SIGTERM),
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def run_shop(server: Server, address: str) -> None:
    """Run the entrypoint of the container image on this server; exit with one line when either ends."""
    database = {
        "DEBUG": "1",
        "DATABASE_ENGINE": "postgresql",
        "DATABASE_NAME": DATABASE,
        "DATABASE_USERNAME": USER,
        "DATABASE_HOST": str(server.socket_dir),
        "DATABASE_PORT": PORT,
    }
    # They win over the developer's environment and backend/.env, which may be meant for Docker or production.
    environment = {
        **os.environ,
        **database,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "DJANGO_SETTINGS_MODULE": "webshop.settings",
        "DJANGO_ALLOWED_HOSTS": f"localhost,127.0.0.1,[::1],{os.environ.get('DJANGO_ALLOWED_HOSTS', '')}",
        "DJANGO_HTTPS": "0",
    }
    env_file = STATE / "env"
    print(f"The shop will be at http://{address}/, the admin at http://{address}/admin/; Ctrl-C ends both.")  # noqa: T201
    try:
        # Other manage.py commands find the database here as long as it runs.
        env_file.write_text("".join(f"{name}={value}\n" for name, value in database.items()))
        with ExitStack() as stack:
            shop, jobs = (
                stack.enter_context(running(command, environment))
                for command in (
                    ["sh", "entrypoint.sh", "python", "manage.py", "runserver", address],
                    [
                        "sh",
                        "-c",
                        "python manage.py await_migrations >/dev/null && exec python manage.py run_jobs",
                    ],
                )
            )
            while all(process.poll() is None for process in (server.process, shop, jobs)):
                time.sleep(0.2)
    finally:
        env_file.unlink(missing_ok=True)
    if server.process.poll() is None:
        sys.exit("quickstart: the shop or its worker ended; the last lines say why")
    sys.exit(f"quickstart: PostgreSQL ended (log: {STATE / 'postgres.log'}); start it again")
