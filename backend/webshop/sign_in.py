"""The sign-in to the admin, throttled per account and per address over all replicas.

Guessing is slow for everybody, but it must not lock the owner out: a browser that has signed in to the
account before is counted by itself, so that failures from elsewhere do not concern it. OWASP calls that
device cookies. Changing the password in the admin is not throttled: it takes a session.
"""

import logging
import secrets
import time
from contextlib import suppress
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.crypto import salted_hmac

from .middleware import client_address

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 15 * 60
"""So long attempts count, from the first one on."""

PER_ACCOUNT = 10
"""So many attempts a window has for an account, and for a browser that knows it."""

PER_ADDRESS = 50
"""So many attempts a window has for an address, whatever the accounts."""

COOKIE = "known_browser"
COOKIE_SECONDS = 365 * 24 * 60 * 60

BEGINNING = 10**9
"""A counter is the second in which its window began, times this, plus the attempts since: one number, as one
operation must change it all.
"""


def digest(text: str) -> str:
    """Return a hash that nobody else can make: what is typed as a name may be anything, even a password."""
    return salted_hmac("webshop.sign_in", text.encode(errors="replace"), algorithm="sha256").hexdigest()


def account_of(username: str) -> str:
    """Return what stands for an account, if there is one or not, by a name that Django has normalized."""
    return digest(username.casefold())


def network_of(address: str) -> str:
    """Return what stands for an address: itself, or the /64 that an IPv6 client has for itself."""
    with suppress(ValueError):
        if isinstance(parsed := ip_address(address), IPv6Address):
            return str(IPv6Address(int(parsed) >> 64 << 64))
    return address


def signer(account: str) -> TimestampSigner:
    """Return what signs the cookies of browsers that know this account; they are worthless for others."""
    return TimestampSigner(salt=f"webshop.sign_in.{account}")


def counters(request: HttpRequest, account: str) -> dict[str, int]:
    """Return the keys under which to count an attempt, each with its limit; the address goes first.

    Whoever has used up theirs does not use up an account's.
    """
    try:
        browser = signer(account).unsign(request.COOKIES.get(COOKIE, ""), max_age=COOKIE_SECONDS)
    except BadSignature:
        network = digest(network_of(client_address(request)))
        return {f"sign-in:address:{network}": PER_ADDRESS, f"sign-in:account:{account}": PER_ACCOUNT}
    return {f"sign-in:browser:{browser}": PER_ACCOUNT}


def count(key: str, limit: int) -> int:
    """Count an attempt; return 0, or if it is one too many, in how many seconds the window ends."""
    now = int(time.time())
    cache.add(key, now * BEGINNING, WINDOW_SECONDS)
    try:
        began, attempts = divmod(cache.incr(key), BEGINNING)
    except ValueError:  # the window ended in between
        return count(key, limit)
    ends = began + WINDOW_SECONDS
    if ends <= now:  # it ended while Django's incr, which looks first, made a counter that has no end
        cache.delete(key)
        return count(key, limit)
    return ends - now if attempts > limit else 0


class SignInForm(AdminAuthenticationForm):
    """The form of the admin, which looks at no password when there were too many."""

    retry_after = 0
    """In how many seconds to try again, if this attempt was refused."""

    def clean(self) -> dict[str, Any]:
        """Count the attempt before the password is checked, so that many at once are counted too."""
        username = self.cleaned_data.get("username")
        if self.request is None or not username or not self.cleaned_data.get("password"):
            return super().clean()
        account = account_of(username)
        keys = counters(self.request, account)
        for key, limit in keys.items():
            if seconds := count(key, limit):
                address = client_address(self.request)
                logger.warning("sign-in refused for %d s: %s, account %.12s", seconds, address, account)
                self.retry_after = seconds
                minutes = ceil(seconds / 60)
                text = "Too many attempts. Try again in %d minute%s."
                raise ValidationError(text % (minutes, "" if minutes == 1 else "s"))
        cleaned_data = super().clean()
        *others, own = keys
        cache.delete(own)
        for key in others:
            with suppress(ValueError):  # its window has ended meanwhile
                cache.decr(key)
        return cleaned_data


class Site(AdminSite):
    """Django's admin with this sign-in."""

    login_form = SignInForm

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Answer 429 to one attempt too many; have the browser of a successful one remembered."""
        response = super().login(request, extra_context)
        if isinstance(response, TemplateResponse):
            form = (response.context_data or {})["form"]
            if form.retry_after:
                response.status_code = HTTPStatus.TOO_MANY_REQUESTS
                response["Retry-After"] = str(form.retry_after)
        elif request.method == "POST":
            response.set_cookie(
                COOKIE,
                signer(account_of(request.user.get_username())).sign(secrets.token_urlsafe(16)),
                max_age=COOKIE_SECONDS,
                path=reverse("admin:index"),
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response
