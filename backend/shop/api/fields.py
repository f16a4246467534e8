"""Form fields for members of a JSON body: Django's, but strict about the JSON type."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""Line breaks and other control characters, which would end up on a parcel."""

LINE = rf"[^\s{CONTROLS}]([^{CONTROLS}]*[^\s{CONTROLS}])?"
"""Text without any of these, nor white space around it."""

MONEY = r"[0-9]{1,17}\.[0-9]{2}"


class JsonField(forms.Field):
    """A member of a JSON object; `schema` is what JSON Schema says of its value."""

    @property
    def schema(self) -> dict[str, Any]:
        raise NotImplementedError


class JsonText(JsonField, forms.CharField):
    """A JSON string that is only looked for, never kept: any text, without white space around it."""

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$" if self.required else r"^[^\x00]*$",
        }

    def to_python(self, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise ValidationError("This must be a string.", code="type")
        return super().to_python(value)


class JsonString(JsonText):
    """A JSON string; white space around it, as Unicode has it, does not count, and it is one line.

    With `strip` off it is a secret, taken as it is. One that is not `required` may be left out; with a
    `min_length` the Form has to see that it is not empty then.
    """

    @property
    def schema(self) -> dict[str, Any]:
        length = {"maxLength": self.max_length} if self.max_length else {}
        filled = self.required or self.min_length
        if self.strip:
            return {"type": "string", **length, "pattern": rf"^\s*{LINE if filled else f'({LINE})?'}\s*$"}
        length |= {"minLength": 1} if filled else {}
        secret = {"format": "password", "writeOnly": True}
        return {"type": "string", **length, "pattern": r"^[^\x00]*$", **secret}

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        if self.strip and re.search(f"[{CONTROLS}]", text or ""):
            raise ValidationError("This has a line break or another control character.", code="control")
        return text


class JsonInteger(JsonField, forms.IntegerField):
    """A JSON integer: no string, no fraction, no boolean."""

    @property
    def schema(self) -> dict[str, Any]:
        bounds = {"minimum": self.min_value, "maximum": self.max_value}
        return {"type": "integer"} | {name: bound for name, bound in bounds.items() if bound is not None}

    def to_python(self, value: Any) -> int | None:
        if value is not None and type(value) is not int:
            raise ValidationError("This must be an integer.", code="type")
        return value


class JsonMoney(JsonField):
    """Money as a string of digits, a point and two digits, 20 characters at most."""

    schema = {"type": "string", "pattern": f"^{MONEY}$"}

    def to_python(self, value: Any) -> Decimal | None:
        if value is None:
            return None
        if not (isinstance(value, str) and re.fullmatch(MONEY, value)):
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

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices)}

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and value not in self.choices:
            raise ValidationError(f"This must be one of {', '.join(self.choices)}.", code="choice")
