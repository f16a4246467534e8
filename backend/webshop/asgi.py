"""The ASGI entry point."""

import os
import sys

from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webshop.settings")
try:
    application = get_asgi_application()
    get_resolver().url_patterns  # noqa: B018 (an endpoint that cannot be compiled ends the start)
except ImproperlyConfigured as error:
    sys.exit(f"webshop: {error}")
