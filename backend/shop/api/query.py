"""The parameters of a query string: their kinds, and how each is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django.http import QueryDict

from shop.api.errors import ApiError
from shop.database.statements import MAX_BIGINT


@dataclass(frozen=True, kw_only=True)
class QueryParameter:
    """What a query string may have; one that is repeatable asks for any of several values."""

    repeatable: bool = False
    about: str = ""

    @property
    def schema(self) -> dict[str, Any]:
        """What JSON Schema says of a value."""
        raise NotImplementedError

    def read(self, text: str) -> Any:
        """Return the value of this text; raise ValueError if it has none."""
        raise NotImplementedError


@dataclass(frozen=True)
class Number(QueryParameter):
    """A number of this range, in digits."""

    allowed: range

    def __str__(self) -> str:
        return f"{self.allowed[0]} to {self.allowed[-1]}"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.allowed[0], "maximum": self.allowed[-1]}

    def read(self, text: str) -> int:
        if not re.fullmatch("[0-9]{1,19}", text) or int(text) not in self.allowed:
            raise ValueError(text)
        return int(text)


@dataclass(frozen=True)
class Id(QueryParameter):
    """A key, which may be of any size: one that no column can hold is as unknown as the largest."""

    def __str__(self) -> str:
        return "an id"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0}

    def read(self, text: str) -> int:
        if not re.fullmatch("[0-9]{1,100}", text):
            raise ValueError(text)
        return min(int(text), MAX_BIGINT)


@dataclass(frozen=True)
class Text(QueryParameter):
    """Any text of so many characters, as long as PostgreSQL can hold it."""

    longest: int

    def __str__(self) -> str:
        return f"1 to {self.longest} characters"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": r"^[^\x00]*$"}

    def read(self, text: str) -> str:
        if not 1 <= len(text) <= self.longest or "\0" in text:
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Choice(QueryParameter):
    """One of these words."""

    words: Sequence[str]

    def __str__(self) -> str:
        return ", ".join(self.words)

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}

    def read(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(text)
        return text


AMOUNT = r"[0-9]{1,17}(\.[0-9]{2})?"


@dataclass(frozen=True)
class Amount(QueryParameter):
    """Money, with two decimals or none."""

    def __str__(self) -> str:
        return "such as 10 or 10.00"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{AMOUNT}$"}

    def read(self, text: str) -> Decimal:
        if not re.fullmatch(AMOUNT, text):
            raise ValueError(text)
        return Decimal(text)


@dataclass(frozen=True)
class Day(QueryParameter):
    """A date."""

    def __str__(self) -> str:
        return "YYYY-MM-DD"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date"}

    def read(self, text: str) -> date:
        if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        return date.fromisoformat(text)


def parse_query(query: QueryDict, known: Mapping[str, QueryParameter]) -> dict[str, Any]:
    """Return the values of a query string, a list of those that are repeatable.

    Raises ApiError (400) unless all are known and can be read, and each is there once, if not repeatable.
    """
    found: dict[str, Any] = {}
    for name, texts in query.lists():
        parameter = known.get(name)
        try:
            if not parameter or (len(texts) > 1 and not parameter.repeatable):
                raise ValueError(name)
            values = [parameter.read(text) for text in texts]
        except ValueError:
            names = ", ".join(f"{name} ({kind})" for name, kind in known.items())
            message = f"Unknown or bad parameter {name[:30]!r}; known: {names or 'none'}"
            raise ApiError(HTTPStatus.BAD_REQUEST, message) from None
        found[name] = values if parameter.repeatable else values[0]
    return found
