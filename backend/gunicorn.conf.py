"""How gunicorn serves the shop in production; it reads this file by itself."""

import atexit
import gc
import itertools
import json
import logging
import os
import re
import shutil
import socket
import tempfile
from http import HTTPStatus
from io import BytesIO
from typing import Any

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.workers.base import Worker

from webshop.logs import json_lines

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""Where files are fast: on a disk their writers can stall."""

bind = "0.0.0.0:8000"
worker_class = "gthread"
workers = 2
# Each thread has a connection to PostgreSQL: servers times workers times threads must fit max_connections.
threads = 4
# Longer than a proxy keeps an idle connection: it is the proxy that closes one, never under a request.
keepalive = 75
graceful_timeout = 30
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
    """Tell webshop/observe.py that number."""
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
    """Answer what gunicorn itself refuses, in the one shape that the API has; its message quotes headers."""
    if status == HTTPStatus.NOT_IMPLEMENTED:  # a made-up Transfer-Encoding is no fault of the shop's
        status = HTTPStatus.BAD_REQUEST
    phrase = HTTPStatus(status).phrase
    body = json.dumps({"error": phrase})
    head = (
        f"HTTP/1.1 {status} {phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    )
    util.write_nonblock(sock, "\r\n".join([*head, "", body]).encode())


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
