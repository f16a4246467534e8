"""What every request passes, whichever part of the project answers it; and the answer to what went wrong."""

import sys
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults

from shop.api import RETRY_AFTER_SECONDS

OUTAGE = "<!doctype html><title>Webshop</title><p>The database is not available. Try again in a moment."


def refuse_null_bytes(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: answer 400 to a null byte where it would reach SQL, as PostgreSQL text cannot hold one."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        if "\0" in session_key or "%00" in request.META["QUERY_STRING"]:
            message = "null byte"
            raise BadRequest(message)
        return get_response(request)

    return middleware


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a page that failed (handler500): 503 when it is the database that does not answer, else 500."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return HttpResponse(OUTAGE, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)
    return defaults.server_error(request)
