"""Who calls, and who may: every endpoint declares its audience."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.db.models import QuerySet
from django.http import HttpRequest

from shop.api.errors import ApiError

BEARER = re.compile("Bearer +([A-Za-z0-9._~+/-]+=*) *", re.I)


@dataclass(frozen=True)
class Caller:
    """Who calls: nobody that we know, a customer, or a user of the admin.

    `may` tells of staff whether they have the permission that was asked for; `reaches`, of both, whether what
    the path names is there, and of a customer, whether it is theirs. A token without a kind is a bad one.
    """

    kind: str = ""
    pk: int = 0
    may: bool = False
    reaches: bool = False
    has_token: bool = False


ANONYMOUS = Caller()
BAD_TOKEN = Caller(has_token=True)

type Target = Callable[..., QuerySet[Any]]
"""A function from ids in a path to what they name; without a customer_id among them to rows that have one."""

type FindCaller = Callable[[str, str, Target | None, Mapping[str, int]], Caller | None]
"""From a token, a permission, a target and its ids to who calls, in one query; None for a bad token."""


class Bearer:
    """The way to the accounts behind access tokens, given by the room that knows them."""

    find_caller: FindCaller


@dataclass(frozen=True)
class Audience:
    """Who may call an endpoint.

    Staff need `permission`, such as shop.view_order; without one it is not for staff. `owner` lets the
    customer call whose the path is: customer_id in it, and `target`, if there is one; `missing` is the name
    in the 404 when only the target is missing. `opens` lets everybody read while SHOP_API_AUTH is `open`. An
    audience of neither staff nor owner is everybody.
    """

    permission: str = ""
    owner: bool = False
    target: Target | None = None
    missing: str = ""
    opens: bool = False

    @property
    def is_everybody(self) -> bool:
        return not (self.permission or self.owner)

    def identify(self, request: HttpRequest, ids: Mapping[str, int]) -> Caller:
        """Return who calls: by the token in the header, without a header, to read, by the admin's session."""
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            reads = request.method in ("GET", "HEAD")
            return caller_of_session(request, self.permission) if reads else ANONYMOUS
        if header.partition(" ")[0].lower() != "bearer":
            return ANONYMOUS
        if not (found := BEARER.fullmatch(header)):
            return BAD_TOKEN
        return Bearer.find_caller(found[1], self.permission, self.target, ids) or BAD_TOKEN

    def admit(self, caller: Caller, ids: Mapping[str, int], hidden: ApiError) -> None:
        """Raise a 401 for who is not known, and `hidden` for who is known but may not call.

        That is what a caller gets who asks for what is not there, so that nobody learns what is.
        """
        if not caller.kind:
            raise unknown(caller)
        if caller.kind == "customer":
            admitted = self.owner and ids.get("customer_id", caller.pk) == caller.pk
        else:
            admitted = caller.may
        if admitted and not caller.reaches and self.missing:
            raise ApiError(HTTPStatus.NOT_FOUND, f"{self.missing} not found")
        if not (admitted and caller.reaches):
            raise hidden


def unknown(caller: Caller) -> ApiError:
    """Return the 401 of RFC 6750, section 3."""
    message, challenge = "Sign in to do this", "Bearer"
    if caller.has_token:
        message, challenge = "The access token is not valid", 'Bearer error="invalid_token"'
    headers = {"WWW-Authenticate": challenge, "Vary": "Authorization, Cookie"}
    return ApiError(HTTPStatus.UNAUTHORIZED, message, headers)


EVERYBODY = Audience()
OWNER = Audience(owner=True)


class ReadOnlySession(dict[str, Any]):
    """What a session holds. Django may want to renew it, for which its cookie would have to be sent anew."""

    def flush(self) -> None:
        self.clear()

    def cycle_key(self) -> None:
        pass


def caller_of_session(request: HttpRequest, permission: str) -> Caller:
    """Return the staff user whose session of the admin the cookie names, or nobody: two to five queries."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    if not key or "\0" in key:
        return ANONYMOUS
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request.session = ReadOnlySession(session.load())  # type: ignore[assignment]
    user: Any = get_user(request)
    if not (user.is_active and user.is_staff):
        return ANONYMOUS
    may = bool(permission) and user.has_perm(permission)
    return Caller("staff", user.pk, may, reaches=True)  # what it reads tells whether it is there
