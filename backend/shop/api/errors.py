"""Errors as the API tells them: JSON in one shape, {"error": one sentence}, or problem details (RFC 9457)."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_vary_headers

from shop.api.accept import PROBLEM, wants_problem

RETRY_AFTER_SECONDS = 5
DATABASE_AWAY = "The database is not available"
BUSY = "Something that this needs is being changed at this moment"


class ApiError(Exception):
    """Why a request is not answered as it wishes; raised by an endpoint, sent by the middleware.

    `members` stand beside the sentence, such as `fields` or `code`.
    """

    def __init__(
        self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.headers, self.members = status, message, headers, members

    def response(self) -> JsonResponse:
        return error(self.status, self.message, self.headers, **self.members)


def error(
    status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None, **members: Any
) -> JsonResponse:
    """Return an error that nobody may keep."""
    response = JsonResponse({"error": message, **members}, status=status, headers=headers)
    response["Content-Length"] = str(len(response.content))
    response["Cache-Control"] = "no-store"
    return response


def method_not_allowed(allowed: Iterable[str]) -> JsonResponse:
    """Return the 405 that names the methods that are allowed."""
    return error(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", {"Allow": ", ".join(allowed)})


def unavailable(message: str = DATABASE_AWAY) -> JsonResponse:
    """Return the 503 for what passes by itself; it says when to try again."""
    return error(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def tell(request: HttpRequest, response: HttpResponse) -> None:
    """Put an error as the request wants it: as problem details, or as it is."""
    patch_vary_headers(response, ["Accept"])
    if not wants_problem(request):
        return
    members = json.loads(response.content)
    problem = {
        "type": "about:blank",
        "title": response.reason_phrase,
        "status": response.status_code,
        "detail": members.pop("error"),
    }
    response.content = json.dumps({**problem, **members, **problem}).encode()
    response["Content-Type"] = PROBLEM
    response["Content-Length"] = str(len(response.content))
