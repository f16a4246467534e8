"""The production stack in real containers, and a steady load on it."""

import http.client
import itertools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import psycopg2

from tests import BACKEND, ROOT

DEPLOYMENT_MD = ROOT / "docs" / "DEPLOYMENT.md"
QUICK = "tests/production/quick.yml"
SAMPLE_DATA = ROOT / "02_insert_sample_data.sql"
PATIENCE = 180
"""Seconds for anything to happen: machines may be slow, a failing test may take its time."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def run(*command: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it says; a failure says it as well."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=BACKEND, **options)
    assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result


def wait_until(what: str, is_so: Callable[[], object], patience: float = PATIENCE) -> float:
    """Return how many seconds it took."""
    start = time.monotonic()
    while not is_so():
        assert time.monotonic() - start < patience, f"not within {patience} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - start


def env_file() -> dict[str, str]:
    """The .env of docs/DEPLOYMENT.md, filled in."""
    block, *_ = re.findall(r"^```env\n(.+?)^```", DEPLOYMENT_MD.read_text(), re.M | re.S)
    lines = dict(line.split("=", 1) for line in block.splitlines())
    return {
        name: secrets.token_hex(32) if value.startswith("<") else value for name, value in lines.items()
    } | {
        "DJANGO_ALLOWED_HOSTS": "localhost",
        "DJANGO_HTTPS": "0",
        "TLS_CERTIFICATE": "production/no_certificate.pem",
        "TLS_KEY": "production/no_certificate.pem",
        "COMPOSE_FILE": f"{lines['COMPOSE_FILE']}:{QUICK}",
        "PATH": os.environ["PATH"],
        "SHOP_RATE_LIMIT": "1000",  # the load comes from one address
        "SHOP_HTTP_PORT": str(free_port()),
        "SHOP_HTTPS_PORT": str(free_port()),
    }


@dataclass(frozen=True)
class Answer:
    """What came back to a request, and when; status 0 is none."""

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: float
    seconds: float


@dataclass
class Shop:
    """A shop behind nginx, and the headers that let a request pass as staff's, whose password it is."""

    environment: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    password: str = ""

    @property
    def port(self) -> int:
        return int(self.environment["SHOP_HTTP_PORT"])

    def open(self) -> http.client.HTTPConnection:
        """Return a connection to nginx."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        kept: http.client.HTTPConnection | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """Ask, on a connection of its own unless there is one that is kept; a body in parts goes chunked."""
        sent = time.monotonic()
        connection = kept or self.open()
        try:
            connection.request(
                method, path, body, headers={"Host": "localhost", **self.headers, **(headers or {})}
            )
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return Answer(path, 0, {}, repr(error).encode(), sent, time.monotonic() - sent)
        if not kept:
            connection.close()
        taken = time.monotonic() - sent
        return Answer(path, response.status, {**response.headers}, content, sent, taken)

    def sign_in(self, name: str, password: str) -> None:
        """Sign in to the admin as a browser does, and go on as that user."""
        page = self.get("/admin/login/")
        csrf = re.findall(r"csrftoken=(\w+)", page.headers["Set-Cookie"])[0]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(
            "POST",
            "/admin/login/?next=/admin/",
            f"csrfmiddlewaretoken={csrf}&username={name}&password={password}",
            {
                "Host": "localhost",
                "Cookie": f"csrftoken={csrf}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        response = connection.getresponse()
        assert response.status == 302, response.read()
        (session,) = re.findall(r"sessionid=\w+", str(response.headers))
        self.headers["Cookie"] = session
        connection.close()

    def program(self) -> "Shop":
        """Return the shop as a program of the staff sees it: by a token, where people have a session."""
        body = json.dumps({"username": "staff", "password": self.password}).encode()
        answer = self.get("/shop/api/token/", "POST", {"Content-Type": "application/json"}, body=body)
        assert answer.status == 200, answer
        return Shop(self.environment, {"Authorization": f"Bearer {json.loads(answer.body)['access']}"})


class Compose(Shop):
    """compose.prod.yml on this machine."""

    project = "webshop-tests"
    label = "com.docker.compose.project={project},com.docker.compose.service={service}"

    def compose(
        self, *arguments: str, changes: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` with some variables changed."""
        environment = self.environment | {"COMPOSE_PROJECT_NAME": self.project} | (changes or {})
        return run("docker", "compose", *arguments, check=check, env=environment)

    def start(self) -> None:
        self.compose("up", "-d", "--build")

    def stop(self) -> None:
        self.compose("down", "-v", "--remove-orphans", "--timeout", "5")

    def containers(self, service: str) -> list[str]:
        labels = self.label.format(project=self.project, service=service).split(",")
        filters = [f"--filter=label={label}" for label in labels]
        return run("docker", "ps", "-q", *filters).stdout.split()

    def healthy(self, service: str) -> list[str]:
        """The containers of a service that are healthy."""
        return [
            container
            for container in self.containers(service)
            if inspect(container, "{{.State.Health.Status}}") == "healthy"
        ]

    def wait(self) -> None:
        """Wait until every replica serves."""
        wait_until("three healthy replicas", lambda: len(self.healthy("web")) == 3)
        wait_until("an answer", lambda: self.get("/shop/api/category-stats/").status == 200)
        wait_until("a standby", lambda: self.psql("SELECT count(*) FROM pg_stat_replication") == "1")

    def up(self, service: str, **changes: str) -> None:
        """Start a service again with some variables changed."""
        self.compose("up", "-d", "--force-recreate", service, changes=changes)
        self.wait()

    def execute(self, service: str, *command: str, stdin: str = "") -> str:
        """Run a command in a container of a service, and return what it says."""
        container = self.containers(service)[0]
        return run("docker", "exec", "-i", container, *command, input=stdin).stdout.strip()

    def psql(self, sql: str, service: str = "db") -> str:
        """Run SQL as the superuser."""
        command = ("psql", "-U", "postgres", "-d", "webshop_db", "-AtqX", "-v", "ON_ERROR_STOP=1")
        return self.execute(service, *command, stdin=sql)

    def fill(self) -> None:
        """Load the sample data, and sign in as a member of staff."""
        self.psql(SAMPLE_DATA.read_text())
        self.password = secrets.token_hex(8)
        create = f"User.objects.create_superuser('staff', 'staff@example.com', '{self.password}')"
        code = f"from django.contrib.auth.models import User; {create}"
        self.execute("web", "python", "manage.py", "shell", "-c", code)
        self.sign_in("staff", self.password)

    def logs(self, *services: str) -> str:
        """What all containers of these services have logged."""
        containers = [container for service in services for container in self.containers(service)]
        results = [run("docker", "logs", container) for container in containers]
        return "".join(result.stdout + result.stderr for result in results)

    def memory(self, service: str) -> list[int]:
        """The memory of each container of a service, in MiB."""
        containers = self.containers(service)
        used = run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", *containers).stdout
        return [round(float(each)) for each in re.findall(r"^([\d.]+)MiB /", used, re.M)]

    def connect(self) -> psycopg2.extensions.connection:
        """Connect to the primary as the shop does."""
        (container,) = self.containers("db")
        return psycopg2.connect(
            host=inspect(container, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"),
            dbname="webshop_db",
            user="webshop_user",
            password=self.environment["DATABASE_PASSWORD"],
            connect_timeout=2,
        )


class Swarm(Compose):
    """The same file, deployed to a Swarm of this machine, with its secrets from files."""

    project = "webshop-swarm"
    label = "com.docker.swarm.service.name={project}_{service}"

    def start(self) -> None:
        run("docker", "build", "-q", "-t", "webshop", ".")
        run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
        with tempfile.TemporaryDirectory() as directory:
            environment = dict(self.environment)
            for name in ("DJANGO_SECRET_KEY", "DATABASE_PASSWORD"):
                file = Path(directory, name)
                file.write_text(self.environment[name])
                environment |= {name: "", f"{name}_FILE": str(file)}
            files = ("-c", "compose.prod.yml", "-c", "compose.secrets.yml", "-c", QUICK)
            run("docker", "stack", "deploy", *files, self.project, env=environment)

    def stop(self) -> None:
        run("docker", "stack", "rm", self.project, check=False)
        wait_until("no container", lambda: not run("docker", "ps", "-aqf", f"name={self.project}_").stdout)
        run("docker", "swarm", "leave", "--force", check=False)
        for volume in run("docker", "volume", "ls", "-qf", f"name={self.project}_").stdout.split():
            run("docker", "volume", "rm", volume)


def inspect(container: str, template: str) -> str:
    return run("docker", "inspect", "-f", template, container).stdout.strip()


def kill(container: str) -> None:
    """`kill -9` the first process of a container, as the kernel does that runs out of memory."""
    os.kill(int(inspect(container, "{{.State.Pid}}")), signal.SIGKILL)


@contextmanager
def running[Kind: Compose](kind: type[Kind]) -> Iterator[Kind]:
    """Bring a stack up, with the sample data and a member of staff, and take it down."""
    shop = kind(env_file())
    shop.stop()
    try:
        shop.start()
        shop.wait()
        shop.fill()
        yield shop
    finally:
        shop.stop()


class Load:
    """A steady load of GETs, every answer of which is looked at.

    `rate` requests are due each second, so many callers send them: each on a connection of its own, or on one
    that its caller keeps.
    """

    def __init__(
        self, shop: Shop, paths: Sequence[str], rate: int = 60, callers: int = 32, *, keep: bool = False
    ) -> None:
        """Learn the right answers."""
        self.shop, self.rate, self.keep = shop, rate, keep
        self.right = {path: shop.get(path) for path in paths}
        assert {answer.status for answer in self.right.values()} == {200}
        self.paths = paths
        self.answers: list[Answer] = []
        self.ticks = itertools.count()
        self.over = threading.Event()
        self.callers = [threading.Thread(target=self.call) for _ in range(callers)]

    def __enter__(self) -> Self:
        """Begin."""
        self.begun = time.monotonic()
        for caller in self.callers:
            caller.start()
        return self

    def call(self) -> None:
        """Send every request that is due, until it is over."""
        with closing(self.shop.open()) as connection:
            for tick in self.ticks:
                due = self.begun + tick / self.rate
                if self.over.wait(max(0, due - time.monotonic())):
                    return
                path = self.paths[tick % len(self.paths)]
                answer = self.shop.get(path, kept=connection if self.keep else None)
                if answer.body == self.right[path].body:
                    answer = replace(answer, body=b"", headers={})
                self.answers.append(answer)

    def __exit__(self, kind: object, *_: object) -> None:
        """Wait for the last answers; unless there is trouble already, check each, and the load itself."""
        self.over.set()
        for caller in self.callers:
            caller.join()
        if kind:
            return
        self.seconds = time.monotonic() - self.begun
        for answer in self.answers:
            if answer.status == 200:
                assert answer.body == b"", answer
            else:
                assert answer.status == 503, answer
                assert list(json.loads(answer.body)) == ["error"], answer
                assert int(answer.headers["Retry-After"]) > 0, answer
                assert answer.headers["Content-Type"] == "application/json", answer
        assert len(self.answers) / self.seconds >= 50, f"{len(self.answers)} in {self.seconds} s"

    def settle(self, since: float, seconds: float = 5) -> None:
        """Wait until all since then was good for so many seconds, and what an outage kept back is sent."""

        def is_over() -> bool:
            now = time.monotonic()
            latest = max((answer.sent for answer in self.failed), default=since)
            due = (now - self.begun) * self.rate
            return now - max(since, latest) > seconds and len(self.answers) > due - len(self.callers)

        wait_until("good answers", is_over, 30)

    @property
    def failed(self) -> list[Answer]:
        """The answers that are no 200."""
        return [answer for answer in self.answers if answer.status != 200]

    @property
    def slowest(self) -> float:
        """The seconds that the slowest answer took."""
        return max(answer.seconds for answer in self.answers)

    @property
    def outage(self) -> float:
        """The seconds from the sending of the first 503 to that of the last."""
        sent = [answer.sent for answer in self.failed]
        return max(sent) - min(sent) if sent else 0.0
