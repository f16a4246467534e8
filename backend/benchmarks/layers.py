"""Print where the time of a request goes, layer by layer: `python -m benchmarks.layers`, in about a minute.

In one process the same request goes through more and more of the shop; what each layer adds is its price.
Then wrk asks gunicorn, as the shop is served by it, on kept connections, for more and more of an answer. It
is the CPU time of Python, the least of many rounds; PostgreSQL's is not in it.
"""

import io
import json
import logging
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg2

from webshop.postgres import DATABASE, PORT, USER, PostgresError, postgres

from . import BenchmarkError
from .database import fill
from .measure import cpu_seconds, require_wrk, run_wrk
from .servers import BACKEND, SHOP, Peer, Server, environment, serve

PATH = "order/1/"
CALLS = 20  # of a sample, which is short enough to be spared by other processes now and then
ROUNDS = 200


class Kept(Peer):
    """A server as the shop's, but for its log: gunicorn's own is off."""

    def command(self, port: int, workers: int) -> list[str]:
        options = ["--max-requests=0", f"--bind=127.0.0.1:{port}", f"--workers={workers}"]
        return [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", *options, self.application]


PEERS = (
    Kept("gunicorn: an answer of two bytes", "benchmarks.layers:two_bytes"),
    Kept("the limit: one statement, no framework", "benchmarks.peers.limit"),
    Kept("the shop", SHOP),
)


def main() -> None:
    """Print both tables; exit with one line on what went wrong."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        require_wrk()
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
            fill(database, None)
            print_table("in one process", in_one_process(database))
            print_table("under gunicorn", under_gunicorn(database))
    except KeyboardInterrupt:
        sys.exit("benchmarks.layers: interrupted")
    except (BenchmarkError, PostgresError, OSError, psycopg2.Error) as error:
        sys.exit(f"benchmarks.layers: {' '.join(str(error).split())}")


def print_table(title: str, layers: Mapping[str, float]) -> None:
    """Print what each layer costs with those above it, and what it adds to them, in microseconds."""
    print(f"\n| {title}, `{PATH}` | µs | adds |\n|---|---|---|")
    before = 0.0
    for name, microseconds in layers.items():
        print(f"| {name} | {microseconds:.0f} | {microseconds - before:.0f} |")
        before = microseconds


def in_one_process(database: Mapping[str, str]) -> dict[str, float]:
    """Have a process of its own measure the layers, as the settings are read from its environment."""
    with tempfile.TemporaryDirectory() as metrics, tempfile.TemporaryFile("w+") as found:
        done = subprocess.run(
            [sys.executable, "-c", f"from benchmarks.layers import measure; measure({found.fileno()})"],
            cwd=BACKEND,
            env=environment(database, PROMETHEUS_MULTIPROC_DIR=metrics),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[found.fileno()],
            check=False,
            text=True,
        )
        if done.returncode:
            raise BenchmarkError(done.stderr.strip().rpartition("\n")[2])
        found.seek(0)
        layers: dict[str, float] = json.load(found)
        return layers


def measure(descriptor: int) -> None:
    """Write the microseconds of each layer to this file, as JSON; the lines of the log go to stdout."""
    from django.conf import settings

    from webshop.wsgi import Handler, Request

    asked = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/shop/api/{PATH}",
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
    }
    log = logging.getLogger("webshop.request")
    shipped = list(settings.MIDDLEWARE)

    def through(*middleware: str) -> Callable[[], None]:
        settings.MIDDLEWARE = list(middleware)
        handler = Handler()

        def ask() -> None:
            answer: Any = handler({**asked, "wsgi.input": io.BytesIO()}, lambda *_: lambda _: None)
            for _ in answer:
                pass
            answer.close()

        return ask

    from shop.api.routing import dispatch
    from shop.orders.endpoints import order_details

    request = Request({**asked, "wsgi.input": io.BytesIO()})
    api = shipped.index("shop.api.routing.json_api")
    layers: dict[str, Callable[[], Any]] = {
        "the statement: Django's cursor, psycopg2": lambda: order_details.statement.fetch(1),
        "the endpoint: JSON, ETag, headers": lambda: order_details(request, order_id=1),
        "routing": lambda: dispatch(request),
        "Django's handler, errors in JSON, security headers": through(shipped[api]),
        "id, metrics": through(shipped[api - 1], shipped[api]),
        "the line in the log": through(shipped[api - 1], shipped[api]),
        "health checks": through(*shipped),
    }
    best = dict.fromkeys(layers, float("inf"))
    for _ in range(ROUNDS):
        for name, ask in layers.items():
            log.setLevel(logging.WARNING if name == "id, metrics" else logging.INFO)
            ask()
            start = time.process_time()
            for _ in range(CALLS):
                ask()
            best[name] = min(best[name], (time.process_time() - start) / CALLS * 1e6)
    with open(descriptor, "w", closefd=False) as found:
        json.dump(best, found)


def under_gunicorn(database: Mapping[str, str]) -> dict[str, float]:
    """Return the microseconds of CPU that the processes of each server take for a request."""
    samples: dict[str, list[float]] = {peer.name: [] for peer in PEERS}
    with serve(PEERS, database, 1) as servers:
        for _ in range(5):
            for server in servers:
                samples[server.peer.name].append(cpu_per_request(server))
    return {name: min(taken) for name, taken in samples.items()}


def cpu_per_request(server: Server) -> float:
    """Return the microseconds of a request of one sample."""
    before = cpu_seconds(server.process.pid)
    load = run_wrk(server, [PATH], connections=4, seconds=2)
    return (cpu_seconds(server.process.pid) - before) / load.requests * 1e6


def two_bytes(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer anything, as a WSGI application."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"[]"]


if __name__ == "__main__":
    main()
