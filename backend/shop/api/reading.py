"""What all endpoints share: who may call, GET and HEAD only, JSON in and out of trouble, pages, caching."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from enum import Enum
from functools import update_wrapper
from hashlib import sha256
from http import HTTPStatus
from inspect import signature
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Count, Model, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import Resolver404, resolve
from django.utils.cache import get_conditional_response

from shop.api.errors import error, method_not_allowed, unavailable
from shop.api.microcache import remembered
from shop.api.paging import PAGING, BadParameterError, links, read
from shop.database.standby import read as read_rows
from shop.database.statements import CHUNK, Statement

API_ROOT = "/shop/api/"
METHODS = ("GET", "HEAD")
PUBLIC_SECONDS = 5
"""So long browsers and proxies may keep what is for everybody."""


type Build = Callable[..., QuerySet[Any]]
"""A function from the ids in a path to a QuerySet."""


class Audience(Enum):
    """Who may call an endpoint when SHOP_API_AUTH is `required`; when it is `open`, everybody may.

    The value says who may keep an answer (Cache-Control).
    """

    PUBLIC = "public"
    STAFF = "private"


def may_call(request: HttpRequest, audience: Audience) -> bool:
    """Tell whether this caller belongs to the audience; SHOP_API_AUTH says whether that matters."""
    if audience is Audience.PUBLIC or settings.SHOP_API_AUTH == "open":
        return True
    return request.user.is_active and request.user.is_staff


class Endpoint:
    """A view that answers with rows of a QuerySet as JSON, or says in JSON what is wrong.

    `build` makes the QuerySet of the ids in the path; `row` names its columns or annotations by their JSON
    keys.
    """

    known: Mapping[str, range] = {}
    """The parameters that the query string may have, and what each may be."""

    cached = False
    """Whether SHOP_CACHE_SECONDS applies, which is not for what shows a customer."""

    def __init__(self, build: Build, audience: Audience, row: Mapping[str, str]) -> None:
        """Take the name and the docstring from `build`."""
        update_wrapper(self, build)
        self.build, self.audience = build, audience
        self.statement = Statement(build, row, len(signature(build).parameters))

    def __call__(self, request: HttpRequest, **ids: int) -> HttpResponseBase:
        """Answer a request."""
        try:
            if not may_call(request, self.audience):
                return error(HTTPStatus.UNAUTHORIZED, "Sign in as staff to see this")
            asked = read(request.GET, self.known) if request.META["QUERY_STRING"] else {}
            return read_rows(lambda: self.answer(request, asked, *ids.values()))
        except BadParameterError as bad:
            return error(HTTPStatus.BAD_REQUEST, str(bad))
        except Http404 as missing:
            return error(HTTPStatus.NOT_FOUND, str(missing))
        except (OperationalError, InterfaceError):
            return unavailable()

    def answer(self, request: HttpRequest, asked: Mapping[str, int], *ids: int) -> HttpResponseBase:
        """Answer a request for these parameters and ids; raise Http404 with the message to send."""
        raise NotImplementedError

    def send(
        self, request: HttpRequest, text: str, headers: Mapping[str, str], age: int | None = None
    ) -> HttpResponseBase:
        """Answer with this JSON, these headers and the ETag of both, or with 304 if the caller has them."""
        content = text.encode()
        digest = sha256(content)
        for value in headers.values():
            digest.update(value.encode())
        etag = f'"{digest.hexdigest()[:32]}"'
        response: HttpResponseBase
        response = HttpResponse(content, content_type="application/json", headers=headers)
        response["ETag"] = etag
        response["Content-Length"] = str(len(content))
        response["Cache-Control"] = self.cache_control
        if "HTTP_IF_NONE_MATCH" in request.META:
            response = get_conditional_response(request, etag=etag, response=response) or response
        if age is not None:
            response["Age"] = str(age)
        return response

    @property
    def cache_seconds(self) -> int:
        """So long an answer may be given again."""
        return settings.SHOP_CACHE_SECONDS if self.cached else 0

    @property
    def cache_control(self) -> str:
        """Who may keep an answer, and how long without asking again."""
        seconds = self.cache_seconds or (PUBLIC_SECONDS if self.audience is Audience.PUBLIC else 0)
        return f"{self.audience.value}, {f'max-age={seconds}' if seconds else 'no-cache'}"


class Single(Endpoint):
    """An endpoint that shows one row."""

    def answer(self, request: HttpRequest, _: Mapping[str, int], *ids: int) -> HttpResponseBase:
        """Answer with the row."""
        for row in self.statement.fetch(*ids):
            return self.send(request, row, {})
        raise missing(self.statement.queryset.model)


class Array(Endpoint):
    """An endpoint that lists rows, or a page of them.

    `parent` is the model whose id is in the path, with its name for the rows: no parent is a 404.
    """

    known = PAGING

    def __init__(
        self,
        build: Build,
        audience: Audience,
        row: Mapping[str, str],
        *,
        parent: tuple[type[Model], str] | None = None,
        cached: bool = False,
    ) -> None:
        """Take the name and the docstring from `build`."""
        super().__init__(build, audience, row)
        self.parent, self.cached = parent, cached

    def answer(self, request: HttpRequest, asked: Mapping[str, int], *ids: int) -> HttpResponseBase:
        """Answer with all rows, or with a page of them."""
        if asked:
            return self.page(request, asked, *ids)
        age = None
        if self.cache_seconds:
            rows, age = remembered(self.build.__name__, self.rows, self.cache_seconds)
        else:
            rows = self.rows(*ids)
        if isinstance(rows, str):
            return self.send(request, rows, {}, age)
        response = StreamingHttpResponse(rows, content_type="application/json")
        response["Cache-Control"] = self.cache_control
        if request.method == "HEAD":
            rows.close()
        return response

    def rows(self, *ids: int) -> str | Generator[str]:
        """Return the array of all rows; its parts if they are many."""
        chunks = self.statement.chunks(*ids)
        first = next(chunks)
        if len(first) == CHUNK:
            parts = joined(first, chunks)
            next(parts)
            return parts
        chunks.close()
        if self.parent and not first:
            self.total(*ids)
        return f"[{','.join(first)}]"

    def page(self, request: HttpRequest, asked: Mapping[str, int], *ids: int) -> HttpResponseBase:
        """Answer with some rows, links to those beside them, and the number of all if that is asked for."""
        limit = asked.get("limit", CHUNK)
        rows = self.statement.page(*ids, limit=limit + 1, offset=asked.get("offset", 0))
        headers = {}
        if link := links(request.path, asked, more=len(rows) > limit):
            headers["Link"] = link
        if "total" in asked:
            headers["X-Total-Count"] = str(self.total(*ids))
        elif self.parent and not rows:
            self.total(*ids)
        return self.send(request, f"[{','.join(rows[:limit])}]", headers)

    def total(self, *ids: int) -> int:
        """Return the number of all rows; raise Http404 when the parent is missing."""
        if not self.parent:
            return self.build(*ids).count()
        model, children = self.parent
        for total in model._default_manager.filter(pk=ids[0]).values_list(Count(children), flat=True):
            return int(total)
        raise missing(model)


def missing(model: type[Model]) -> Http404:
    """Return the error for a path whose id nobody has."""
    return Http404(f"{model._meta.verbose_name} not found".capitalize())


def joined(first: list[str], chunks: Generator[list[str]]) -> Generator[str]:
    """Yield a JSON array in parts, the first of them empty; if it breaks off, what was sent is no JSON."""
    with closing(chunks):
        yield ""  # from here on close() closes the chunks as well
        yield "[" + ",".join(first)
        for rows in chunks:
            yield ",".join(["", *rows])
        yield "]"


def array(audience: Audience, row: Mapping[str, str], **options: Any) -> Callable[[Build], Array]:
    """Make an Array of a function that builds its QuerySet."""
    return lambda build: Array(build, audience, row, **options)


def single(audience: Audience, row: Mapping[str, str]) -> Callable[[Build], Single]:
    """Make a Single of a function that builds its QuerySet."""
    return lambda build: Single(build, audience, row)


def json_api(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Middleware: under the API's root, let GET and HEAD pass and answer every error as JSON, DEBUG or not.

    Django itself answers as HTML an unknown path (404), a foreign host or malformed request (400) and an
    unexpected failure (500).
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_ROOT):
            return get_response(request)
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        response = get_response(request)
        status = HTTPStatus(response.status_code)
        if status.is_success or status.is_redirection or isinstance(response, JsonResponse):
            return response
        answer = error(status, status.phrase)
        for name, value in response.items():
            if name != "Content-Length":
                answer.setdefault(name, value)
        return answer

    return middleware


def straight_to_endpoints(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Middleware: answer an endpoint that need not know who calls; what is below is made for pages.

    Sessions, CSRF and the like take a fifth of the time that a small answer costs.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(API_ROOT):
            try:
                match = resolve(request.path_info)
            except Resolver404:
                return get_response(request)
            audience = getattr(match.func, "audience", None)
            if audience is Audience.PUBLIC or settings.SHOP_API_AUTH == "open":
                request.resolver_match = match  # as Django does: webshop/observe.py asks for the route
                request.get_host()  # raises when it is foreign, as CommonMiddleware does for pages
                return match.func(request, **match.kwargs)  # type: ignore[no-any-return]
        return get_response(request)

    return middleware
