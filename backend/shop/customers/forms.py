"""What the bodies of requests about accounts may hold."""

from typing import Any
from unicodedata import normalize

from django import forms
from django.core.validators import validate_email

from shop.api.fields import JsonChoice, JsonInteger, JsonString, JsonText


class JsonEmail(JsonString):
    """An e-mail address, in lower case as customers have it."""

    default_validators = [validate_email]

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=254, **options)

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "email", "maxLength": self.max_length}

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        return text.lower() if text else text


class JsonPassword(JsonString):
    """A password as it was typed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, max_length=128, **options)


class AddressForm(forms.Form):
    first_name = JsonString(max_length=100)
    last_name = JsonString(max_length=100)
    strasse = JsonString(max_length=200)
    plz = JsonString(max_length=20)
    ort = JsonString(max_length=100)


class RegistrationForm(AddressForm):
    """A new customer; the address may come later."""

    email = JsonEmail()
    password = JsonPassword()
    strasse = JsonString(max_length=200, required=False)
    plz = JsonString(max_length=20, required=False)
    ort = JsonString(max_length=100, required=False)


class ProfileForm(RegistrationForm):
    """Some columns of a customer; the password that an e-mail address needs beside it."""

    schema = {"dependentRequired": {"email": ["current_password"]}}

    first_name = JsonString(max_length=100, min_length=1, required=False)
    last_name = JsonString(max_length=100, min_length=1, required=False)
    email = JsonEmail(required=False)
    current_password = JsonString(strip=False, required=False)
    password = None  # type: ignore[assignment]

    def clean(self) -> dict[str, Any]:
        """Keep what was sent: a name or an e-mail address may be left out, but not become empty."""
        given = {name: value for name, value in self.cleaned_data.items() if name in self.data}
        for name in ("first_name", "last_name", "email"):
            if name in given and not given[name]:
                self.add_error(name, "This field is required.")
        if "email" in self.data and "current_password" not in self.data:
            self.add_error("current_password", "This field is required.")
        return given


class PasswordForm(forms.Form):
    current_password = JsonString(strip=False)
    new_password = JsonPassword()


class ErasureForm(forms.Form):
    current_password = JsonString(strip=False)


class ResetRequestForm(forms.Form):
    """Any text for an address: the answer does not tell which are known."""

    email = JsonText()


class ResetForm(forms.Form):
    token = JsonText()
    new_password = JsonPassword()


class SignInForm(forms.Form):
    """A customer's e-mail address or a staff user's name, with the password: any text, which may be wrong."""

    schema = {"required": ["password"], "minProperties": 2, "maxProperties": 2}

    email = JsonText(required=False)
    username = JsonText(required=False)
    password = JsonString(strip=False, required=False)

    def clean(self) -> dict[str, Any]:
        """Return the kind of the account, its name and the password."""
        kinds = {"email": "customer", "username": "staff"}
        sent = [name for name in kinds if name in self.data]
        if len(sent) != 1:
            for name in kinds:
                self.add_error(name, "Send either email or username.")
        if "password" not in self.data:
            self.add_error("password", "This field is required.")
        if self.errors:
            return self.cleaned_data
        name = self.cleaned_data[sent[0]]
        if sent == ["username"]:
            name = normalize("NFKC", name)  # as in the admin, whose counters are shared
        return {"kind": kinds[sent[0]], "name": name, "password": self.cleaned_data["password"]}


class RefreshForm(forms.Form):
    refresh = JsonText()


class TokensForm(forms.Form):
    """The tokens of a customer, or of a staff user, by whom they are."""

    schema = {"minProperties": 5, "maxProperties": 5}

    access = JsonString()
    refresh = JsonString()
    token_type = JsonChoice(["Bearer"])
    expires_in = JsonInteger()
    customer_id = JsonInteger(required=False)
    username = JsonString(required=False)
