"""The kit to write with: who calls, a JSON body through a Form, an act of the shop, JSON.

A write runs once, on the primary.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from http import HTTPStatus
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders

from shop.api.audience import ANONYMOUS, Audience, Caller
from shop.api.body import MAX_BYTES, NO_JSON, NO_LENGTH, not_valid, parse_body, too_long
from shop.api.errors import ApiError
from shop.api.fields import JsonForm
from shop.api.limits import WRITES, Limit, Usage, name_of, too_many
from shop.api.schemas import Schema
from shop.database.refusal import (
    ContradictionError,
    MissingError,
    Refusal,
    UnknownAccountError,
    WrongPasswordError,
)
from shop.database.statements import Row


@dataclass(frozen=True)
class Write:
    """A request that is fit to be done: who calls, the cleaned members of the body, the body, the headers.

    What an act counts in `usage` stands in the headers of the answer.
    """

    caller: Caller
    data: dict[str, Any]
    body: dict[str, Any]
    headers: HttpHeaders
    request: HttpRequest
    usage: Usage


type Act = Callable[..., HttpResponse]
"""A function of a Write and of the ids in the path, by their names."""


class NoBody(forms.Form):
    """An object without members, which a request may leave out."""


STATUSES: Mapping[type[Refusal], HTTPStatus] = {
    UnknownAccountError: HTTPStatus.UNAUTHORIZED,
    WrongPasswordError: HTTPStatus.FORBIDDEN,
    MissingError: HTTPStatus.NOT_FOUND,
    ContradictionError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""What is told of a refusal; of any other kind it is a conflict."""


ERRORS = (
    ApiError(HTTPStatus.LENGTH_REQUIRED, NO_LENGTH),
    too_long(MAX_BYTES),
    ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, NO_JSON),
    too_many(42),
)
"""What stands against any write, for the OpenAPI document."""


class WriteEndpoint:
    """Answers one method that changes something. `form` says what the body may have.

    `missing` is what a caller is told who asks for an id that is not theirs, as for one that is not there.
    `answers` says for each status what the body is: a Row, a Form for its members, None for no body.
    `refusals` are the rules that may stand against it. `takes` and `sends` name the headers of its own that a
    request has to have, with their patterns, and that an answer may have.
    """

    errors: Collection[ApiError] = ERRORS

    body: Schema | None = None
    """What the body is, if no form says it."""

    def __init__(
        self,
        act: Act,
        audience: Audience,
        form: type[forms.Form],
        *,
        answers: Mapping[HTTPStatus, Row | type[forms.Form] | None],
        refusals: Collection[type[Refusal]] = (),
        missing: str = "",
        limit: Limit = WRITES,
        takes: Mapping[str, re.Pattern[str]] | None = None,
        sends: Collection[str] = (),
    ) -> None:
        """Take the name and the docstring from `act`."""
        update_wrapper(self, act)
        self.act, self.audience, self.form = act, audience, form
        self.answers, self.refusals, self.missing, self.limit = answers, refusals, missing, limit
        self.takes, self.sends = takes or {}, sends

    def __call__(self, request: HttpRequest, **ids: int) -> HttpResponse:
        usage = Usage()
        try:
            response = self.respond(request, ids, usage)
        except ApiError as refusal:
            refusal.headers = {**usage.headers, **(refusal.headers or {})}
            raise
        for name, value in usage.headers.items():
            response[name] = value
        if response.status_code != HTTPStatus.NO_CONTENT:
            response["Content-Length"] = str(len(response.content))
        response["Cache-Control"] = "no-store"
        return response

    def respond(self, request: HttpRequest, ids: Mapping[str, int], usage: Usage) -> HttpResponse:
        """Do it; raise ApiError for what stands against it, in the order that docs/API.md has."""
        everybody = self.audience.is_everybody
        caller = ANONYMOUS if everybody else self.audience.identify(request, ids)
        usage.count(self.limit, name_of(request, caller))
        if not everybody:
            self.audience.admit(caller, ids, self.hidden())
        usage.check()
        body = parse_body(request, is_wanted=self.form is not NoBody)
        write = Write(caller, clean(self.form, body), body, request.headers, request, usage)
        return perform(self.act, write, ids)

    def invalid(self) -> ApiError:
        """Return an error for a body that is not as it should be, for the OpenAPI document."""
        return not_valid(examine(self.form, {"unknown": 1})[1])

    def hidden(self) -> ApiError:
        """Return the error for a caller who is known, but may not do this."""
        if self.missing:
            return ApiError(HTTPStatus.NOT_FOUND, f"{self.missing} not found")
        return ApiError(HTTPStatus.FORBIDDEN, "You may not see this")


def no_content() -> HttpResponse:
    """Answer with 204, which has no type."""
    response = HttpResponse(status=HTTPStatus.NO_CONTENT)
    del response["Content-Type"]
    return response


def perform(act: Act, write: Write, ids: Mapping[str, int]) -> HttpResponse:
    """Do it; raise as an ApiError why a rule of the shop stands against it."""
    try:
        return act(write, **ids)
    except ValidationError as invalid:
        raise not_valid(invalid.message_dict) from None
    except Refusal as refusal:
        raise refused(refusal) from None


def refused(refusal: Refusal) -> ApiError:
    """Return the error that tells of a refusal."""
    statuses = (status for kind, status in STATUSES.items() if isinstance(refusal, kind))
    status = next(statuses, HTTPStatus.CONFLICT)
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    code = {"code": refusal.code} if refusal.code else {}
    return ApiError(status, str(refusal), headers, **code, **refusal.details)


def clean(form_class: type[forms.Form], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form makes of these members; raise ApiError (400) that names each bad one in `fields`."""
    data, problems = examine(form_class, body)
    if problems:
        raise not_valid(problems)
    return data


def examine(
    form_class: type[forms.Form], body: Mapping[str, Any], prefix: str = ""
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return what a form makes of these members, and what is wrong with each."""
    form = form_class(body)
    problems = {name: [str(text) for text in texts] for name, texts in form.errors.items()}
    problems |= {name: ["This must not be null."] for name, value in body.items() if value is None}
    problems |= {name: ["Unknown member."] for name in body if name not in form.fields}
    problems = {prefix + name: texts for name, texts in problems.items()}
    data = form.cleaned_data
    for name, field in form.fields.items():
        if isinstance(field, JsonForm) and isinstance(body.get(name), dict):
            data[name], inner = examine(field.form, body[name], f"{prefix}{name}.")
            problems |= inner
    return data, problems


def write_endpoint(
    audience: Audience, form: type[forms.Form] = NoBody, **options: Any
) -> Callable[[Act], WriteEndpoint]:
    """Make a WriteEndpoint of a function that does what the body asks for."""
    return lambda act: WriteEndpoint(act, audience, form, **options)
