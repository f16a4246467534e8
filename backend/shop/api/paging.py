"""The parameters of a query string: ?limit=, ?offset= and ?total= of a list."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from django.http import QueryDict

from shop.api.errors import ApiError
from shop.database.statements import CHUNK

PAGING = {"limit": range(1, CHUNK + 1), "offset": range(10**9), "total": range(1, 2)}
"""The parameters of a list, and what each may be."""


def parse_query(query: QueryDict, allowed: Mapping[str, range]) -> dict[str, int]:
    """Return the numbers of a query string; raise ApiError unless all are allowed and in range."""
    found = {}
    for name, values in query.lists():
        value = ",".join(values)  # given twice it is no number
        if not re.fullmatch("[0-9]{1,19}", value) or int(value) not in allowed.get(name, ()):
            names = ", ".join(f"{name} ({values[0]} to {values[-1]})" for name, values in allowed.items())
            message = f"Unknown or bad parameter {name[:30]!r}; known: {names or 'none'}"
            raise ApiError(HTTPStatus.BAD_REQUEST, message)
        found[name] = int(value)
    return found


def links(path: str, parameters: Mapping[str, int], *, more: bool) -> str:
    """Return a Link header to the pages beside this one; `more` says whether one follows it."""
    limit, offset = parameters.get("limit", CHUNK), parameters.get("offset", 0)
    neighbours = {}
    if more:
        neighbours["next"] = f"limit={limit}&offset={offset + limit}"
    if offset:
        neighbours["prev"] = f"limit={min(limit, offset)}&offset={max(0, offset - limit)}"
    total = "&total=1" if "total" in parameters else ""
    return ", ".join(f'<{path}?{page}{total}>; rel="{relation}"' for relation, page in neighbours.items())
