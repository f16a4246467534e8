"""What all endpoints share: GET and HEAD only, JSON in and out of trouble, and who may call."""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse

API_ROOT = "/shop/api/"
METHODS = ("GET", "HEAD")
RETRY_AFTER_SECONDS = 5


class Audience(Enum):
    """Who may call an endpoint when SHOP_API_AUTH is `required`; when it is `open`, everybody may."""

    PUBLIC = "everybody"
    STAFF = "signed-in staff"


def error(status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """Return an error in the one shape the API has: {"error": message}."""
    return JsonResponse({"error": message}, status=status, headers=headers)


def rows(queryset: QuerySet[Any], **columns: str) -> list[dict[str, Any]]:
    """Return one dict per row: each key as named, each value from its column or annotation."""
    return [dict(zip(columns, values, strict=True)) for values in queryset.values_list(*columns.values())]


def may_call(request: HttpRequest, audience: Audience) -> bool:
    """Tell whether this caller belongs to the audience; SHOP_API_AUTH says whether that matters."""
    if audience is Audience.PUBLIC or settings.SHOP_API_AUTH == "open":
        return True
    return request.user.is_active and request.user.is_staff


def endpoint(audience: Audience) -> Callable[[Callable[..., Any]], Callable[..., HttpResponseBase]]:
    """Make an endpoint for this audience of a view that returns what is to be sent as JSON.

    The view may raise Http404 with the message to send. The audience is kept on the view as `audience`.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def wrapper(request: HttpRequest, **kwargs: int) -> HttpResponseBase:
            try:
                if not may_call(request, audience):
                    return error(HTTPStatus.UNAUTHORIZED, "Sign in as staff to see this")
                return JsonResponse(view(request, **kwargs), safe=False)
            except Http404 as missing:
                return error(HTTPStatus.NOT_FOUND, str(missing))
            except (OperationalError, InterfaceError):
                return error(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "The database is not available",
                    {"Retry-After": str(RETRY_AFTER_SECONDS)},
                )

        wrapper.audience = audience  # type: ignore[attr-defined]
        return wrapper

    return decorate


def json_api(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Middleware: under the API's root, let GET and HEAD pass and answer every error as JSON, DEBUG or not.

    Django itself answers as HTML an unknown path (404), a foreign host or malformed request (400) and an
    unexpected failure (500).
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_ROOT):
            return get_response(request)
        if request.method not in METHODS:
            return error(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", {"Allow": ", ".join(METHODS)})
        response = get_response(request)
        status = HTTPStatus(response.status_code)
        if status.is_success or status.is_redirection or isinstance(response, JsonResponse):
            return response
        answer = error(status, status.phrase)
        answer["Content-Length"] = len(answer.content)
        for name, value in response.items():
            answer.setdefault(name, value)
        return answer

    return middleware
