"""Who calls, and who may: every endpoint declares its audience."""

from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from shop.api.errors import ApiError

type Caller = AbstractBaseUser | AnonymousUser
"""A user of the admin, or an anonymous caller."""

ANONYMOUS = AnonymousUser()


@dataclass(frozen=True)
class Audience:
    """Who may call an endpoint: everybody, or staff with a permission such as shop.view_order."""

    permission: str = ""

    @property
    def is_everybody(self) -> bool:
        return not self.permission

    def admit(self, request: HttpRequest, hidden: ApiError) -> Caller:
        """Return who calls.

        Raises a 401 for callers who are not signed in as staff, and `hidden` for staff without the
        permission: the answer for what does not exist, so that nobody learns what does.
        """
        user: Any = user_of_session(request)
        if not (user.is_active and user.is_staff):
            raise ApiError(HTTPStatus.UNAUTHORIZED, "Sign in as staff to see this", {"Vary": "Cookie"})
        if not user.has_perm(self.permission):
            raise hidden
        return user  # type: ignore[no-any-return]


EVERYBODY = Audience()


def staff(permission: str) -> Audience:
    """Return the audience of the staff with this permission."""
    return Audience(permission)


class ReadOnlySession(dict[str, Any]):
    """What a session holds. Django may want to renew it, for which its cookie would have to be sent anew."""

    def flush(self) -> None:
        self.clear()

    def cycle_key(self) -> None:
        pass


def user_of_session(request: HttpRequest) -> Caller:
    """Return the user whose session of the admin the cookie names, at a cost of two queries; or nobody."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    if not key or "\0" in key:
        return ANONYMOUS
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request.session = ReadOnlySession(session.load())  # type: ignore[assignment]
    return get_user(request)
