"""The kit to write with: who calls, a JSON body through a Form, an act of the shop, JSON.

A write runs once, on the primary.
"""

from collections.abc import Callable, Mapping
from functools import update_wrapper
from http import HTTPStatus
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from shop.api.audience import ANONYMOUS, Audience
from shop.api.body import parse_body
from shop.api.errors import ApiError

type Act = Callable[..., HttpResponse]
"""A function of the caller, the cleaned members of the body and the ids in the path, by their names."""


class NoBody(forms.Form):
    """For requests without a body."""


class WriteEndpoint:
    """Answers one method that changes something. `form` says what the body may have."""

    def __init__(self, act: Act, audience: Audience, form: type[forms.Form]) -> None:
        """Take the name and the docstring from `act`."""
        update_wrapper(self, act)
        self.act, self.audience, self.form = act, audience, form

    def __call__(self, request: HttpRequest, **ids: int) -> HttpResponse:
        if not self.audience.is_everybody:
            raise ApiError(HTTPStatus.UNAUTHORIZED, "Sign in to do this")  # no cookie authorizes a write
        data = clean(self.form, parse_body(request))
        response = self.act(ANONYMOUS, data, **ids)
        response["Content-Length"] = str(len(response.content))
        response["Cache-Control"] = "no-store"
        return response


def clean(form_class: type[forms.Form], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form makes of these members; raise ApiError (400) that names each bad one in `fields`."""
    form = form_class(body)
    if general := form.non_field_errors():
        raise ApiError(HTTPStatus.BAD_REQUEST, " ".join(map(str, general)))
    problems: dict[str, list[str]] = {name: ["Unknown member."] for name in body if name not in form.fields}
    problems |= {name: ["This must not be null."] for name, value in body.items() if value is None}
    problems = {str(name): [str(text) for text in texts] for name, texts in form.errors.items()} | problems
    if problems:
        names = ", ".join(sorted(problems))
        raise ApiError(HTTPStatus.BAD_REQUEST, f"Not valid: {names}", fields=problems)
    return form.cleaned_data


def write_endpoint(audience: Audience, form: type[forms.Form] = NoBody) -> Callable[[Act], WriteEndpoint]:
    """Make a WriteEndpoint of a function that does what the body asks for."""
    return lambda act: WriteEndpoint(act, audience, form)
