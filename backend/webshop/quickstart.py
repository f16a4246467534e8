"""`manage.py quickstart`: the whole shop without Docker, on a PostgreSQL of its own in backend/.postgres/."""

import argparse
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .postgres import DATABASE, USER, PostgresError, Server, end_with_parent, postgres

BASE_DIR = Path(__file__).resolve().parent.parent
STATE = BASE_DIR / ".postgres"


def quickstart(arguments: list[str]) -> str | None:
    """Run PostgreSQL and the development server until Ctrl-C; return what went wrong, in one line."""
    parser = argparse.ArgumentParser(prog="manage.py quickstart", description=__doc__)
    parser.add_argument(
        "address", nargs="?", default="127.0.0.1:8000", help="[host:]port, 127.0.0.1:8000 if not given"
    )
    host, _, port = parser.parse_args(arguments).address.rpartition(":")
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    if "UV" in os.environ:
        end_with_parent(signal.SIGTERM)
    try:
        check_port(host or "127.0.0.1", port)
        STATE.mkdir(exist_ok=True)
        with (STATE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with postgres(STATE / "data") as server:
                run_shop(server, f"{host or '127.0.0.1'}:{port}")
    except KeyboardInterrupt:
        return None
    except BlockingIOError:
        return "quickstart: it runs already in this checkout"
    except (OSError, PostgresError) as error:
        return f"quickstart: {error}"
    return None


def stop(*_: Any) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt


def check_port(host: str, port: str) -> None:
    """Raise OSError when the shop could not listen there."""
    try:
        with socket.create_server((host, int(port))):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise OSError(f"cannot listen on {host}:{port} ({error}); name another: quickstart 8001") from None


def run_shop(server: Server, address: str) -> None:
    """Run the entrypoint of the container image on this server until the shop or the server ends."""
    environment = {
        "DEBUG": "1",
        "DATABASE_HOST": str(server.socket_dir),
        "DATABASE_NAME": DATABASE,
        "DATABASE_USERNAME": USER,
    }
    admin = {
        "DJANGO_SUPERUSER_USERNAME": "admin",
        "DJANGO_SUPERUSER_PASSWORD": "admin123",
        "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
    }
    # Other manage.py commands find the database here as long as it runs.
    env_file = STATE / "env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    shop = subprocess.Popen(
        ["sh", "entrypoint.sh", "python", "manage.py", "runserver", address],
        cwd=BASE_DIR,
        env={
            **os.environ,
            **environment,
            **admin,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        process_group=0,
        preexec_fn=lambda: end_with_parent(signal.SIGTERM),
    )
    try:
        while shop.poll() is None:
            if server.process.poll() is not None:
                raise PostgresError(f"PostgreSQL ended; its log is {STATE / 'postgres.log'}")
            time.sleep(0.2)
        raise PostgresError(f"the shop ended with exit code {shop.returncode}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shop.pid, signal.SIGTERM)
        shop.wait()
        env_file.unlink()
