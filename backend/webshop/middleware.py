"""What every request passes, whichever part of the project answers it; and the answer to what went wrong."""

import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseForbidden, QueryDict
from django.views import csrf, defaults

from shop.api.errors import DATABASE_AWAY, RETRY_AFTER_SECONDS
from shop.database.errors import is_outage

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
STALE_FORM = (
    "<!doctype html><title>Webshop</title><p>This form is too old, or cookies are off. "
    "Go back, load the page again and send it once more."
)
OUTAGE = f"<!doctype html><title>Webshop</title><p>{DATABASE_AWAY}. Try again in a moment."


def refuse_unstorable_text(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: answer 400 to a Content-Type without sense, and to what PostgreSQL text cannot hold.

    That is a null byte, and half a character, which forms can hold in other encodings than UTF-8.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        if "\0" in session_key or "%00" in request.META["QUERY_STRING"]:
            message = "null byte"
            raise BadRequest(message)
        if request.content_type is None:
            message = "Content-Type"
            raise BadRequest(message)
        charset = (request.content_params or {}).get("charset", "utf-8").lower()
        if request.content_type in FORMS and charset not in ("utf-8", "utf8"):
            message = "not UTF-8"
            raise BadRequest(message)
        return get_response(request)

    return middleware


def debug_pages(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware, with DEBUG alone: lift the Content-Security-Policy from Django's pages about a 400 or 403.

    Their styles and scripts stand in the page. django-csp does so for those about a 404 or 500.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN):
            response._csp_exempt = True  # type: ignore[attr-defined]
        return response

    return middleware


def without_form(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return this page for an error as one that leaves the request's form alone.

    Django's pages look into the form for the CSRF token, and fail when it is the form that cannot be read.
    """

    def handler(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request.POST = QueryDict()
        return page(request, *args, **kwargs)

    return handler


bad_request = without_form(defaults.bad_request)
permission_denied = without_form(defaults.permission_denied)
page_not_found = without_form(defaults.page_not_found)


def csrf_failure(request: HttpRequest, reason: str) -> HttpResponse:
    """Answer a form without the token of its page (CSRF_FAILURE_VIEW); with DEBUG as Django does.

    The style of Django's page stands in it, where the Content-Security-Policy stops it.
    """
    return csrf.csrf_failure(request, reason) if settings.DEBUG else HttpResponseForbidden(STALE_FORM)


@without_form
def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a page that failed (handler500): 503 when it is the database that does not answer, else 500."""
    if is_outage(sys.exception()):
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return HttpResponse(OUTAGE, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)
    return defaults.server_error(request)
