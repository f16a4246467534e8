"""What is compared: this shop as it ships and its peers, each on processes and a port of its own."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from webshop.postgres import end_with_parent

from . import BenchmarkError

BACKEND = Path(__file__).resolve().parent.parent
WORKERS = 3
PATIENCE = 180  # seconds for a server to come, or for an answer

# The same processes all along, each with one request at a time: CPU time and memory are per request.
GUNICORN = (
    "gunicorn", "--config", "gunicorn.conf.py", "--worker-class=sync", "--threads=1", "--max-requests=0",
)  # fmt: skip
SHOP = "webshop.wsgi"
UVICORN = ("uvicorn", "--loop", "uvloop", "--http", "httptools")


@dataclass(frozen=True)
class Peer:
    """A server to compare; `closes` has each request ask for its connection to be closed.

    Those that do not search show all products whatever is looked for, and are not asked.
    """

    name: str
    application: str
    environment: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = GUNICORN
    closes: bool = False
    cached: bool = False
    silent: bool = False
    searches: bool = False

    def command(self, port: int, workers: int) -> list[str]:
        """Return the command that serves it on a port of 127.0.0.1."""
        if self.program is GUNICORN:
            # The shop logs its requests itself.
            log = [] if self.application == SHOP or self.silent else ["--access-logfile=-"]
            options = [f"--bind=127.0.0.1:{port}", *log]
        else:
            options = [f"--port={port}"]
        return [sys.executable, "-m", *self.program, *options, f"--workers={workers}", self.application]


def django_peer(name: str, *, searches: bool = False) -> Peer:
    """Return the peer whose urlpatterns are in `peers`, under the settings the Django peers share."""
    environment = {"DJANGO_SETTINGS_MODULE": "benchmarks.peers.settings", "PEER": f"benchmarks.peers.{name}"}
    return Peer(name, "django.core.wsgi:get_wsgi_application()", environment, searches=searches)


PEERS = (
    Peer("shop", SHOP, searches=True),
    Peer("shop, cached", SHOP, {"SHOP_CACHE_SECONDS": "5"}, cached=True),
    Peer("limit", "benchmarks.peers.limit", searches=True),
    Peer("shop, silent", SHOP, {"DJANGO_SETTINGS_MODULE": "benchmarks.peers.silent"}, silent=True),
    Peer("limit, silent", "benchmarks.peers.limit", silent=True),
    django_peer("plain", searches=True),
    django_peer("drf"),
    django_peer("ninja"),
    Peer("fastapi", "benchmarks.peers.fastapi:app", program=UVICORN, searches=True),
    Peer("fastapi-close", "benchmarks.peers.fastapi:app", program=UVICORN, closes=True, searches=True),
)

SELLERS = (
    Peer("shop", SHOP, {"SHOP_API_AUTH": "required", "SHOP_RATE_LIMITS": "off"}),
    Peer("shop, open", SHOP),
    *(peer for peer in PEERS if peer.name in ("limit", "plain", "drf", "fastapi", "fastapi-close")),
)
"""What sells: a shop that wants to know who calls, one that does not, and peers; none counts its callers."""


@dataclass(frozen=True)
class Answer:
    """What came back, whole, and when, in seconds after the request."""

    status: int
    body: bytes
    first_byte: float
    seconds: float


@dataclass(frozen=True)
class Server:
    """A running peer."""

    peer: Peer
    port: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def get(self, path: str) -> Answer:
        """Ask for a path as ask() does."""
        return self.ask("GET", path, {})

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: str | None = None) -> Answer:
        """Send a request under /shop/api/ on a connection of its own; raise OSError when nothing answers."""
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, f"/shop/api/{path}", body, dict(headers))
            response = connection.getresponse()
            first = response.read(1)
            first_byte = time.perf_counter() - start
            content = first + response.read()
        except http.client.HTTPException as error:
            message = f"{self.peer.name} answers {path} with {error!r}"
            raise BenchmarkError(message) from None
        finally:
            connection.close()
        return Answer(response.status, content, first_byte, time.perf_counter() - start)

    def fetch(self, path: str) -> Answer:
        """Ask for a path as get() does; raise BenchmarkError unless the answer is a good one."""
        answer = self.get(path)
        if answer.status != http.HTTPStatus.OK:
            message = f"{self.peer.name} answers {path} with {answer.status}"
            raise BenchmarkError(message)
        return answer

    def wait(self) -> None:
        """Wait until it answers; raise BenchmarkError if it does not come."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self.fetch("category-stats/")
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").splitlines() or ["it says nothing"]
        message = f"{self.peer.name} does not start: {said[-1]}"
        raise BenchmarkError(message)


def environment(database: Mapping[str, str], **more: str) -> dict[str, str]:
    """Return all that a server sees of the environment: the shop in production with an open API."""
    return {
        "PATH": os.environ["PATH"],
        "DEBUG": "0",
        "DJANGO_SECRET_KEY": "of the benchmarks",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_HTTPS": "0",
        "SHOP_API_AUTH": "open",
        **database,
        **more,
    }


@contextmanager
def serve(peers: Sequence[Peer], database: Mapping[str, str], workers: int) -> Iterator[list[Server]]:
    """Serve these peers with so many workers each until the block ends; their logs of requests go nowhere."""
    with ExitStack() as stack:
        servers = []
        for peer in peers:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            log = stack.enter_context(tempfile.TemporaryFile())
            # Servers that are killed do not remove their own.
            metrics = stack.enter_context(tempfile.TemporaryDirectory())
            process = subprocess.Popen(
                peer.command(port, workers),
                cwd=BACKEND,
                env=environment(database, PROMETHEUS_MULTIPROC_DIR=metrics, **peer.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                process_group=0,
                preexec_fn=partial(end_with_parent, signal.SIGTERM),
            )
            stack.callback(stop, process)
            servers.append(Server(peer, port, process, log))
        for server in servers:
            server.wait()
        yield servers


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and its workers at once: they hold nothing that could be lost."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
