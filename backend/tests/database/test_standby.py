"""The standby: endpoints read from it while it is fit, all else uses the primary, and no GET fails for it."""

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from shop.database.standby import STATE
from tests import BACKEND
from tests.support.cluster import copy_data
from tests.webshop.test_outage import UNAVAILABLE
from webshop.postgres import DATABASE, USER, Server, postgres

pytestmark = pytest.mark.slow


@dataclass
class Node:
    """A server that may die and come back: the name of its socket's directory stays."""

    directory: Path
    server: Server | None = None

    @property
    def host(self) -> str:
        return str(self.directory / "socket")

    @contextmanager
    def running(self, **settings: str) -> Iterator[Server]:
        with postgres(self.directory / "data", fsync="off", **settings) as self.server:
            link = self.directory / "socket"
            link.unlink(missing_ok=True)
            link.symlink_to(self.server.socket_dir)
            yield self.server

    def kill(self) -> None:
        assert self.server
        self.server.process.kill()
        self.server.process.wait()

    def sql(self, statement: str) -> list[Any]:
        with closing(psycopg2.connect(host=self.host, user=USER, dbname=DATABASE)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []


def environment(primary: Node, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SECRET_KEY": "of the tests",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_HOST": primary.host,
        **more,
    }


def manage(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BACKEND,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


FILL = """
    INSERT INTO category (category_name) VALUES ('Lamps');
    INSERT INTO product (name, price, category_id, stock) VALUES ('Lamp 1', 1, 1, 5);
    INSERT INTO customer (first_name, last_name, email, password) VALUES ('Ada', 'Li', 'ada@example.com', '');
    INSERT INTO "order" (customer_id, total_amount) VALUES (1, 2);
    CREATE ROLE clerk LOGIN;
    GRANT pg_read_all_data, pg_write_all_data TO clerk;
"""


@pytest.fixture(scope="module")
def template(migrated_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a shop with a lamp and an order, in which nothing runs."""
    node = copy(migrated_data, tmp_path_factory.mktemp("template") / "node")
    with node.running():
        variables = environment(node, DJANGO_SUPERUSER_USERNAME="chief", DJANGO_SUPERUSER_PASSWORD="of staff")
        variables["DJANGO_SUPERUSER_EMAIL"] = "chief@example.com"
        result = manage(variables, "ensure_superuser")
        assert result.returncode == 0, result.stderr
        node.sql(FILL)
    return node.directory / "data"


def copy(data: Path, directory: Path) -> Node:
    directory.mkdir()
    copy_data(data, directory)
    return Node(directory)


STANDBY = {"wal_receiver_timeout": "500ms", "wal_retrieve_retry_interval": "200ms"}


@pytest.fixture
def primary(template: Path, tmp_path: Path) -> Iterator[Node]:
    node = copy(template, tmp_path / "primary")
    with node.running():
        yield node


@pytest.fixture
def standby(template: Path, tmp_path: Path) -> Node:
    """A standby that does not run yet."""
    node = copy(template, tmp_path / "standby")
    (node.directory / "data" / "standby.signal").touch()
    return node


def following(standby: Node, primary: Node, **settings: str) -> Any:
    """Run the standby of a running primary."""
    assert primary.server
    source = f"host={primary.server.socket_dir} user={USER}"
    return standby.running(primary_conninfo=source, **STANDBY | settings)


@dataclass
class Shop:
    """The shop on the production server: one process, eight threads."""

    port: int
    log: Path

    def get(self, path: str = "/shop/api/products/") -> tuple[int, str | None, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as response:
                return response.status, None, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Retry-After"], error.read()

    def names(self) -> list[str]:
        status, _, body = self.get()
        assert status == 200
        return [product["name"] for product in json.loads(body)]

    def said(self) -> list[str]:
        """What the log says of the standby."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if "}\n" in line]
        return [
            f"{line['level']} {line['message']}"
            for line in lines
            if line["logger"] == "shop.database.standby"
        ]

    def await_line(self, line: str, *, times: int = 1, seconds: float = 15) -> None:
        eventually(lambda: self.said().count(line) == times, seconds, lambda: self.log.read_text())


USED = "INFO the standby is read from"
LEFT = "WARNING the standby is not read from: "


PAUSE = 0.02
"""Seconds between two looks, which leave the machine to those that are looked at."""


def eventually(true: Callable[[], bool], seconds: float, explain: Callable[[], Any]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, explain()
        time.sleep(PAUSE)


SHOP = "tests.support.impatient"
THREADS = ["--workers", "1", "--threads", "8"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Start a shop; it ends with the test."""
    with ExitStack() as stack:

        def start(primary: Node, standby: Node, **more: str) -> Shop:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = int(probe.getsockname()[1])
            log = tmp_path / "log"
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", SHOP, "--bind", f"127.0.0.1:{port}", *THREADS],
                cwd=BACKEND,
                env=environment(primary, DATABASE_REPLICA_HOST=standby.host, **more),
                stdout=subprocess.DEVNULL,
                stderr=stack.enter_context(log.open("wb")),
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            shop = Shop(port, log)

            def listens() -> bool:
                try:
                    return shop.get()[0] in {200, 503}
                except OSError:
                    return False

            eventually(listens, 20, log.read_text)
            return shop

        yield start


def add_lamp(primary: Node, number: int) -> None:
    primary.sql(f"INSERT INTO product (name, price, category_id) VALUES ('Lamp {number}', 1, 1)")


def test_endpoints_read_the_standby_and_the_staff_the_primary(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    with following(standby, primary):
        shop = start(primary, standby, SHOP_API_AUTH="required")
        shop.await_line(USED)
        standby.sql("SELECT pg_wal_replay_pause()")
        add_lamp(primary, 2)
        assert shop.names() == ["Lamp 1"]
        assert json.loads(shop.get("/shop/api/products/?limit=1&total=1")[2])[0]["name"] == "Lamp 1"
        assert shop.get("/shop/api/customer-stats/")[0] == 401

        opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )
        url = f"http://127.0.0.1:{shop.port}"
        page = opener.open(f"{url}/admin/login/").read().decode()
        token = re.search('name="csrfmiddlewaretoken" value="(.+?)"', page)
        assert token
        form = {"csrfmiddlewaretoken": token[1], "username": "chief", "password": "of staff"}
        opener.open(f"{url}/admin/login/?next=/admin/", urllib.parse.urlencode(form).encode())
        assert "Lamp 2" in opener.open(f"{url}/admin/shop/product/").read().decode()
        # Who calls is asked of the primary, the rows of the standby, which does not know the session.
        assert json.loads(opener.open(f"{url}/shop/api/customer-stats/").read())[0]["name"] == "Ada Li"
        assert standby.sql("SELECT count(*) FROM django_session") == [(0,)]
        assert shop.names() == ["Lamp 1"]
        assert shop.said() == [USED]


def test_no_answer_is_older_than_the_limit(primary: Node, standby: Node, start: Callable[..., Shop]) -> None:
    lags = f"{LEFT}it lags more than 2 s"
    with following(standby, primary):
        shop = start(primary, standby, DATABASE_REPLICA_MAX_LAG="2")
        shop.await_line(USED)
        for times, number in enumerate((2, 3), start=1):
            standby.sql("SELECT pg_wal_replay_pause()")
            add_lamp(primary, number)
            see(shop, f"Lamp {number}", within=2)
            shop.await_line(lags, times=times)
            standby.sql("SELECT pg_wal_replay_resume()")
            shop.await_line(USED, times=times + 1)
        assert shop.said() == [USED, lags, USED, lags, USED]


def see(shop: Shop, name: str, within: float) -> None:
    """Wait for what was just written, which the first answer lacks and no later one may."""
    now = written = time.monotonic()
    while name not in shop.names():
        assert now - written <= within
        time.sleep(PAUSE)
        now = time.monotonic()
    assert now > written


def test_a_line_that_is_cut_counts_as_lag(primary: Node, standby: Node, start: Callable[..., Shop]) -> None:
    """The standby has all that it heard of, and does not know yet that it hears nothing any more."""
    with following(standby, primary, wal_receiver_timeout="60s"):
        shop = start(primary, standby, DATABASE_REPLICA_MAX_LAG="3")
        eventually(lambda: primary.sql("SELECT pid FROM pg_stat_replication") != [], 10, list)
        add_lamp(primary, 2)
        shop.await_line(USED)
        ((sender,),) = primary.sql("SELECT pid FROM pg_stat_replication")
        os.kill(sender, signal.SIGSTOP)
        try:
            add_lamp(primary, 3)
            see(shop, "Lamp 3", within=3)
            assert standby.sql("SELECT status FROM pg_stat_wal_receiver") == [("streaming",)]
        finally:
            os.kill(sender, signal.SIGCONT)


def test_a_switch_of_the_log_is_no_lag(primary: Node, standby: Node) -> None:
    """It moves the end of the log to where nothing is written yet."""
    with following(standby, primary):
        eventually(lambda: standby.sql("SELECT pid FROM pg_stat_wal_receiver") != [], 10, list)
        primary.sql("SELECT pg_logical_emit_message(false, '', 'x'), pg_switch_wal()")
        ((switched,),) = primary.sql("SELECT clock_timestamp()")
        heard = f"SELECT last_msg_send_time > '{switched}' FROM pg_stat_wal_receiver"
        eventually(lambda: standby.sql(heard) == [(True,)], 10, list)
        eventually(lambda: standby.sql(STATE)[0][2], 10, lambda: standby.sql(STATE))


PATHS = [
    "products/",
    "products/?limit=1&total=1",
    "customer/1/orders/",
    "order/1/",
    "low-stock/",
    "customer-stats/",
]


def test_a_killed_standby_fails_no_request_and_comes_back(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    with ExitStack() as stack:
        with following(standby, primary):
            shop = start(primary, standby, SHOP_API_AUTH="open")
            expected = {path: shop.get(f"/shop/api/{path}") for path in PATHS}
            assert {status for status, _, _ in expected.values()} == {200}
            answers: list[tuple[str, Any, float]] = []
            done = threading.Event()

            def ask() -> None:
                while not done.is_set():
                    for path in PATHS:
                        begun = time.monotonic()
                        answers.append((path, shop.get(f"/shop/api/{path}"), time.monotonic() - begun))
                        time.sleep(PAUSE)

            def goes_on() -> None:
                number = len(answers) + 150
                eventually(lambda: len(answers) > number, 20, list)

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
            stack.callback(done.set)
            shop.await_line(USED)
            goes_on()
            standby.kill()
            goes_on()
        with following(standby, primary):
            shop.await_line(USED, times=2)
            goes_on()
            standby.sql("SELECT pg_wal_replay_pause()")
            add_lamp(primary, 2)
            assert shop.names() == ["Lamp 1"]
            stack.close()
            first, second, third = shop.said()
            assert (first, third) == (USED, USED)
            assert second.startswith(LEFT)
        assert len(answers) > 300
        assert [(path, answer) for path, answer, _ in answers if answer != expected[path]] == []
        assert max(seconds for _, _, seconds in answers) < 3


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(below for child in children for below in processes(int(child)))]


def test_a_standby_that_hangs_keeps_nobody(primary: Node, standby: Node, start: Callable[..., Shop]) -> None:
    with following(standby, primary):
        shop = start(primary, standby, SHOP_API_AUTH="open")
        shop.await_line(USED)
        timed(shop.get, 16)  # all threads have a connection to it
        assert standby.server
        stopped = processes(standby.server.process.pid)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                answers = timed(shop.get, 16)
                assert {status for (status, _, _), _ in answers} == {200}
                assert max(seconds for _, seconds in answers) < 5
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        shop.await_line(USED, times=2)


def timed(get: Callable[[], Any], threads: int) -> list[tuple[Any, float]]:
    """Call it from so many threads at once; return each answer and its seconds."""
    answers: list[tuple[Any, float]] = []

    def ask() -> None:
        begun = time.monotonic()
        answer = get()
        answers.append((answer, time.monotonic() - begun))

    callers = [threading.Thread(target=ask) for _ in range(threads)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return answers


def test_one_request_at_the_most_waits_for_a_host_that_does_not_answer(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    silent = standby.directory / "silent"
    silent.mkdir()
    with following(standby, primary), socket.socket(socket.AF_UNIX) as listener:
        shop = start(primary, standby)
        shop.await_line(USED)  # and no thread that answers has a connection to it yet
        standby.kill()
        listener.bind(str(silent / ".s.PGSQL.5432"))
        listener.listen()
        Path(standby.host).unlink()
        Path(standby.host).symlink_to(silent)
        answers = timed(shop.names, 8)
        assert [answer for answer, _ in answers] == [["Lamp 1"]] * 8
        seconds = sorted(seconds for _, seconds in answers)
        assert seconds[-2] < 0.5
        assert seconds[-1] < 1.5
        assert max(seconds for _ in range(20) for _, seconds in timed(shop.get, 1)) < 0.5


def test_a_killed_primary_leaves_the_standby_for_a_while(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    with following(standby, primary):
        shop = start(primary, standby, DATABASE_REPLICA_MAX_LAG="2")
        shop.await_line(USED)
        primary.kill()
        now = killed = time.monotonic()
        while (answer := shop.get())[0] == 200:
            assert now - killed <= 2
            time.sleep(PAUSE)
            now = time.monotonic()
        assert now - killed > 0.5
        assert answer == shop.get() == UNAVAILABLE


SLOW = """
    CREATE OR REPLACE VIEW customer_spending AS
    SELECT customer_id, count(*) AS total_orders, sum(total_amount) AS total_spent
    FROM "order"
    WHERE (SELECT NOT pg_is_in_recovery() OR pg_sleep(4) IS NOT NULL)
    GROUP BY customer_id
"""


def test_what_a_recovery_conflict_ends_is_asked_of_the_primary(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    primary.sql(SLOW)
    with following(standby, primary, max_standby_streaming_delay="0"):
        shop = start(primary, standby, SHOP_API_AUTH="open")
        shop.await_line(USED)
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(shop.get("/shop/api/customer-stats/")))
        begun = time.monotonic()
        thread.start()
        sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        eventually(lambda: standby.sql(sleeping) != [], 10, list)
        primary.sql('BEGIN; LOCK TABLE "order" IN ACCESS EXCLUSIVE MODE; COMMIT')
        thread.join()
        assert time.monotonic() - begun < 3
        assert answers[0][0] == 200
        assert json.loads(answers[0][2])[0]["total_spent"] == "2.00"
        assert len(shop.said()) == 2
        assert shop.said()[1].startswith(f"{LEFT}canceling statement due to conflict with recovery")


def test_what_a_time_out_ends_on_the_standby_is_not_asked_again(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    primary.sql(SLOW)
    with following(standby, primary):
        shop = start(primary, standby, SHOP_API_AUTH="open", PGOPTIONS="-c statement_timeout=500ms")
        shop.await_line(USED)
        assert shop.get("/shop/api/customer-stats/") == UNAVAILABLE
        assert shop.said() == [USED]


def test_what_the_standby_has_not_migrated_yet_is_asked_of_the_primary(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    column = "SELECT 1 FROM pg_attribute WHERE attname = 'amount'"
    with following(standby, primary):
        primary.sql("ALTER TABLE product RENAME COLUMN stock TO amount")
        eventually(lambda: standby.sql(column) != [], 10, list)
        standby.sql("SELECT pg_wal_replay_pause()")
        primary.sql("ALTER TABLE product RENAME COLUMN amount TO stock")
        shop = start(primary, standby, DATABASE_REPLICA_MAX_LAG="60")
        shop.await_line(USED)
        assert shop.names() == ["Lamp 1"]
        assert shop.said()[1].startswith(f"{LEFT}column product.stock does not exist")


def test_a_primary_is_no_standby(primary: Node, start: Callable[..., Shop]) -> None:
    shop = start(primary, primary)
    assert shop.names() == ["Lamp 1"]
    line = f"{LEFT}it is no standby: it is not in recovery"
    shop.await_line(line)
    time.sleep(2.5)  # two more looks
    assert shop.said() == [line]


HIDDEN = "it hides the state of its WAL receiver: GRANT pg_read_all_stats to the shop's role"


def test_a_role_that_may_not_see_the_lag_reads_the_primary(
    primary: Node, standby: Node, start: Callable[..., Shop]
) -> None:
    with following(standby, primary):
        eventually(lambda: standby.sql("SELECT pid FROM pg_stat_wal_receiver") != [], 10, list)
        shop = start(primary, standby, DATABASE_USERNAME="clerk")
        shop.await_line(LEFT + HIDDEN)
        primary.sql("GRANT pg_read_all_stats TO clerk")
        shop.await_line(USED)


def check(primary: Node, replica: str, **more: str) -> tuple[int, list[str]]:
    """Return the exit code of the check, and what it finds."""
    variables = environment(primary, DATABASE_REPLICA_HOST=replica, **more)
    result = manage(variables, "check", "--database", "replica")
    return result.returncode, re.findall(r"\(shop\.E001\) DATABASE_REPLICA_HOST \S+: (.+)", result.stderr)


def test_the_check_says_what_is_wrong(primary: Node, standby: Node, tmp_path: Path) -> None:
    code, (line,) = check(primary, standby.host)
    assert code == 1
    assert "No such file or directory" in line
    assert check(primary, primary.host) == (1, ["it is no standby: it is not in recovery"])
    with following(standby, primary):
        eventually(lambda: standby.sql("SELECT pid FROM pg_stat_wal_receiver") != [], 10, list)
        assert check(primary, standby.host) == (0, [])
        assert check(primary, standby.host, DATABASE_USERNAME="clerk") == (1, [HIDDEN])
        other = Node(tmp_path / "other")
        other.directory.mkdir()
        with other.running():
            assert check(other, standby.host) == (1, ["it is a standby of another server than the primary"])
