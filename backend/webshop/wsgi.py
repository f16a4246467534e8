"""The WSGI entry point, for gunicorn."""

import os
import sys
from importlib import import_module

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.urls import get_resolver

from .request import AnyContentType


class Request(AnyContentType, WSGIRequest):
    """A request of WSGI."""


class Handler(WSGIHandler):
    """Django's handler, with such requests."""

    request_class = Request


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webshop.settings")
try:
    django.setup(set_prefix=False)
    application = Handler()
    get_resolver().url_patterns  # noqa: B018 (an endpoint that cannot be compiled ends the start)
    if settings.STRIPE_SECRET_KEY:
        import_module("stripe")  # it takes long, so that no customer waits for it
except ImproperlyConfigured as error:
    sys.exit(f"webshop: {error}")
