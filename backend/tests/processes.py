"""The shop in processes of its own, as replicas are, on the database of the test."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection


@contextmanager
def replica(**environment: str) -> Iterator[str]:
    """Run the production server with one process; yield its address. The test's rows must be committed."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    database = {f"DATABASE_{name}": str(connection.settings_dict[name]) for name in ("HOST", "PORT", "NAME")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "webshop.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "1"],
        cwd=settings.BASE_DIR,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SECRET_KEY": "of the tests",
            "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
            "SHOP_API_AUTH": "open",
            **database,
            "DATABASE_USERNAME": str(connection.settings_dict["USER"]),
            "DATABASE_PASSWORD": str(connection.settings_dict["PASSWORD"]),
            **environment,
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.05)
            else:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
