"""The same jobs by procrastinate, on psycopg 3: in an environment without this project's packages."""

import sys

import procrastinate

from benchmarks.peers.jobs_timed import timed

jobs = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[2]))


@jobs.task
async def nothing(number: int) -> None:
    pass


def main() -> None:
    with jobs.open():
        if not jobs.check_connection():
            jobs.schema_manager.apply_schema()

    def enqueue() -> None:
        with jobs.open():
            for number in range(int(sys.argv[1])):
                nothing.defer(number=number)

    # One at a time, as the shop's worker; it ends when there is nothing left to do.
    timed(enqueue, lambda: jobs.run_worker(wait=False, concurrency=1, install_signal_handlers=False))
