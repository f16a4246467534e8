"""What the bodies of requests about payments may hold."""

import re
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from shop.api.fields import JsonString

REST = r"([/?#][^\s\\]*)?"
"""What may follow an origin. A backslash may be read as a slash, and no user part comes behind a slash."""

ADDRESS = rf"https?://[^\s\\/?#@]+{REST}"


class JsonReturnUrl(JsonString):
    """An address of the shop, or of one of the origins whose pages may call it."""

    @property
    def schema(self) -> dict[str, Any]:
        # Which origins these are is known where the shop runs.
        return {"type": "string", "maxLength": self.max_length, "pattern": rf"^\s*{ADDRESS}\s*$"}

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        if value is not None and not leads_home(text or ""):
            message = "This must be an address of the shop, or of one of the origins that may call it."
            raise ValidationError(message, code="origin")
        return text


def leads_home(url: str) -> bool:
    """Tell whether an address is of an origin that is ours, to the letter."""
    origins = [settings.SHOP_URL, *settings.CORS_ALLOWED_ORIGINS]
    return any(re.fullmatch(re.escape(origin) + REST, url) for origin in origins if origin)


class PaymentForm(forms.Form):
    return_url = JsonReturnUrl(max_length=2000, required=False)
