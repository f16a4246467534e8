"""What is written down about each request: its id, one line in the log, and the metrics."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import cache
from http import HTTPMethod
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from prometheus_client import Counter, Histogram, values

logger = logging.getLogger("webshop.request")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNMATCHED = "none"
"""The route of a request that no URL pattern matched, or that was answered before any was asked."""


SEVERAL_PROCESSES = "PROMETHEUS_MULTIPROC_DIR" in os.environ
"""Whether the metrics are shared by the processes of a server, through files."""


@cache
def slot(pid: int) -> str:
    """Return the name of a process's files: its number among the workers, which a later one takes over.

    With files by process id, each worker that is replaced would leave its own behind.
    """
    return os.environ.get("WORKER_SLOT") or str(pid)


if SEVERAL_PROCESSES:
    values.ValueClass = values.MultiProcessValue(lambda: slot(os.getpid()))

REQUESTS = Counter("shop_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram(
    "shop_request_seconds",
    "Seconds until an answer was complete",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
QUERIES = Histogram(
    "shop_request_queries", "SQL statements of a request", ["route"], buckets=(0, 1, 2, 3, 5, 10, 25, 50, 100)
)
METHODS = frozenset(HTTPMethod)


@cache
def series(method: str, route: str, status: int) -> tuple[Counter, Histogram, Histogram]:
    """Return the metrics of such requests."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(route), QUERIES.labels(route)


class Observation:
    """A request under way: its id, when it began, and how many statements it ran so far."""

    __slots__ = ("queries", "request", "request_id", "start")

    def __init__(self, request: HttpRequest, request_id: str) -> None:
        """Begin now."""
        self.request, self.request_id = request, request_id
        self.queries = 0
        self.start = time.perf_counter()

    def end(self, status: int, *, whole: bool) -> None:
        """Write down what it was, and whether the answer was sent to its end."""
        seconds = time.perf_counter() - self.start
        current.set(None)
        method, matched = str(self.request.method), route(self.request)
        # Callers can make up methods, but no routes.
        requests, times, queries = series(method if method in METHODS else "OTHER", matched, status)
        requests.inc()
        times.observe(seconds)
        queries.observe(self.queries)
        if logger.isEnabledFor(logging.INFO):
            logger.log(
                logging.INFO if whole else logging.WARNING,
                "request" if whole else "request broke off",
                extra={
                    "request_id": self.request_id,
                    "method": method,
                    "route": matched,
                    "path": self.request.path,
                    "status": status,
                    "ms": round(seconds * 1000, 3),
                    "queries": self.queries,
                },
            )


current: ContextVar[Observation | None] = ContextVar("current", default=None)
"""The request that this thread answers."""


def route(request: HttpRequest) -> str:
    """Return the URL pattern that a request matched, such as shop/api/order/<int:order_id>/."""
    match = request.resolver_match
    return match.route if match else UNMATCHED


class ObservedStream:
    """A streamed answer, which ends when the server closes it: sent to its end, or not."""

    def __init__(self, parts: Iterable[bytes], observation: Observation, status: int) -> None:
        """Take the parts of the answer."""
        self.parts, self.observation, self.status = parts, observation, status
        self.whole = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the parts."""
        yield from self.parts
        self.whole = True

    def close(self) -> None:
        """End the observation."""
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
        observation = Observation(request, given if REQUEST_ID.fullmatch(given) else uuid4().hex)
        current.set(observation)
        response = get_response(request)
        response["X-Request-ID"] = observation.request_id
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
