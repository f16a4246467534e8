"""Form fields for members of a JSON body: Django's, but strict about the JSON type."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError


class JsonString(forms.CharField):
    """A JSON string; white space around it, as Unicode has it, does not count unless `strip` is off.

    Then it may have no line breaks or other control characters either, which would end up on a parcel.
    """

    def to_python(self, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise ValidationError("This must be a string.", code="type")
        text = super().to_python(value)
        if self.strip and re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", text or ""):
            raise ValidationError("This has a line break or another control character.", code="control")
        return text


class JsonInteger(forms.IntegerField):
    """A JSON integer: no string, no fraction, no boolean."""

    def to_python(self, value: Any) -> int | None:
        if value is not None and type(value) is not int:
            raise ValidationError("This must be an integer.", code="type")
        return value


class JsonMoney(forms.Field):
    """Money as a string of digits, a point and two digits, 20 characters at most."""

    def to_python(self, value: Any) -> Decimal | None:
        if value is None:
            return None
        if not (isinstance(value, str) and re.fullmatch(r"[0-9]{1,17}\.[0-9]{2}", value)):
            raise ValidationError('This must be a string such as "9.99".', code="type")
        return Decimal(value)


class JsonForm(forms.Field):
    """A JSON object, whose members another form describes."""

    def __init__(self, form: type[forms.Form], **options: Any) -> None:
        super().__init__(**options)
        self.form = form

    def to_python(self, value: Any) -> Any:
        if value is not None and not isinstance(value, dict):
            raise ValidationError("This must be an object.", code="type")
        return value


class JsonChoice(JsonString):
    """One of these strings."""

    def __init__(self, choices: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.choices = choices

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and value not in self.choices:
            raise ValidationError(f"This must be one of {', '.join(self.choices)}.", code="choice")
