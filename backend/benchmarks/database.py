"""The database that is measured: fill it, run SQL in it, run a command of the shop on it."""

import subprocess
import sys
from collections.abc import Mapping

import psycopg2

from . import BenchmarkError
from .servers import BACKEND, environment


def fill(database: Mapping[str, str], scale: int | None) -> None:
    """Make the tables and load the sample data, or a shop with so many orders."""
    size = [f"--scale={scale}"] if scale else []
    printed(database, "manage.py", "migrate")
    printed(database, "manage.py", "load_sample_data", *size)
    rows(database, "VACUUM ANALYZE", "CHECKPOINT")


def printed(database: Mapping[str, str], *command: str) -> str:
    """Run Python with these arguments on the database; return what it prints, or raise BenchmarkError."""
    print(" ".join(command), flush=True)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=BACKEND,
        env=environment(database),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).splitlines() or ["it says nothing"]
        raise BenchmarkError(f"{' '.join(command)}: {said[-1]}")
    return done.stdout


def rows(database: Mapping[str, str], *statements: str) -> list[tuple[int, ...]]:
    """Run statements outside a transaction, and return the rows of the last one if it gives any."""
    connection = psycopg2.connect(
        dbname=database["DATABASE_NAME"],
        user=database["DATABASE_USERNAME"],
        host=database["DATABASE_HOST"],
        port=database["DATABASE_PORT"],
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
