"""One production stack for all tests of this directory, and the table of what they find."""

import re
from collections.abc import Iterator

import pytest

from .stack import DEPLOYMENT_MD, Compose, Load, running


class FaultTable:
    """The rows of the table in docs/DEPLOYMENT.md."""

    HEAD = (
        "| what happens | requests | not answered with 200 | slowest answer | what else |\n"
        "|---|---|---|---|---|\n"
    )

    def __init__(self) -> None:
        """Begin with no row."""
        self.rows: list[str] = []

    def add(self, fault: str, load: Load, *notes: str) -> None:
        """Add a row."""
        requests = f"{len(load.answers)} in {load.seconds:.0f} s"
        failed = f"{len(load.failed)} × 503" if load.failed else "none"
        cells = (fault, requests, failed, f"{load.slowest:.2f} s", "; ".join(notes))
        self.rows.append(f"| {' | '.join(cells)} |\n")

    def __str__(self) -> str:
        """The table as Markdown."""
        return self.HEAD + "".join(self.rows)


@pytest.fixture(scope="package")
def faults(request: pytest.FixtureRequest) -> Iterator[FaultTable]:
    """Collect the table; with --record-faults it becomes that of docs/DEPLOYMENT.md."""
    table = FaultTable()
    yield table
    print(f"\n{table}")  # noqa: T201
    if request.config.getoption("--record-faults"):
        page = DEPLOYMENT_MD.read_text()
        DEPLOYMENT_MD.write_text(re.sub(r"^\| what happens \|.+?\n\n", f"{table}\n", page, flags=re.M | re.S))


@pytest.fixture(scope="package")
def shop() -> Iterator[Compose]:
    with running(Compose) as shop:
        yield shop
