"""QuerySets run as prepared statements, whose rows PostgreSQL writes as JSON.

Most of a small query's time goes into making its SQL, in Django, and its plan, in PostgreSQL. A Statement
has its SQL made once per process and its plan once per connection.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

import psycopg2.extensions
from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import BigIntegerField, DecimalField, Expression, Field, QuerySet, Subquery
from django.db.models.sql.compiler import SQLCompiler
from psycopg2.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from psycopg2.extensions import AsIs

CHUNK = 1000
"""So many rows are in memory at once, at the most."""

MAX_BIGINT = 2**63 - 1


class Parameter(Expression):
    """A place in a QuerySet for an integer that is known when the statement runs."""

    output_field = BigIntegerField()

    def __init__(self, position: int) -> None:
        """Stand for the argument at this position, from 0."""
        super().__init__()
        self.position = position

    def as_sql(self, *_: Any) -> Any:
        """Return a placeholder, and this object as what it stands for."""
        return "%s", [self]


def items(compiler: SQLCompiler, row: Mapping[str, str]) -> tuple[str, list[Any]]:
    """Return SQL for a FROM clause: the compiled query as `item`, its columns under the keys of `row`.

    Money becomes text, as JSON's numbers would lose its two decimals. The rows stay in their order.
    """
    sql, parameters = compiler.as_sql()
    names = [f'"{name}"' for name in row]
    columns = [
        f"{name}::text" if isinstance(expression.output_field, DecimalField) else name
        for name, (expression, *_) in zip(names, compiler.select, strict=True)
    ]
    sql = f"(SELECT {', '.join(columns)} FROM ({sql}) AS rows ({', '.join(names)})) AS item"  # noqa: S608
    return sql, list(parameters)


class JsonArray(Subquery):
    """A QuerySet's rows as one JSON array of objects, in its order."""

    # psycopg2 reads json by itself; a JSONField would read it again.
    output_field = Field()

    def __init__(self, queryset: QuerySet[Any], row: Mapping[str, str]) -> None:
        """Take the columns or annotations of a row by their JSON keys."""
        super().__init__(queryset.values_list(*row.values()))
        self.row = row

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any) -> Any:  # noqa: ARG002
        """Return the subquery and its parameters."""
        sql, parameters = items(self.query.get_compiler(connection=connection), self.row)
        return f"(SELECT COALESCE(json_agg(item), '[]') FROM {sql})", parameters  # noqa: S608


def clamped(arguments: Sequence[int]) -> list[int]:
    """Return them as PostgreSQL can take them: what is larger than any key is as unknown as the largest."""
    return [min(argument, MAX_BIGINT) for argument in arguments]


# Names by PostgreSQL's connection: it forgets them when it ends, so a new one starts with none.
prepared: WeakKeyDictionary[psycopg2.extensions.connection, set[str]] = WeakKeyDictionary()


class Statement:
    """A QuerySet whose rows are JSON objects, run with new arguments each time.

    `build` makes it of so many integers; `row` names the columns or annotations of a row by their JSON keys.
    """

    def __init__(self, build: Callable[..., QuerySet[Any]], row: Mapping[str, str], arguments: int) -> None:
        """Compile nothing yet: that may ask the database for its version."""
        self.build, self.row, self.arguments = build, row, arguments

    @cached_property
    def queryset(self) -> QuerySet[Any]:
        """The QuerySet, with Parameters for arguments."""
        return self.build(*map(Parameter, range(self.arguments))).values_list(*self.row.values())

    @cached_property
    def compiled(self) -> tuple[str, list[Any]]:
        """The SQL, and what its placeholders stand for: constants and Parameters."""
        sql, parameters = items(self.queryset.query.get_compiler(self.queryset.db), self.row)
        return f"SELECT row_to_json(item)::text FROM {sql}", parameters  # noqa: S608

    def bound(self, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """Return the SQL, and its parameters with these values in the place of the Parameters."""
        sql, parameters = self.compiled
        return sql, [values[item.position] if isinstance(item, Parameter) else item for item in parameters]

    @property
    def placeholders(self) -> list[str]:
        """What stands for the arguments in prepared SQL."""
        return [f"${number}" for number in range(1, self.arguments + 1)]

    @cached_property
    def name(self) -> str:
        """The name it is prepared under, which no other statement has in any process."""
        return f"shop_{sha256(repr(self.bound(self.placeholders)).encode()).hexdigest()[:16]}"

    def prepare(self, cursor: CursorWrapper) -> str:
        """Return the SQL that prepares the statement for its first CHUNK rows; its arguments are bigints.

        The limit is a constant, as with one that it does not know PostgreSQL goes on making a plan each time.
        """
        types = f" ({', '.join('bigint' for _ in self.placeholders)})" if self.placeholders else ""
        sql = cursor.mogrify(*self.bound([AsIs(placeholder) for placeholder in self.placeholders]))
        return f"PREPARE {self.name}{types} AS {sql.decode()} LIMIT {CHUNK}"

    def fetch(self, *arguments: int) -> list[str]:
        """Return the first CHUNK rows. An argument may be of any size."""
        connection = connections[self.queryset.db]
        # A round trip less: what a lost connection could not answer is asked again on a new one.
        connection.health_check_done = True  # type: ignore[attr-defined]
        try:
            return self.run(connection, clamped(arguments))
        except (DatabaseError, InterfaceError) as error:
            if connection.in_atomic_block or not (driver := connection.connection):
                raise
            match error.__cause__:
                case InvalidSqlStatementName():  # somebody discarded it
                    del prepared[driver]
                case DuplicatePreparedStatement():  # it was prepared in a run that failed then
                    prepared[driver].add(self.name)
                case _ if driver.closed and connection.settings_dict["CONN_HEALTH_CHECKS"]:
                    connection.close()
                case _:
                    raise
            return self.run(connection, clamped(arguments))

    def run(self, connection: BaseDatabaseWrapper, values: Sequence[int]) -> list[str]:
        """Return the first rows for these values, and prepare the statement on the way if it is not."""
        with connection.cursor() as cursor:
            if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
                # A transaction pooler: what is prepared here may not be there for the next transaction.
                sql, parameters = self.bound(values)
                cursor.execute(f"{sql} LIMIT {CHUNK}", parameters)
            else:
                known = prepared.setdefault(cursor.connection, set())
                execute = f"EXECUTE {self.name}" + (f" ({', '.join(map(str, values))})" if values else "")
                if self.name in known:
                    cursor.execute(execute)
                else:
                    cursor.execute(f"{self.prepare(cursor)}; {execute}")
                    known.add(self.name)
            return [row for (row,) in cursor.fetchall()]

    def page(self, *arguments: int, limit: int, offset: int) -> list[str]:
        """Return at most `limit` rows from an offset on."""
        sql, parameters = self.bound(clamped(arguments))
        with connections[self.queryset.db].cursor() as cursor:
            cursor.execute(f"{sql} LIMIT %s OFFSET %s", [*parameters, limit, offset])
            return [row for (row,) in cursor.fetchall()]

    def chunks(self, *arguments: int) -> Generator[list[str]]:
        """Yield all rows as of one moment, CHUNK at a time; the last list is shorter, perhaps empty.

        More than one chunk come from a cursor, so that memory never holds more than one. PostgreSQL sets the
        rows aside and ends the transaction before it gives the first one: whoever takes them may be slow.
        """
        rows = self.fetch(*arguments)
        if len(rows) < CHUNK:
            yield rows
            return
        connection = connections[self.queryset.db]
        # A pooler may give each FETCH another connection: behind one all rows come at once.
        pooled = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        with connection.cursor() if pooled else connection.chunked_cursor() as cursor:
            cursor.execute(*self.bound(clamped(arguments)))
            while True:
                rows = [row for (row,) in cursor.fetchmany(CHUNK)]
                yield rows
                if len(rows) < CHUNK:
                    return
