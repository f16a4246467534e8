"""The pages of a list: ?limit=, ?offset= and ?total=."""

from django.http import QueryDict

from shop.api.query import Number
from shop.database.statements import CHUNK

PAGING = {
    "limit": Number(range(1, CHUNK + 1), about=f"So many rows; {CHUNK} if it is left out."),
    "offset": Number(range(10**9), about="After so many rows."),
    "total": Number(range(1, 2), about="Have the number of all rows told as X-Total-Count."),
}
"""The parameters of every list."""


def links(path: str, query: QueryDict, *, limit: int, offset: int, more: bool) -> str:
    """Return a Link header to the pages beside this one; `more` says whether one follows it."""
    neighbours = {}
    if more:
        neighbours["next"] = (limit, offset + limit)
    if offset:
        neighbours["prev"] = (min(limit, offset), max(0, offset - limit))
    return ", ".join(
        f'<{path}?{page(query, limit, offset)}>; rel="{relation}"'
        for relation, (limit, offset) in neighbours.items()
    )


def page(query: QueryDict, limit: int, offset: int) -> str:
    """Return the query string of another page of the same list."""
    others = query.copy()
    for name in PAGING:
        others.pop(name, None)
    paging = QueryDict(mutable=True)
    paging.update({"limit": str(limit), "offset": str(offset)})
    if "total" in query:
        paging["total"] = "1"
    return "&".join(part for part in (others.urlencode(), paging.urlencode()) if part)
