"""`manage.py openapi`: the OpenAPI document to be read, which is how docs/openapi.json is made."""

import json
from typing import Any

from django.core.management.base import BaseCommand
from django.urls import resolve


class Command(BaseCommand):
    """Print what /shop/api/openapi.json answers."""

    help = "Prints the OpenAPI document of the API; docs/openapi.json is its output."
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        """Print it with a line for each member."""
        document = resolve("/shop/api/openapi.json").func.endpoints["GET"].document()  # type: ignore[attr-defined]
        self.stdout.write(json.dumps(document, ensure_ascii=False, indent=2))
