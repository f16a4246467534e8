"""The data directory of a migrated shop, made once and copied to where a PostgreSQL of its own is wanted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import BACKEND
from webshop.postgres import postgres


@pytest.fixture(scope="session")
def migrated_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with all tables and no rows, in which nothing runs."""
    data = tmp_path_factory.mktemp("migrated") / "data"
    with postgres(data, fsync="off") as server:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"],
            cwd=BACKEND,
            env={"PATH": os.environ["PATH"], "DEBUG": "1", "DATABASE_HOST": str(server.socket_dir)},
            check=True,
        )
    return data


def copy_data(data: Path, directory: Path) -> Path:
    """Copy a data directory to `data` in this one, with its owner; return its path."""
    copy = directory / "data"
    subprocess.run(["cp", "-a", data, copy], check=True)
    return copy
