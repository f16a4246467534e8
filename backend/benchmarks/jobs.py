"""Print how fast jobs are enqueued and done, beside procrastinate: `python -m benchmarks.jobs`.

A job that does nothing is enqueued so many times, each in a transaction of its own, then one worker does them
all. procrastinate wants psycopg 3, which Django would take before psycopg2, so uv makes it an environment of
its own.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg2

from shop.database.errors import one_line
from webshop.postgres import DATABASE, PORT, USER, PostgresError, postgres

from . import BenchmarkError
from .database import printed, rows
from .report import ratio
from .servers import BACKEND, environment

JOBS, ROUNDS = 2_000, 3
QUICK_JOBS, QUICK_ROUNDS = 200, 1

PEER = (
    "uv", "run", "--quiet", "--no-project", "--isolated", "--python", sys.executable,
    "--with", "procrastinate>=3.10,<4", "--with", "psycopg[binary]>=3.2", "python",
)  # fmt: skip

type Halves = tuple[list[float], list[float]]
"""The seconds, and those of the client's CPU, that enqueuing took and doing."""


def main() -> None:
    """Print the table; exit with one line on what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few jobs, once: to see that it works")
    quick = parser.parse_args().quick
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            postgres(Path(directory, "data"), fsync="off") as server,
        ):
            database = {
                "DATABASE_NAME": DATABASE,
                "DATABASE_USERNAME": USER,
                "DATABASE_HOST": str(server.socket_dir),
                "DATABASE_PORT": PORT,
            }
            compare(database, *(QUICK_JOBS, QUICK_ROUNDS) if quick else (JOBS, ROUNDS))
    except KeyboardInterrupt:
        sys.exit("benchmarks: interrupted")
    except (BenchmarkError, PostgresError, OSError, psycopg2.Error) as error:
        sys.exit(f"benchmarks: {one_line(error)}")


def compare(database: Mapping[str, str], jobs: int, rounds: int) -> None:
    """Measure both in turn, and print how many jobs a second each took, and the ratios of the rounds."""
    printed(database, "manage.py", "migrate", "-v0")
    rows(database, "CREATE DATABASE procrastinate")
    theirs = {**database, "DATABASE_NAME": "procrastinate"}
    of = {"host": "HOST", "port": "PORT", "user": "USERNAME", "dbname": "NAME"}
    conninfo = " ".join(f"{name}={theirs[f'DATABASE_{variable}']}" for name, variable in of.items())
    # The peers' files alone, without what is installed here.
    outside = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    taken: dict[str, list[Halves]] = {"shop": [], "procrastinate": []}
    for _ in range(rounds):
        shop = [sys.executable, "-c", begin("jobs_shop"), str(jobs)]
        shops = {**environment(database), "DJANGO_SETTINGS_MODULE": "webshop.settings"}
        taken["shop"].append(run(shop, shops))
        peer = [*PEER, "-c", begin("jobs_procrastinate"), str(jobs), conninfo]
        taken["procrastinate"].append(run(peer, outside))
        undone = rows(database, "SELECT FROM job WHERE status <> 'done'")
        undone += rows(theirs, "SELECT FROM procrastinate_jobs WHERE status <> 'succeeded'")
        if undone:
            raise BenchmarkError("some jobs are not done")
    print(f"| {jobs:,} jobs a round | enqueued | done | CPU ms of the client for both |")
    print("| --- | --: | --: | --: |")
    for name, halves in taken.items():
        middle = sorted(halves, key=lambda half: half[0][0] + half[1][0])[len(halves) // 2]
        (enqueuing, first), (doing, second) = middle
        cpu = (first + second) / jobs * 1000
        print(f"| {name} | {jobs / enqueuing:.0f}/s | {jobs / doing:.0f}/s | {cpu:.2f} |")
    faster = [
        str(
            ratio(
                [half[part][0] for half in taken["procrastinate"]], [half[part][0] for half in taken["shop"]]
            )
        )
        for part in (0, 1)
    ]
    print(f"| shop, as a ratio to procrastinate | {faster[0]} | {faster[1]} | |")


def begin(module: str) -> str:
    """Return the program of a peer. It is not __main__: a worker finds tasks by the name of their module."""
    return f"from benchmarks.peers.{module} import main; main()"


def run(command: Sequence[str], variables: Mapping[str, str]) -> Halves:
    """Run one of them, and return what it took; raise BenchmarkError if it fails."""
    done = subprocess.run(command, cwd=BACKEND, env=variables, capture_output=True, check=False, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        raise BenchmarkError(f"{' '.join(command[:2])}: {said[-1]}")
    enqueuing, doing = json.loads(done.stdout.splitlines()[-1])
    return enqueuing, doing


if __name__ == "__main__":
    main()
