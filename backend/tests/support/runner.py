"""`manage.py test` runs the suite that `pytest` runs."""

from argparse import ArgumentParser
from typing import Any

import pytest


class PytestRunner:
    """Hand the labels of `manage.py test` on to pytest."""

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Add pytest's -m to the command."""
        parser.add_argument("-m", dest="marked", default="not docker", help="which tests, as pytest's -m")

    def __init__(self, *, marked: str, **_: Any) -> None:
        """Take Django's options; pytest has its own."""
        self.marked = marked

    def run_tests(self, test_labels: list[str]) -> int:
        """Run the suite, or these paths; return 0 for success, as Django counts failures."""
        paths = [label for label in test_labels if label != "shop"]
        return int(pytest.main([*paths, "-m", self.marked]))
