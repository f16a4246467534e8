"""Indexes that migrations make while others write.

Old migrations call this: what it does to a database has to stay.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently


@contextmanager
def wait_without_end(schema_editor: Any) -> Iterator[None]:
    """Let statements in the block wait for the transactions of others as long as these take.

    CREATE INDEX CONCURRENTLY does, and nobody waits behind it; other changes of a table must give up soon.
    """
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (patience,) = cursor.fetchone()
    schema_editor.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        schema_editor.execute(f"SET lock_timeout = '{patience}'")


def make_index(schema_editor: Any, name: str, definition: str) -> None:
    """Make an index as SQL describes it, also after a try that broke off."""
    with wait_without_end(schema_editor):
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        schema_editor.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")


class AddIndex(AddIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with wait_without_end(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.index.name}")
            super().database_forwards(app_label, schema_editor, *states)


class RemoveIndex(RemoveIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with wait_without_end(schema_editor):
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        with wait_without_end(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.name}")
            super().database_backwards(app_label, schema_editor, *states)
