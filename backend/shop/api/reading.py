"""The kit to read with: from the ids in a path to a QuerySet, from its rows to JSON or CSV.

A read may go to the standby, and again to the primary when that fails.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial, update_wrapper
from hashlib import sha256
from http import HTTPStatus
from inspect import signature
from typing import Any

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response

from shop.api.accept import CSV, JSON, wants_csv
from shop.api.audience import ANONYMOUS, Audience
from shop.api.csv_text import csv_lines
from shop.api.errors import ApiError
from shop.api.microcache import remembered
from shop.api.paging import PAGING, links
from shop.api.query import QueryParameter, parse_query
from shop.database.standby import standby
from shop.database.statements import CHUNK, Select, Statement, clamped, select

PUBLIC_SECONDS = 5
"""How long browsers and proxies may keep what is for everybody."""

PUBLIC = f"public, max-age={PUBLIC_SECONDS}"
"""The Cache-Control of what is for everybody and depends on the code alone."""


type Build = Callable[..., QuerySet[Any]]
"""A function from the ids in a path to a QuerySet."""


@dataclass(frozen=True)
class Format:
    """How rows that are JSON texts are written: `lines` of some of them, what is around and between those."""

    name: str
    media_type: str
    begin: str
    lines: Callable[[list[str]], str]
    between: str = ""
    end: str = ""

    def whole(self, rows: list[str]) -> str:
        return f"{self.begin}{self.lines(rows)}{self.end}"

    def parts(self, chunks: Generator[list[str]]) -> Generator[str]:
        """Yield it in parts, the first of them empty."""
        with closing(chunks):
            first = next(chunks)
            yield ""  # once started, close() closes the chunks as well
            yield self.begin + self.lines(first)
            for rows in chunks:
                if rows:
                    yield self.between + self.lines(rows)
            yield self.end


JSON_ARRAY = Format("json", JSON, "[", ",".join, ",", "]")
"""If it breaks off, what was sent is no JSON."""


def csv_of_objects(rows: list[str]) -> str:
    """Return flat JSON objects as lines of CSV; null is an empty cell."""
    return csv_lines(row.values() for row in json.loads(f"[{','.join(rows)}]"))


class ReadEndpoint:
    """Answers GET and HEAD with rows of a QuerySet.

    `build` makes the QuerySet of the ids in the path; `row` names its columns or annotations by their JSON
    keys.
    """

    parameters: Mapping[str, QueryParameter] = {}
    """What the query string may have."""

    cached = False
    """Whether SHOP_CACHE_SECONDS applies, which is not for what shows a customer."""

    varies: tuple[str, ...] = ()
    """The headers that the answer depends on, beside who calls."""

    def __init__(self, build: Build, audience: Audience, row: Mapping[str, str]) -> None:
        """Take the name and the docstring from `build`."""
        update_wrapper(self, build)
        self.build, self.audience = build, audience
        self.ids = tuple(signature(build).parameters)
        self.statement = Statement(build, row, len(self.ids))

    def __call__(self, request: HttpRequest, **ids: int) -> HttpResponseBase:
        is_open = self.audience.is_everybody or (self.audience.opens and settings.SHOP_API_AUTH == "open")
        caller = ANONYMOUS if is_open else self.audience.identify(request, ids)
        if not is_open:
            self.audience.admit(caller, ids, self.hidden())
        parameters = parse_query(request.GET, self.parameters) if request.META["QUERY_STRING"] else {}
        ask = partial(self.respond, request, parameters, [ids[name] for name in self.ids])
        # Who has a token may just have written.
        response = standby.read(ask) if standby and not caller.has_token else ask()
        if vary := self.varies if is_open else (*self.varies, "Authorization", "Cookie"):
            response["Vary"] = ", ".join(vary)
        return response

    def respond(
        self, request: HttpRequest, parameters: Mapping[str, Any], ids: list[int]
    ) -> HttpResponseBase:
        """Answer with the rows of these ids; raise ApiError when there is nothing of the kind."""
        raise NotImplementedError

    def resource(self) -> type[Model]:
        """Return the model whose id is in the path."""
        raise NotImplementedError

    def missing(self) -> ApiError:
        """Return the error for an id that nobody has."""
        name = str(self.resource()._meta.verbose_name).capitalize()
        return ApiError(HTTPStatus.NOT_FOUND, f"{name} not found")

    def hidden(self) -> ApiError:
        """Return the error for a caller who is known, but may not see this."""
        return self.missing() if self.ids else ApiError(HTTPStatus.FORBIDDEN, "You may not see this")

    def send(
        self, request: HttpRequest, text: str, headers: Mapping[str, str], age: int | None = None
    ) -> HttpResponseBase:
        """Answer with this JSON and these headers, or with 304; `age` says how old a kept answer is."""
        response = json_answer(request, text, {**headers, "Cache-Control": self.cache_control})
        if age is not None:
            response["Age"] = str(age)
        return response

    @property
    def cache_seconds(self) -> int:
        """For how many seconds an answer may be given again."""
        return settings.SHOP_CACHE_SECONDS if self.cached else 0

    @property
    def cache_control(self) -> str:
        """Who may keep an answer, and how long without asking again."""
        everybody = self.audience.is_everybody
        seconds = self.cache_seconds or (PUBLIC_SECONDS if everybody else 0)
        keeper = "public" if everybody else "private"
        return f"{keeper}, {f'max-age={seconds}' if seconds else 'no-cache'}"


def json_answer(request: HttpRequest, text: str, headers: Mapping[str, str]) -> HttpResponseBase:
    """Return an answer of this JSON, these headers and the ETag of both, or a 304 if the caller has them.

    With another Content-Type among the headers it is of that.
    """
    content = text.encode()
    digest = sha256(content)
    for value in headers.values():
        digest.update(value.encode())
    etag = f'"{digest.hexdigest()[:32]}"'
    response: HttpResponseBase
    response = HttpResponse(content, headers={"Content-Type": JSON, **headers})
    response["ETag"] = etag
    response["Content-Length"] = str(len(content))
    if "HTTP_IF_NONE_MATCH" in request.META:
        # What else is conditional protects what is written: a read has nothing to lose by If-Match.
        for name in ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE"):
            request.META.pop(name, None)
        response = get_conditional_response(request, etag=etag, response=response) or response
    return response


class DetailEndpoint(ReadEndpoint):
    """Shows one row."""

    def respond(self, request: HttpRequest, _: Mapping[str, Any], ids: list[int]) -> HttpResponseBase:
        for row in self.statement.fetch(*ids):
            return self.send(request, row, {})
        raise self.missing()

    def resource(self) -> type[Model]:
        model: type[Model] = self.statement.queryset.model
        return model


class ListEndpoint(ReadEndpoint):
    """Lists rows, or a page of them.

    `parent` is the model whose id is in the path, with its name for the rows: no parent is a 404. `filters`
    are more parameters; `filtered` makes the QuerySet of their values, by name, and the ids in the path, or a
    Select, where a QuerySet cannot say it.
    """

    varies = ("Accept",)

    def __init__(
        self,
        build: Build,
        audience: Audience,
        row: Mapping[str, str],
        *,
        parent: tuple[type[Model], str] | None = None,
        cached: bool = False,
        filters: Mapping[str, QueryParameter] | None = None,
        filtered: Callable[..., QuerySet[Any] | Select] | None = None,
    ) -> None:
        super().__init__(build, audience, row)
        self.parent, self.cached, self.row = parent, cached, row
        self.filters, self.filtered = filters or {}, filtered
        self.parameters = {**self.filters, **PAGING}
        self.csv = Format("csv", f"{CSV}; charset=utf-8", csv_lines([row]), csv_of_objects)

    def resource(self) -> type[Model]:
        if not self.parent:
            raise LookupError(f"{self.build.__name__} has no parent")
        return self.parent[0]

    def respond(
        self, request: HttpRequest, parameters: Mapping[str, Any], ids: list[int]
    ) -> HttpResponseBase:
        form = self.csv if wants_csv(request) else JSON_ARRAY
        if parameters:
            return self.page(request, parameters, form, *ids)
        age = None
        if self.cache_seconds:
            key = f"{self.build.__name__}:{form.name}"
            rows, age = remembered(key, partial(self.rows, form), self.cache_seconds)
        else:
            rows = self.rows(form, *ids)
        if isinstance(rows, str):
            return self.send(request, rows, {"Content-Type": form.media_type}, age)
        response = StreamingHttpResponse(rows, content_type=form.media_type)
        response["Cache-Control"] = self.cache_control
        if request.method == "HEAD":
            rows.close()
        return response

    def rows(self, form: Format, *ids: int) -> str | Generator[str]:
        """Return all rows in this format; in parts if they are many."""
        first = self.statement.fetch(*ids)
        if len(first) == CHUNK:
            parts = form.parts(self.statement.chunks(*ids))
            next(parts)
            return parts
        if self.parent and not first:
            self.total(*ids)
        return form.whole(first)

    def page(
        self, request: HttpRequest, parameters: Mapping[str, Any], form: Format, *ids: int
    ) -> HttpResponseBase:
        """Answer with a page of rows, links to its neighbours, and the number of all rows on request."""
        limit, offset = parameters.get("limit", CHUNK), parameters.get("offset", 0)
        filters = {name: value for name, value in parameters.items() if name in self.filters}
        among = self.filtered(filters, *clamped(ids)) if self.filtered and filters else None
        selected = self.selected(among, *ids)
        rows = selected.page(self.statement.queryset.db, limit=limit + 1, offset=offset) if selected else []
        total = 0
        if isinstance(among, Select):
            total = among.count(self.statement.queryset.db) if "total" in parameters else 0
        elif "total" in parameters or (self.parent and not rows):
            total = self.total(*ids, among=among)
        headers = {"Content-Type": form.media_type}
        if link := links(request.path, request.GET, limit=limit, offset=offset, more=len(rows) > limit):
            headers["Link"] = link
        if "total" in parameters:
            headers["X-Total-Count"] = str(total)
        return self.send(request, form.whole(rows[:limit]), headers)

    def selected(self, among: QuerySet[Any] | Select | None, *ids: int) -> Select | None:
        """Return what selects these rows, or all; None where they ask for what no column can hold."""
        if among is None:
            return self.statement.bound(clamped(ids))
        try:
            return among if isinstance(among, Select) else select(among, self.row)
        except EmptyResultSet:
            return None

    def total(self, *ids: int, among: QuerySet[Any] | None = None) -> int:
        """Return the number of all rows, or of these; raise ApiError when the parent is missing."""
        if not self.parent:
            return (self.build(*ids) if among is None else among).count()
        model, children = self.parent
        counted = Count(children, filter=None if among is None else Q((f"{children}__in", among)))
        parents = model._default_manager.filter(pk=ids[0]).annotate(total=counted)
        for total in parents.values_list("total", flat=True):
            return int(total)
        raise self.missing()


def list_endpoint(
    audience: Audience, row: Mapping[str, str], **options: Any
) -> Callable[[Build], ListEndpoint]:
    """Make a ListEndpoint of a function that builds its QuerySet."""
    return lambda build: ListEndpoint(build, audience, row, **options)


def detail_endpoint(
    audience: Audience, row: Mapping[str, str], **options: Any
) -> Callable[[Build], DetailEndpoint]:
    """Make a DetailEndpoint of a function that builds its QuerySet."""
    return lambda build: DetailEndpoint(build, audience, row, **options)
