"""What clients notice while something breaks: the fault table of docs/DEPLOYMENT.md."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest

from .conftest import FaultTable
from .stack import Compose, Load, inspect, kill, run, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

LIVE = (
    "/shop/api/products/?limit=100",
    "/shop/api/order/1/",
    "/shop/api/customer/1/orders/",
    "/shop/api/customer/1/cart/",
    "/shop/api/low-stock/?limit=100",
    "/shop/api/bestsellers/?limit=10",
)
"""Endpoints that ask the database each time."""

CACHED = [f"/shop/api/{name}/" for name in ("products", "bestsellers", "low-stock", "category-stats")]
CROWD = ("/shop/api/products/?limit=100", *(f"{path}?limit=100" for path in CACHED), "/shop/api/order/1/")
"""What a shop is asked for: mostly what everybody may see."""

OUTAGE_SECONDS = 3
"""An outage is an answer within so many seconds."""


@pytest.fixture(autouse=True)
def _calm(shop: Compose) -> Iterator[None]:
    """Leave the stack as it was found: all replicas and the standby at work."""
    yield
    shop.wait()


def test_a_killed_replica_costs_no_request(shop: Compose, faults: FaultTable) -> None:
    with Load(shop, LIVE) as load:
        time.sleep(1)
        killed = shop.containers("web")[0]
        pid = inspect(killed, "{{.State.Pid}}")
        kill(killed)
        back = wait_until("another process", lambda: inspect(killed, "{{.State.Pid}}") not in (pid, "0"))
        back += wait_until("three replicas", lambda: len(shop.healthy("web")) == 3)
        time.sleep(1)
    assert load.failed == []
    faults.add("`kill -9` of one of three web replicas", load, f"it is healthy again after {back:.0f} s")


class Writer:
    """One who writes rows, and remembers those that were committed."""

    def __init__(self, shop: Compose) -> None:
        """Begin with `with`."""
        self.shop = shop
        self.committed: list[str] = []
        self.latest = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.write)

    def __enter__(self) -> "Writer":
        """Begin."""
        self.thread.start()
        return self

    def write(self) -> None:
        """Write until it is over, on a new connection each time."""
        for number in itertools.count():
            if self.over.wait(0.02):
                return
            name = f"Crash {number}"
            try:
                with closing(self.shop.connect()) as connection, connection, connection.cursor() as cursor:
                    cursor.execute("INSERT INTO category (category_name) VALUES (%s)", [name])
            except psycopg2.Error:
                time.sleep(0.1)
            else:
                self.committed.append(name)
                self.latest = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """End, and check that no row is lost."""
        self.over.set()
        self.thread.join()
        delete = "DELETE FROM category WHERE category_name LIKE 'Crash %' RETURNING category_name"
        found = self.shop.psql(delete)
        assert len(self.committed) > 10
        assert set(self.committed) <= set(found.splitlines())


def check_outage(load: Load, back: float) -> None:
    """Every 503 was quick, and none was sent for later than 15 seconds after the database was back."""
    for answer in load.failed:
        assert answer.seconds < OUTAGE_SECONDS, answer
        assert answer.sent < back + 15, answer


def test_a_killed_database_loses_no_row(shop: Compose, faults: FaultTable) -> None:
    with Load(shop, LIVE) as load, Writer(shop) as writer:
        time.sleep(1)
        killed = time.monotonic()
        kill(shop.containers("db")[0])
        wait_until("rows after it", lambda: writer.latest > killed + 3 and len(writer.committed) > 20)
        load.settle(killed)
    check_outage(load, killed)
    rows = f"all {len(writer.committed)} rows committed before and after are there"
    faults.add("`kill -9` of PostgreSQL", load, f"503 for {load.outage:.1f} s", rows)


def test_a_database_that_stays_away_is_503(shop: Compose, faults: FaultTable) -> None:
    with Load(shop, LIVE) as load:
        time.sleep(1)
        shop.compose("stop", "db")
        time.sleep(20)
        assert shop.get(LIVE[0]).status == 503
        shop.compose("start", "db")
        started = time.monotonic()
        time.sleep(20)
        assert load.answers[-1].sent > started + 15
    check_outage(load, started)
    back = max(answer.sent for answer in load.failed) - started
    faults.add("PostgreSQL stopped for 20 s", load, f"the last 503 {max(back, 0):.1f} s after its start")


def test_a_database_that_hangs_is_503(shop: Compose, faults: FaultTable) -> None:
    """It takes connections and never answers, as on a disk that is gone."""
    (database, standby) = shop.containers("db") + shop.containers("db-replica")
    with Load(shop, LIVE) as load:
        time.sleep(1)
        run("docker", "pause", database, standby)
        time.sleep(10)
        run("docker", "unpause", database, standby)
        back = time.monotonic()
        load.settle(back)
    assert load.failed
    check_outage(load, back)
    faults.add("Both PostgreSQL hang for 10 s", load, f"503 for {load.outage:.1f} s")


def test_a_standby_that_hangs_is_left_alone(shop: Compose, faults: FaultTable) -> None:
    (standby,) = shop.containers("db-replica")
    with Load(shop, LIVE) as load:
        time.sleep(1)
        run("docker", "pause", standby)
        paused = time.monotonic()
        time.sleep(10)
        run("docker", "unpause", standby)
        time.sleep(3)
    check_outage(load, paused - 10)
    faults.add("The standby hangs for 10 s", load)


def test_a_stopped_standby_costs_no_request(shop: Compose, faults: FaultTable) -> None:
    reads = "SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = 'webshop_db'"
    with Load(shop, LIVE) as load:
        time.sleep(1)
        shop.compose("stop", "db-replica")
        time.sleep(10)
        shop.compose("start", "db-replica")
        started = time.monotonic()
        wait_until("the standby", lambda: shop.healthy("db-replica"))
        before = int(shop.psql(reads, "db-replica"))
        wait_until("reads on the standby", lambda: int(shop.psql(reads, "db-replica")) > before + 100)
        back = time.monotonic() - started
        time.sleep(3)
    assert load.failed == []
    faults.add("The standby stopped for 10 s", load, f"it is read from again {back:.0f} s after its start")


def test_a_stopped_cache_costs_no_request(shop: Compose, faults: FaultTable) -> None:
    shop.up("web", SHOP_CACHE_SECONDS="1")
    with Load(shop, CACHED) as load:
        time.sleep(1)
        shop.compose("stop", "cache")
        time.sleep(10)
        shop.compose("start", "cache")
        wait_until("the cache", lambda: "products" in shop.execute("cache", "valkey-cli", "--scan"))
    assert load.failed == []
    faults.add("The cache stopped for 10 s, with `SHOP_CACHE_SECONDS=1`", load)
    shop.up("web")


LOCKED = (
    "CommandError: another transaction kept a table locked for 0.8 s; the migration that needs it was "
    "undone: try again"
)

MIGRATION = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("shop", {latest!r})]
    operations = [migrations.RunSQL({sql!r}, migrations.RunSQL.noop)]
"""


def migrate(shop: Compose, directory: Path, sql: str) -> tuple[int, str]:
    """Deploy a migration of this SQL; return the exit code of `migrate` and what it says on stderr."""
    latest = sorted(Path("shop/migrations").glob("0*.py"))[-1].stem
    module = directory / "9999_probe.py"
    module.write_text(MIGRATION.format(latest=latest, sql=sql))
    mount = f"{module}:/app/shop/migrations/{module.name}:ro"
    options = ("--rm", "-T", "--volume", mount)
    result = shop.compose("run", *options, "migrate", check=False)
    return result.returncode, result.stderr


def test_a_migration_that_waits_for_a_lock_gives_up(
    shop: Compose, faults: FaultTable, tmp_path: Path
) -> None:
    """Behind a transaction that holds the table it would make all readers queue."""
    with closing(shop.connect()) as connection, connection.cursor() as cursor, Load(shop, LIVE) as load:
        cursor.execute("SELECT count(*) FROM product")
        time.sleep(2)
        code, said = migrate(shop, tmp_path, "ALTER TABLE product ADD probe integer")
        time.sleep(2)
    assert (code, said.splitlines()[-1]) == (1, LOCKED)
    assert shop.psql("SELECT count(*) FROM information_schema.columns WHERE column_name = 'probe'") == "0"
    assert load.failed == []
    faults.add("A migration waits for a lock", load, "it gives up with one line, nothing half done")


def test_a_migration_that_holds_a_lock(shop: Compose, faults: FaultTable, tmp_path: Path) -> None:
    """Who reads that table is told so within seconds; nobody else notices. With a standby, hardly anybody."""
    stats = "/shop/api/category-stats/?limit=100"
    shop.compose("stop", "db-replica")
    with Load(shop, [*LIVE[1:4], *LIVE[1:4], stats]) as load:
        time.sleep(2)
        code, said = migrate(shop, tmp_path, "LOCK TABLE category; SELECT pg_sleep(5)")
        assert code == 0, said
        done = time.monotonic()
        time.sleep(5)
    shop.compose("start", "db-replica")
    shop.psql("DELETE FROM django_migrations WHERE name = '9999_probe'")
    assert {answer.path for answer in load.failed} == {stats}
    check_outage(load, done)
    faults.add(
        "Without the standby, a migration locks a table for 5 s", load, "only who reads that table gets a 503"
    )


def test_slow_clients_disturb_nobody(shop: Compose, faults: FaultTable) -> None:
    """They send a byte a second, and are cut off after ten."""
    with ExitStack() as stack, Load(shop, LIVE) as load:
        slow = [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", shop.port))))
            for _ in range(100)
        ]
        for connection in slow:
            connection.sendall(b"GET /shop/api/products/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        for _ in range(13):
            for connection in slow:
                try:
                    connection.sendall(b"x")
                except OSError:
                    connection.close()
            time.sleep(1)
        for connection in slow:
            assert connection.fileno() == -1 or connection.recv(100) == b""
    assert load.failed == []
    faults.add("100 clients dribble their request", load, "they are cut off after 10 s")


def test_a_killed_worker_loses_no_job(shop: Compose) -> None:
    (worker,) = shop.containers("jobs")
    pid = inspect(worker, "{{.State.Pid}}")
    kill(worker)
    columns = "('shop.periodic.renew_search_words', '{\"args\": [], \"kwargs\": {}}', 'default')"
    number = shop.psql(f"INSERT INTO job (task, arguments, queue) VALUES {columns} RETURNING job_id")
    wait_until("it is done", lambda: shop.psql(f"SELECT status FROM job WHERE job_id = {number}") == "done")
    assert inspect(worker, "{{.State.Pid}}") != pid


def test_two_hundred_clients_for_a_minute(shop: Compose, faults: FaultTable) -> None:
    """Each asks every second or two, on a connection that it keeps."""
    with Load(shop.program(), CROWD, rate=120, callers=200, keep=True) as load:
        time.sleep(20)
        before = shop.memory("web")
        time.sleep(40)
        after = shop.memory("web")
    assert load.failed == []
    assert max(after) < max(before) * 1.1
    memory = f"a replica takes {max(before)} MiB after 20 s, {max(after)} MiB after 60 s"
    faults.add("200 clients at once for 60 s", load, memory)
