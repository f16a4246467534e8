"""The throwaway database and the named cast of the tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from webshop.postgres import USER, postgres
from webshop.settings import environment


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Start a PostgreSQL for the tests, unless DATABASE_HOST names one."""
    if environment.get("DATABASE_HOST"):
        yield
        return
    with tempfile.TemporaryDirectory() as directory, postgres(Path(directory, "data"), fsync="off") as server:
        connections["default"].settings_dict.update(HOST=str(server.socket_dir), USER=USER)
        yield
        connections.close_all()
