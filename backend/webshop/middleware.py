"""What every request passes, whichever part of the project answers it."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponseBase


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
