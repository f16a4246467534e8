"""What a request costs: wrk counts and times, /proc says how much CPU and memory the processes took."""

import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from os import cpu_count, sysconf
from pathlib import Path

from . import BenchmarkError
from .servers import Server

TICK = sysconf("SC_CLK_TCK")
SCRIPT = Path(__file__).with_name("wrk.lua")
SETTLED = 0.1  # seconds without work, after which the next sample may begin


@dataclass(frozen=True)
class Load:
    """What the load generator says of one sample; `cpu` is what it took itself for work of the server's."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One sample under load.

    `cpu` is seconds per request, `postgres_cpu` the part of them that PostgreSQL took, `others` the share of
    the machine that others took.
    """

    requests: int
    per_second: float
    cpu: float
    postgres_cpu: float
    p50_ms: float
    p99_ms: float
    others: float


@dataclass(frozen=True)
class Request:
    """What one request took, in seconds."""

    seconds: float
    first_byte: float
    cpu: float


@dataclass(frozen=True)
class Heavy:
    """One request at a time: what each took, and by how much the first made the processes grow."""

    requests: list[Request]
    worker_mib: float
    postgres_mib: float


def parse_wrk(output: str) -> Load:
    """Read the last line of wrk.lua; raise BenchmarkError if there is none, or if it counts any error."""
    fields = output.strip().rpartition("\n")[2].split()
    if len(fields) != 7 or fields[0] != "result":
        message = f"wrk says {output!r}"
        raise BenchmarkError(message)
    requests, microseconds, p50, p99, refused, broken = map(float, fields[1:])
    if refused or broken or not requests:
        message = f"{requests:.0f} requests, {refused:.0f} answered with an error, {broken:.0f} not at all"
        raise BenchmarkError(message)
    return Load(int(requests), microseconds / 1e6, p50 / 1e3, p99 / 1e3)


def require_wrk() -> None:
    """Raise BenchmarkError, with what to do, if there is no wrk."""
    if not shutil.which("wrk"):
        message = "wrk is missing: apt-get install wrk"
        raise BenchmarkError(message)


def run_wrk(server: Server, paths: Sequence[str], connections: int, seconds: int) -> Load:
    """Ask a server for these paths in turn; raise BenchmarkError if any answer is not a good one."""
    return wrk(server, paths[0], [f"/shop/api/{path}" for path in paths], connections, seconds)


def send(server: Server, requests: Path, key: str, connections: int, seconds: int) -> Load:
    """Send the requests of a file in turn, each with this Idempotency-Key; wrk.lua says what is in a line."""
    return wrk(server, requests.name, ["@", str(requests), key], connections, seconds)


def wrk(server: Server, what: str, arguments: Sequence[str], connections: int, seconds: int) -> Load:
    """Have wrk.lua load a server; raise BenchmarkError if any answer is not a good one."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=30s", f"--script={SCRIPT}"]
    command += ["--header=Connection: close"] if server.peer.closes else []
    command += [f"http://127.0.0.1:{server.port}", "--", *arguments]
    output = subprocess.run(command, capture_output=True, check=False, text=True)
    try:
        return parse_wrk(output.stdout + output.stderr)
    except BenchmarkError as error:
        message = f"{server.peer.name}, {what}: {error}"
        raise BenchmarkError(message) from None


def sample(load: Callable[[], Load], postgres: int, *servers: int) -> Sample:
    """Put a load on servers and on PostgreSQL, each by its first process, and return what it took."""
    settle(postgres, *servers)
    cpu, postgres_cpu = cpu_seconds(*servers), cpu_seconds(postgres)
    machine, own, start = busy_seconds(), own_seconds(), time.perf_counter()
    done = load()
    cpu, postgres_cpu = cpu_seconds(*servers) - cpu, cpu_seconds(postgres) - postgres_cpu
    others = busy_seconds() - machine - cpu - postgres_cpu - (own_seconds() - own)
    return Sample(
        requests=done.requests,
        per_second=done.requests / done.seconds,
        cpu=(cpu + postgres_cpu + done.cpu) / done.requests,
        postgres_cpu=postgres_cpu / done.requests,
        p50_ms=done.p50_ms,
        p99_ms=done.p99_ms,
        others=max(0.0, others) / (time.perf_counter() - start) / (cpu_count() or 1),
    )


def settle(*roots: int) -> None:
    """Wait until nobody works any more on requests whose answer wrk did not wait for."""
    before = cpu_seconds(*roots)
    for _ in range(200):
        time.sleep(SETTLED)
        after = cpu_seconds(*roots)
        if after - before < SETTLED / 4:
            return
        before = after
    raise BenchmarkError("a server goes on working though nobody asks it")


def busy_seconds() -> float:
    """Return the CPU time that all processes of the machine took so far."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / TICK


def own_seconds() -> float:
    """Return the CPU time of this process and of the load generators it started."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def processes() -> dict[int, list[str]]:
    """Return the fields of /proc/<pid>/stat behind the name, by process id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it is gone
            found[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    return found


def tree(root: int, table: dict[int, list[str]]) -> list[int]:
    """Return a process and all below it."""
    children = [pid for pid, fields in table.items() if int(fields[1]) == root]
    return [root, *(pid for child in children for pid in tree(child, table))]


def cpu_seconds(*roots: int) -> float:
    """Return the CPU time of these processes and all below them, ended ones included."""
    table = processes()
    ticks = (int(tick) for root in roots for pid in tree(root, table) for tick in table.get(pid, [])[11:15])
    return sum(ticks) / TICK


def memory_mib(pids: Iterable[int], file: str, field: str) -> dict[int, float]:
    """Return a kB field of this file in /proc/<pid>/ by process id, without those that are gone."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            line = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
            found[pid] = int(line[1]) / 1024 if line else 0.0
    return found


def workers(server: Server) -> list[int]:
    """Return the processes that answer: those below the first, or the first if it is alone."""
    pids = tree(server.process.pid, processes())
    return pids[1:] or pids


def peak_rss_mib(server: Server) -> float:
    """Return the most memory that any one worker ever had."""
    return max(memory_mib(workers(server), "status", "VmHWM").values())


def pss_mib(server: Server) -> float:
    """Return the memory of all processes of a server, with what they share counted once."""
    return sum(memory_mib(tree(server.process.pid, processes()), "smaps_rollup", "Pss").values())


def first_request_mib(server: Server, postgres: int, path: str) -> tuple[float, float]:
    """Ask for a path; return by how much the worker grew, and the process of PostgreSQL that grew most.

    The worker's peak is the kernel's own; the private memory of PostgreSQL's processes is looked at often.
    """
    idle = max(memory_mib(workers(server), "status", "VmRSS").values())
    before = memory_mib(tree(postgres, processes()), "status", "RssAnon")
    grown = 0.0
    with ThreadPoolExecutor() as pool:
        request = pool.submit(server.fetch, path)
        while not request.done():
            now = memory_mib(tree(postgres, processes()), "status", "RssAnon")
            grown = max(grown, *(mib - before.get(pid, 0.0) for pid, mib in now.items()))
            time.sleep(0.005)
        request.result()
    return peak_rss_mib(server) - idle, grown


def timed_request(server: Server, postgres: int, path: str) -> Request:
    """Ask for a path; return what it took."""
    cpu = cpu_seconds(server.process.pid, postgres)
    answer = server.fetch(path)
    return Request(answer.seconds, answer.first_byte, cpu_seconds(server.process.pid, postgres) - cpu)
