"""Which endpoint answers which method of a path: what urls.py is written in."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any

from django.core.handlers.exception import response_for_exception
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
)
from django.middleware.security import SecurityMiddleware
from django.urls import Resolver404, URLPattern, is_valid_path, path, resolve

from shop.api.audience import EVERYBODY
from shop.api.errors import BUSY, DATABASE_AWAY, ApiError, error, method_not_allowed, tell, unavailable
from shop.api.query import parse_query
from shop.api.reading import PUBLIC, json_answer
from shop.database.errors import is_lock_conflict, is_outage

logger = logging.getLogger(__name__)

API_ROOT = "/shop/api/"
READING = ("GET", "HEAD")


ABOUT = {"openapi": "service-desc", "docs": "service-doc"}
"""What the paths of these names are to the others, as RFC 8631 calls it."""


class Index:
    """What can be called below the root."""

    audience = EVERYBODY
    sends = ("Link",)
    schema = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "methods": {"type": "array", "items": {"type": "string"}},
                "description": {"type": "string"},
                "operations": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["path", "methods", "description", "operations"],
            "additionalProperties": False,
        },
    }

    def __init__(self, patterns: Callable[[], Iterable[URLPattern]]) -> None:
        """Take a function, as the index is one of the patterns."""
        self.patterns = patterns

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        parse_query(request.GET, {})
        links = [
            f'<{API_ROOT}{url.pattern}>; rel="{ABOUT[url.name]}"'
            for url in self.patterns()
            if url.name in ABOUT
        ]
        headers = {"Cache-Control": PUBLIC, "Link": ", ".join(links)}
        return json_answer(request, json.dumps(self.rows), headers)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "path": API_ROOT + str(url.pattern).replace("<int:", "<"),
                "methods": list(endpoints),
                "description": next(iter(endpoints.values())).__doc__,
                "operations": {name: one.__doc__ for name, one in endpoints.items() if name != "HEAD"},
            }
            for url in self.patterns()
            if isinstance(url.callback, Route)
            for endpoints in [url.callback.endpoints]
        ]


type Endpoint = Callable[..., HttpResponseBase]


class Route:
    """The endpoints of a path by their methods; HEAD goes where GET goes."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        for method, endpoint in endpoints.items():
            self.endpoints[method] = endpoint
            if method == "GET":
                self.endpoints["HEAD"] = endpoint

    def __call__(self, request: HttpRequest, **ids: int) -> HttpResponseBase:
        endpoint = self.endpoints.get(str(request.method))
        return endpoint(request, **ids) if endpoint else method_not_allowed(self.endpoints)


def route(pattern: str, name: str, **endpoints: Endpoint) -> URLPattern:
    """Return the URL pattern of a path below the API's root, with an endpoint for each method."""
    return path(pattern, Route(endpoints), name=name)


def json_api(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Middleware: answer what is under the API's root, errors as JSON; what is below is made for pages.

    Sessions, CSRF and the like would take a fifth of the time that a small answer costs.
    """
    security = SecurityMiddleware(get_response)
    plain, encrypted = browser_headers(security, "http"), browser_headers(security, "https")

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_ROOT):
            return get_response(request)
        try:
            request.get_host()  # raises when it is foreign, as CommonMiddleware does for pages
            if request.content_type is None:
                raise ApiError(HTTPStatus.BAD_REQUEST, "The Content-Type makes no sense")
            response = security.process_request(request) or dispatch(request)
        except ApiError as refusal:
            response = refusal.response()
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is told and logged as Django does
            if is_outage(failure):
                # Below its first line is the statement, with values.
                logger.warning("503, for the database says: %s", str(failure).partition("\n")[0])
                response = unavailable(BUSY if is_lock_conflict(failure) else DATABASE_AWAY)
            else:
                status = HTTPStatus(response_for_exception(request, failure).status_code)
                response = error(status, status.phrase)
        if response.status_code >= HTTPStatus.BAD_REQUEST and isinstance(response, HttpResponse):
            tell(request, response)
        headers = encrypted if security.sts_seconds and request.is_secure() else plain
        # All at once: one by one they would cost as much as the log and the metrics.
        response.headers._store = {**headers, **response.headers._store}
        return response

    return middleware


def browser_headers(security: SecurityMiddleware, scheme: str) -> dict[str, tuple[str, str]]:
    """Return the headers that tell browsers what they may do with an answer, as Django keeps headers.

    They are those of pages, but that an answer is no page: nothing in it is to be run or shown in a frame.
    """
    request, response = HttpRequest(), HttpResponse()
    request._get_scheme = lambda: scheme  # type: ignore[attr-defined]
    del response["Content-Type"]
    response["X-Frame-Options"] = "DENY"
    response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    return security.process_response(request, response).headers._store


def dispatch(request: HttpRequest) -> HttpResponseBase:
    """Return what the endpoint of this path and method says, or the way to the path with a slash."""
    try:
        match = resolve(request.path_info)
    except Resolver404:
        if request.method in READING and is_valid_path(f"{request.path_info}/"):
            return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
        raise ApiError(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.phrase) from None
    request.resolver_match = match  # as Django does: the log of requests asks for the route
    return match.func(request, **match.kwargs)  # type: ignore[no-any-return]
