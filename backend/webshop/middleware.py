"""What every request passes, whichever part of the project answers it; and the answer to what went wrong."""

import sys
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults

from shop.api.errors import DATABASE_AWAY, RETRY_AFTER_SECONDS

OUTAGE = f"<!doctype html><title>Webshop</title><p>{DATABASE_AWAY}. Try again in a moment."


def refuse_unstorable_text(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: answer 400 to what PostgreSQL text cannot hold, where it would reach SQL.

    That is a null byte, and half a character, which forms can hold in other encodings than UTF-8.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        if "\0" in session_key or "%00" in request.META["QUERY_STRING"]:
            message = "null byte"
            raise BadRequest(message)
        if request.method == "POST" and (request.encoding or "utf-8").lower() not in ("utf-8", "utf8"):
            message = "not UTF-8"
            raise BadRequest(message)
        return get_response(request)

    return middleware


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a page that failed (handler500): 503 when it is the database that does not answer, else 500."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return HttpResponse(OUTAGE, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)
    return defaults.server_error(request)


def client_address(request: HttpRequest) -> str:
    """Return the IP address of the client: behind a proxy the last one of X-Forwarded-For, else the caller's.

    Without a valid one in the header it is the caller's, which is empty on a Unix socket.
    """
    caller = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_PROXY else ""
    for text in (forwarded.rpartition(",")[2].strip(), caller):
        try:
            return str(unmapped(ip_address(text)))
        except ValueError:
            continue
    return caller


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address of a caller who reached an IPv6 socket by it."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
