"""The WSGI entry point, for gunicorn."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.urls import get_resolver
from django.utils.http import parse_header_parameters


class Request(WSGIRequest):
    """A request whose Content-Type can be anything.

    Django reads it before any middleware could answer, takes any codec of Python's for a charset, and decodes
    the query string by it.
    """

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        """Read the Content-Type; the type is None if there is no sense in it.

        The charset is left to who reads the body: Django decodes all as UTF-8.
        """
        self.content_type: str | None
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
            b"text".decode(self.content_params.get("charset", "utf-8"))
        except Exception:  # noqa: BLE001 (the email package, which reads it, fails in many ways)
            self.content_type, self.content_params = None, {}


class Handler(WSGIHandler):
    """Django's handler, with such requests."""

    request_class = Request


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webshop.settings")
try:
    django.setup(set_prefix=False)
    application = Handler()
    get_resolver().url_patterns  # noqa: B018 (an endpoint that cannot be compiled ends the start)
except ImproperlyConfigured as error:
    sys.exit(f"webshop: {error}")
