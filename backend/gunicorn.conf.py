"""How gunicorn serves the shop in production; it reads this file by itself."""

import atexit
import errno
import gc
import itertools
import logging
import os
import re
import select
import selectors
import shutil
import socket
import struct
import tempfile
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.http import HttpRequest
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.workers import gthread
from gunicorn.workers.base import Worker

from shop.api.errors import error, tell
from webshop.logs import json_lines

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""Where files are fast: on a disk their writers can stall."""

bind = "0.0.0.0:8000"
workers = 2
# Each thread has a connection to PostgreSQL: servers times workers times threads must fit max_connections.
threads = 4
# Longer than a proxy keeps an idle connection: it is the proxy that closes one, never under a request.
keepalive = 75
# How long a stop waits for running requests, and how long in all a thread waits for the client of a request.
graceful_timeout = 30
# The kernel would wait for a client without end.
sendfile = False
# As much as nginx lets pass, so that it is Django that refuses it, in JSON.
limit_request_line = 8190
limit_request_fields = 1000
# The shop lies at the root: nobody may say that it lies elsewhere.
forwarder_headers = ""
# A worker is replaced before a leak could matter; not all at the same time.
max_requests = 10_000
max_requests_jitter = 1_000
worker_tmp_dir = MEMORY
# The application is loaded once, before the workers are forked: a bad setting ends the start with one line.
preload_app = True
# Nobody drives it at run time; its socket would need a home directory.
control_socket_disable = True


def share_metrics() -> None:
    """Make the directory through which the workers share their metrics, until this process ends."""
    directory, owner = tempfile.mkdtemp(prefix="webshop-metrics-", dir=MEMORY), os.getpid()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory

    def forget() -> None:
        if os.getpid() == owner:  # workers end as well
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(forget)


if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # a reload comes here again
    share_metrics()


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Give a worker the lowest number that no other has: it goes on with the metrics of who had it last."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(number for number in itertools.count(1) if number not in taken)


def post_fork(_: Arbiter, worker: Worker) -> None:
    """Tell webshop/metrics.py that number."""
    os.environ["WORKER_SLOT"] = str(worker.slot)


def quote_nothing(record: logging.LogRecord) -> bool:
    """Take out of gunicorn's records what they quote of a request: it may be a cookie or a query string."""
    if found := re.match("Invalid request|Error handling request", str(record.msg)):
        record.msg, record.args = found[0], None
    return True


class logger_class(Logger):  # type: ignore[misc]  # noqa: N801
    """Gunicorn's log in JSON lines. It has no access log: webshop/observe.py writes a line per request."""

    def setup(self, cfg: Config) -> None:
        """Set the log up as gunicorn does, but for its lines."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(json_lines())
            handler.addFilter(quote_nothing)


def write_error(sock: socket.socket, status: int, _reason: str, _message: str) -> None:
    """Answer what gunicorn itself refuses, as the API tells errors; its message quotes headers."""
    if status == HTTPStatus.NOT_IMPLEMENTED:  # a made-up Transfer-Encoding is no fault of the shop's
        status = HTTPStatus.BAD_REQUEST
    request, refusal = HttpRequest(), error(HTTPStatus(status), HTTPStatus(status).phrase)
    # gunicorn has refused before it made headers of what came.
    received = getattr(sock, "received", b"")
    if found := re.search(rb"\r\naccept:([^\r\n]*)", received, re.IGNORECASE):
        request.META["HTTP_ACCEPT"] = found[1].decode("latin-1")
    tell(request, refusal)
    refusal["Connection"] = "close"
    refusal["X-Content-Type-Options"] = "nosniff"
    refusal["X-Frame-Options"] = "DENY"
    head = f"HTTP/1.1 {status} {refusal.reason_phrase}\r\n".encode()
    util.write_nonblock(sock, b"%s%s\r\n\r\n%s" % (head, refusal.serialize_headers(), refusal.content))


util.write_error = write_error


def when_ready(_: object) -> None:
    """Take what is loaded so far out of the garbage collector's hands: it stays, and workers share it."""
    gc.freeze()


class Buffer(BytesIO):
    """What stands in for a socket that is written to."""

    sendall = BytesIO.write


class WholeResponse(wsgi.Response):  # type: ignore[misc]
    """An answer whose head and first part go out together.

    gunicorn sends the head by itself. When the server is killed after it, a proxy has begun to pass on an
    answer that will not come, and cannot ask another server any more.
    """

    sock: Any

    def write(self, arg: bytes) -> None:
        """Send a part of the body, the first one with the head before it."""
        if self.headers_sent:
            super().write(arg)
            return
        client, start = self.sock, Buffer()
        self.sock = start
        try:
            super().write(arg)
        finally:
            self.sock = client
        client.sendall(start.getvalue())


wsgi.Response = WholeResponse


class ClientSocket(socket.socket):
    """A connection that waits for its client for `patience` seconds in all; after them it is reset.

    Otherwise a client that sends or reads bit by bit would keep a thread for as long as it likes.
    """

    patience = 0.0

    received = b""
    """What it got last."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return at most `size` bytes; raise ConnectionResetError if the client is too slow to send them."""
        while True:
            try:
                self.received = super().recv(size, flags | socket.MSG_DONTWAIT)
                return self.received
            except BlockingIOError:
                self.wait_for(select.POLLIN)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of it; raise ConnectionResetError if the client is too slow."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.send(rest, flags | socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self.wait_for(select.POLLOUT)

    def wait_for(self, event: int) -> None:
        """Wait until the client has sent or taken something."""
        poll = select.poll()
        poll.register(self, event)
        begin = time.monotonic()
        ready = poll.poll(max(0, self.patience) * 1000)
        self.patience -= time.monotonic() - begin
        if not ready:
            # Closing it sends a reset: the client must not take what it has for the whole answer, nor the
            # kernel keep the rest.
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow")


class Connection(gthread.TConn):  # type: ignore[misc]
    """gunicorn's view of a connection, without its own ways to wait for a client."""

    def __init__(self, cfg: Config, sock: socket.socket, *addresses: Any) -> None:
        client = ClientSocket(sock.family, sock.type, sock.proto, sock.detach())
        super().__init__(cfg, client, *addresses)

    def init(self) -> None:
        self.sock.patience = self.cfg.graceful_timeout
        super().init()

    def close(self, graceful: bool = False) -> None:
        """Close it at once: gunicorn waits 2 s for the client to do so, and all clients wait with it."""
        if graceful and self.sock.patience > 0:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
                # With something left unread, closing would cut the answer off.
                socket.socket.recv(self.sock, 65536, socket.MSG_DONTWAIT)
        super().close()


gthread.TConn = Connection


class worker_class(gthread.ThreadWorker):  # type: ignore[misc]  # noqa: N801
    """Threads that are given no connection before it has sent something: gunicorn's wait 5 s for that.

    While more requests wait than there are threads, a worker accepts and keeps no connection, so that its
    neighbour gets them. gunicorn's takes what it can get, and its neighbour has nothing to do.
    """

    def enqueue_req(self, conn: Connection) -> None:
        """Give the connection to a thread, or have the main thread wait for it beside all others."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.connected = time.monotonic()
        conn.timeout = conn.connected + self.cfg.graceful_timeout
        self.pending_conns.append(conn)
        readable = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, readable)

    def murder_pending(self) -> None:
        """Close connections that have sent nothing for too long; a worker that is to end gives them 5 s.

        gunicorn calls it in each turn of its loop, before it looks at these two limits.
        """
        idle = len(self.keepalived_conns) + len(self.pending_conns)
        is_full = self.nr_conns - idle > 2 * self.cfg.threads
        self.worker_connections = 0 if is_full else self.cfg.worker_connections
        self.max_keepalived = self.worker_connections - self.cfg.threads
        if not self.alive:
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, conn.connected + 5)
        super().murder_pending()
