"""What is counted of requests, over all processes of a server; /metrics shows it."""

import os
from array import array
from bisect import bisect_left
from functools import cache
from http import HTTPMethod
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import Counter, Histogram, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

DIRECTORY = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
"""Where the processes of a server share their numbers, as files; empty if a process is alone."""

METHODS = frozenset(HTTPMethod)
lock = Lock()


@cache
def numbers_file(kind: str) -> MmapedDict:
    """Return this process's file of the numbers of a kind.

    Its name has the number among the workers, so that who replaces a worker goes on with its file. Of files
    by process id each worker that is replaced would leave its own behind.
    """
    slot = os.environ.get("WORKER_SLOT") or os.getpid()
    return MmapedDict(str(Path(DIRECTORY, f"{kind}_{slot}.db")))


class Number:
    """A number as prometheus_client has them, one of an array of them: adding to it costs next to nothing."""

    _multiprocess = bool(DIRECTORY)

    def __init__(
        self,
        kind: str,
        metric: str,
        name: str,
        label_names: list[str],
        label_values: list[str],
        help_text: str,
        **_: Any,
    ) -> None:
        self.array: Any = array("d", [0.0])
        self.index = 0
        if DIRECTORY:
            file, key = numbers_file(kind), mmap_key(metric, name, label_names, label_values, help_text)
            file.read_value(key)  # makes it
            self.array, self.index = memoryview(file._m).cast("d"), file._positions[key] // 8

    def inc(self, amount: float) -> None:
        with lock:
            self.array[self.index] += amount

    def get(self) -> float:
        return float(self.array[self.index])

    def get_exemplar(self) -> None:
        return None


values.ValueClass = Number

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


class Series:
    """The numbers of requests of a kind."""

    def __init__(self, method: str, route: str, status: int) -> None:
        with lock:  # two threads may meet a kind for the first time at once
            seconds, queries = SECONDS.labels(route), QUERIES.labels(route)
            requests = REQUESTS.labels(method, route, status)
        self.requests: Number = requests._value
        self.seconds, self.seconds_up_to = seconds._sum, seconds._buckets
        self.queries, self.queries_up_to = queries._sum, queries._buckets

    def count(self, seconds: float, queries: int) -> None:
        """Count a request, as `inc` and `observe` of prometheus_client would in ten times the time."""
        seconds_up_to = self.seconds_up_to[bisect_left(SECONDS._upper_bounds, seconds)]
        queries_up_to = self.queries_up_to[bisect_left(QUERIES._upper_bounds, queries)]
        with lock:
            self.requests.array[self.requests.index] += 1
            self.seconds.array[self.seconds.index] += seconds
            seconds_up_to.array[seconds_up_to.index] += 1
            self.queries.array[self.queries.index] += queries
            queries_up_to.array[queries_up_to.index] += 1


series = cache(Series)
"""Return the numbers of requests of this method, route and status."""
