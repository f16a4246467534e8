"""The data directory of a migrated shop, made once and copied to where a PostgreSQL of its own is wanted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import BACKEND
from webshop.postgres import SERVER_USER, postgres


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
    """Copy a data directory to `data` in this one; return its path."""
    copy = shutil.copytree(data, directory / "data")
    if SERVER_USER:
        for path in (copy, *copy.rglob("*")):
            os.chown(path, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
    return copy
