"""QuerySets run as prepared statements, whose rows PostgreSQL writes as JSON.

Most of a small query's time goes into making its SQL, in Django, and its plan, in PostgreSQL. A Statement
has its SQL made once per process and its plan once per connection.
"""

import datetime
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import psycopg2.extensions
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import BigIntegerField, DecimalField, Expression, Field, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.sql.compiler import SQLCompiler
from psycopg2.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from psycopg2.extensions import AsIs

CHUNK = 1000
"""How many rows are in memory at once, at most."""

MAX_BIGINT = 2**63 - 1


class Row(dict[str, Any]):
    """The columns, annotations or expressions of a row by their JSON keys, under a name for callers."""

    def __init__(self, name: str, columns: Mapping[str, Any]) -> None:
        super().__init__(columns)
        self.name = name


class Parameter(Combinable):
    """A place in a QuerySet for an integer that is known when the statement runs, used as F() is.

    What asks for its value, such as `if` or `==`, raises TypeError: the answer would hold for all values.
    """

    def __init__(self, position: int) -> None:
        """Stand for the argument at this position, from 0."""
        self.position = position

    def resolve_expression(self, *_: Any, **__: Any) -> Expression:
        """Return what stands for it in the query, as Django asks."""
        return Placeholder(self.position)

    def has_no_value(self, *_: object) -> NoReturn:
        """Refuse to be taken for a number or a text."""
        message = "a Parameter has no value while the QuerySet is built"
        raise TypeError(message)

    __bool__ = __eq__ = __hash__ = __int__ = __index__ = __str__ = __format__ = has_no_value


class Placeholder(Expression):
    """A Parameter in a query: `%s` in its SQL, itself among what these stand for."""

    output_field = BigIntegerField()

    def __init__(self, position: int) -> None:
        """Stand for the argument at this position, from 0."""
        super().__init__()
        self.position = position

    def as_sql(self, *_: Any) -> Any:
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
        sql, parameters = items(self.query.get_compiler(connection=connection), self.row)
        return f"(SELECT COALESCE(json_agg(item), '[]') FROM {sql})", parameters  # noqa: S608


class JsonObject(JsonArray):
    """The first of a QuerySet's rows as a JSON object; null without one, if there may be none."""

    def __init__(self, queryset: QuerySet[Any], row: Mapping[str, str], *, may_be_null: bool = True) -> None:
        super().__init__(queryset, row)
        self.may_be_null = may_be_null

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any) -> Any:  # noqa: ARG002
        sql, parameters = items(self.query.get_compiler(connection=connection), self.row)
        return f"(SELECT row_to_json(item) FROM {sql} LIMIT 1)", parameters  # noqa: S608


NEEDED = "/* up to the end of the page */ NULL"
"""In SQL: how many rows there are up to a page's end; NULL when all are wanted."""


@dataclass(frozen=True)
class Select:
    """SQL with its parameters that gives rows as JSON objects, each a text.

    `counting` makes SQL, with its parameters, for their number, where that takes less than to read them.
    """

    sql: str
    parameters: list[Any]
    counting: Callable[[], tuple[str, list[Any]]] | None = None

    def page(self, alias: str, *, limit: int, offset: int) -> list[str]:
        """Return at most `limit` rows from an offset on, of the database with this alias."""
        sql = self.sql.replace(NEEDED, str(limit + offset))
        with connections[alias].cursor() as cursor:
            cursor.execute(f"{sql} LIMIT %s OFFSET %s", [*self.parameters, limit, offset])
            return [row for (row,) in cursor.fetchall()]

    def count(self, alias: str) -> int:
        """Return the number of all rows."""
        every_row = f"SELECT count(*) FROM ({self.sql}) AS selected"  # noqa: S608
        with connections[alias].cursor() as cursor:
            cursor.execute(*(self.counting() if self.counting else (every_row, self.parameters)))
            return int(cursor.fetchone()[0])

    def chunks(self, alias: str) -> Generator[list[str]]:
        """Yield all rows as of one moment, CHUNK at a time; the last list is shorter, perhaps empty.

        PostgreSQL sets the rows aside and ends the transaction before it gives the first one: whoever takes
        them may be slow.
        """
        connection = connections[alias]
        # A pooler may give each FETCH another connection: behind one all rows come at once.
        pooled = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        with connection.cursor() if pooled else connection.chunked_cursor() as cursor:
            cursor.execute(self.sql, self.parameters)
            while True:
                rows = [row for (row,) in cursor.fetchmany(CHUNK)]
                yield rows
                if len(rows) < CHUNK:
                    return


def select(queryset: QuerySet[Any], row: Mapping[str, str]) -> Select:
    """Compile a QuerySet; `row` names the columns or annotations of a row by their JSON keys.

    That takes longer than a small query does. So it is for one that changes with what is asked, as a search
    does; one that is always the same but for its ids is a Statement.
    """
    queryset = queryset.values_list(*row.values())
    sql, parameters = items(queryset.query.get_compiler(queryset.db), row)
    return Select(f"SELECT row_to_json(item)::text FROM {sql}", parameters)  # noqa: S608


def refuse_queries(*_: Any) -> NoReturn:
    """Take the place of a statement that a QuerySet runs while it is built."""
    message = "it asks the database"
    raise TypeError(message)


def clamped(arguments: Sequence[int]) -> list[int]:
    """Return them as bigints: an id that none can hold is as unknown as the largest or least."""
    return [max(-MAX_BIGINT, min(argument, MAX_BIGINT)) for argument in arguments]


# Names by PostgreSQL's connection: it forgets them when it ends, so a new one starts with none.
prepared: WeakKeyDictionary[psycopg2.extensions.connection, set[str]] = WeakKeyDictionary()


def prepare(cursor: CursorWrapper, name: str, sql: str) -> None:
    """Prepare a statement by itself, so that what fails after it leaves it prepared.

    That is the connection's affair, and no query of the request that happens to be the first.
    """
    with cursor.db.wrap_database_errors:
        cursor.cursor.execute(sql)
    prepared.setdefault(cursor.connection, set()).add(name)


def is_corrected(name: str, driver: psycopg2.extensions.connection, error: Exception) -> bool:
    """Tell whether `prepared` was wrong about a statement that failed, and correct it."""
    match error.__cause__:
        case InvalidSqlStatementName():  # somebody discarded all of them
            prepared.pop(driver, None)
        case DuplicatePreparedStatement():  # behind a pooler, somebody prepared it before
            prepared.setdefault(driver, set()).add(name)
        case _:
            return False
    return True


class Statement:
    """A QuerySet whose rows are JSON objects, compiled once and run with new arguments each time.

    `build` makes it of so many Parameters; `row` is as in select(). As what it makes stays until the process
    ends, ImproperlyConfigured is raised if it looks at a Parameter's value, the clock or the database.
    """

    def __init__(self, build: Callable[..., QuerySet[Any]], row: Mapping[str, str], arguments: int) -> None:
        """Compile it, without a database."""
        self.build, self.row, self.arguments = build, row, arguments
        try:
            with connections[DEFAULT_DB_ALIAS].execute_wrapper(refuse_queries):
                self.queryset, again = (build(*map(Parameter, range(arguments))) for _ in range(2))
                self.compiled = select(self.queryset, row)
                if select(again, row) != self.compiled:
                    message = "it is another one each time"
                    raise TypeError(message)
            if any(isinstance(item, datetime.date | datetime.time) for item in self.compiled.parameters):
                message = "it holds a date or a time, which would stay; Now() does not"
                raise TypeError(message)
        except TypeError as error:
            message = f"{build.__qualname__} cannot be compiled: {error}"
            raise ImproperlyConfigured(message) from error

    def bound(self, values: Sequence[Any]) -> Select:
        """Return what is compiled, with these values in the place of the Parameters."""
        parameters = [
            values[item.position] if isinstance(item, Placeholder) else item
            for item in self.compiled.parameters
        ]
        return Select(self.compiled.sql, parameters)

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
        bound = self.bound([AsIs(placeholder) for placeholder in self.placeholders])
        sql = cursor.mogrify(bound.sql, bound.parameters)
        return f"PREPARE {self.name}{types} AS {sql.decode()} LIMIT {CHUNK}"

    def fetch(self, *arguments: int) -> list[str]:
        """Return the first CHUNK rows. An argument may be of any size."""
        connection = connections[self.queryset.db]
        # A round trip less: what a lost connection could not answer is asked again on a new one.
        connection.health_check_done = True  # type: ignore[attr-defined]
        try:
            return self.run(connection, clamped(arguments))
        except (DatabaseError, InterfaceError) as error:
            driver = connection.connection
            is_lost = driver and driver.closed and connection.settings_dict["CONN_HEALTH_CHECKS"]
            if not (is_lost or is_corrected(self.name, driver, error)) or connection.in_atomic_block:
                raise
            if is_lost:
                connection.close()
            return self.run(connection, clamped(arguments))

    def run(self, connection: BaseDatabaseWrapper, values: Sequence[int]) -> list[str]:
        """Return the first rows for these values, and prepare the statement before if it is not."""
        with connection.cursor() as cursor:
            if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
                # A transaction pooler: what is prepared here may not be there for the next transaction.
                bound = self.bound(values)
                cursor.execute(f"{bound.sql} LIMIT {CHUNK}", bound.parameters)
            else:
                if self.name not in prepared.get(cursor.connection, ()):
                    prepare(cursor, self.name, self.prepare(cursor))
                cursor.execute(
                    f"EXECUTE {self.name}" + (f" ({', '.join(map(str, values))})" if values else "")
                )
            return [row for (row,) in cursor.fetchall()]

    def page(self, *arguments: int, limit: int, offset: int) -> list[str]:
        return self.bound(clamped(arguments)).page(self.queryset.db, limit=limit, offset=offset)

    def chunks(self, *arguments: int) -> Generator[list[str]]:
        """Yield all rows, as Select.chunks() does. Fewer than CHUNK come from fetch(), which is faster."""
        return self.bound(clamped(arguments)).chunks(self.queryset.db)


class Prepared:
    """SQL of one's own, planned once per connection: what a QuerySet cannot say, or says slowly.

    `sql` has its parameters by name, as psycopg2 does; `types` are what PostgreSQL calls them.
    """

    def __init__(self, sql: str, **types: str) -> None:
        self.sql = sql
        self.name = f"shop_{sha256(repr((sql, types)).encode()).hexdigest()[:16]}"
        numbered = sql % {name: f"${number}" for number, name in enumerate(types, 1)}
        self.prepare = f"PREPARE {self.name} ({', '.join(types.values())}) AS {numbered}"
        self.execute = f"EXECUTE {self.name} ({', '.join(f'%({name})s' for name in types)})"

    def run(self, cursor: CursorWrapper, **values: Any) -> None:
        """Run it, once, and prepare it before if it is not."""
        if cursor.db.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            cursor.execute(self.sql, values)
            return
        try:
            if self.name not in prepared.get(cursor.connection, ()):
                prepare(cursor, self.name, self.prepare)
            cursor.execute(self.execute, values)
        except DatabaseError as error:
            is_corrected(self.name, cursor.connection, error)
            raise
