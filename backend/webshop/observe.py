"""What is written down about each request: its id, one line in the log, and the metrics."""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse

from .metrics import METHODS, series

logger = logging.getLogger("webshop.request")
quoted = json.JSONEncoder().encode

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNMATCHED = "none"
"""The route of a request that no URL pattern matched, or that was answered before the URLs were tried."""

STDOUT = 1


@lru_cache(maxsize=1)
def second(timestamp: int) -> str:
    """Return a second as text, which is made once for all requests in it."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")


MOST_OF_PATH = 500
"""How much of a path is logged: a line of at most 4096 bytes is not mixed with another worker's."""

PAY = "/shop/pay/"


def loggable(path: str) -> str:
    """Return the path of a request without what nobody else may know: the token of a page to pay on."""
    return PAY if path.startswith(PAY) else path[:MOST_OF_PATH]


class Observation:
    """A request under way: its id, when it began, and how many statements it ran so far."""

    __slots__ = ("queries", "request", "request_id", "start")

    def __init__(self, request: HttpRequest, request_id: str) -> None:
        self.request, self.request_id = request, request_id
        self.queries = 0
        self.start = time.perf_counter()

    def end(self, status: int, *, whole: bool) -> None:
        """Write down what it was, and whether the answer was sent to its end."""
        seconds = time.perf_counter() - self.start
        current.set(None)
        match = self.request.resolver_match
        route = match.route if match else UNMATCHED
        method = str(self.request.method)
        # Callers can make up methods, but no routes.
        series(method if method in METHODS else "OTHER", route, status).count(seconds, self.queries)
        if logger.isEnabledFor(logging.INFO):
            self.write(route, status, seconds, whole=whole)
        elif not whole:
            logger.warning("request broke off: %s", route)

    def write(self, route: str, status: int, seconds: float, *, whole: bool) -> None:
        """Write the line of the request to stdout, as webshop/logs.py would in ten times the time."""
        now, path = time.time(), loggable(self.request.path)
        level, message = ("INFO", "request") if whole else ("WARNING", "request broke off")
        line = (
            f'{{"level": "{level}", "logger": "webshop.request", "message": "{message}", '
            f'"request_id": "{self.request_id}", "method": {quoted(self.request.method)}, '
            f'"route": {quoted(route)}, "path": {quoted(path)}, "status": {status}, '
            f'"ms": {seconds * 1000:.3f}, "queries": {self.queries}, '
            f'"time": "{second(int(now))}.{int(now % 1 * 1_000_000):06d}+00:00"}}\n'
        ).encode()
        try:
            while line:
                line = line[os.write(STDOUT, line) :]
        except OSError:  # nobody reads it any more
            return


current: ContextVar[Observation | None] = ContextVar("current", default=None)
"""The request that this thread answers."""


class ObservedStream:
    """A streamed answer, which ends when the server closes it: sent to its end, or not."""

    def __init__(self, parts: Iterable[bytes], observation: Observation, status: int) -> None:
        self.parts, self.observation, self.status = parts, observation, status
        self.whole = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        self.whole = True

    def close(self) -> None:
        self.observation.end(self.status, whole=self.whole)


def observe(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: give each request an id, count its statements, log and measure it when it is answered.

    A proxy's X-Request-ID is the id if only a proxy can set it (BEHIND_PROXY). The answer carries it.
    """
    connection_created.connect(count_on_new_connection)
    for connection in connections.all(initialized_only=True):
        count_on(connection)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "") if settings.BEHIND_PROXY else ""
        observation = Observation(request, given if REQUEST_ID.fullmatch(given) else os.urandom(16).hex())
        current.set(observation)
        response = get_response(request)
        response.headers["X-Request-ID"] = observation.request_id
        # A file goes out by the server's own means, which a wrapper would take from it.
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            parts: Any = response.streaming_content
            response.streaming_content = ObservedStream(parts, observation, response.status_code)
        else:
            observation.end(response.status_code, whole=True)
        return response

    return middleware


def count(execute: Callable[..., Any], sql: Any, parameters: Any, many: bool, context: Any) -> Any:
    """Run a statement, as a wrapper of Django's, and count it for the request under way."""
    if observation := current.get():
        observation.queries += 1
    return execute(sql, parameters, many, context)


def count_on(connection: BaseDatabaseWrapper) -> None:
    """Count the statements of this connection from now on."""
    if count not in connection.execute_wrappers:
        # In front: who wraps a block of code takes the last one off at its end.
        connection.execute_wrappers.insert(0, count)


def count_on_new_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Receive Django's signal that a connection was made: each thread has its own."""
    count_on(connection)


def with_request_id(record: logging.LogRecord) -> bool:
    """Add the id of the request under way to a log record, as a filter that lets all pass."""
    if observation := current.get():
        record.request_id = observation.request_id
    return True
