"""PostgreSQL for the tests: settings, and the data of a migrated shop, made once and copied where wanted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import BACKEND
from webshop.postgres import postgres

THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",  # what a transaction puts into a table that it has emptied is not logged
    "max_wal_senders": "0",
    "autovacuum": "off",
    "deadlock_timeout": "100ms",  # some tests make one
}
"""The settings of a PostgreSQL whose data are of no use once it has ended."""


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
