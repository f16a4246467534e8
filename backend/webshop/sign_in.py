"""The sign-in to the admin: throttled, and it remembers the browsers that have signed in.

Changing the password in the admin is not throttled: it takes a session.
"""

import secrets
from http import HTTPStatus
from math import ceil
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.signing import BadSignature, TimestampSigner
from django.db.models import Field
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from shop.api.client_address import client_address
from shop.api.throttle import SignIn, account_of

KIND = "staff"
COOKIE = "known_browser"
COOKIE_SECONDS = 365 * 24 * 60 * 60


def signer(account: str) -> TimestampSigner:
    """Return what signs the cookies of browsers that know this account; they are worthless for others."""
    return TimestampSigner(salt=f"webshop.sign_in.{account}")


def known_browser(request: HttpRequest, account: str) -> str:
    """Return the id of a browser that has signed in to this account within a year, or nothing."""
    try:
        return signer(account).unsign(request.COOKIES.get(COOKIE, ""), max_age=COOKIE_SECONDS)
    except BadSignature:
        return ""


class SignInForm(AdminAuthenticationForm):
    """The form of the admin, which looks at no password when there were too many."""

    retry_after = 0
    """In how many seconds to try again, if this attempt was refused."""

    def clean(self) -> dict[str, Any]:
        """Count the attempt before the password is checked, so that many at once are counted too."""
        username = self.cleaned_data.get("username")
        if self.request is None or not username or not self.cleaned_data.get("password"):
            return super().clean()
        account = account_of(KIND, username)
        attempt = SignIn(account, client_address(self.request), known_browser(self.request, account))
        if seconds := attempt.refused_for():
            self.retry_after = seconds
            minutes = ceil(seconds / 60)
            text = "Too many attempts. Try again in %d minute%s."
            raise ValidationError(text % (minutes, "" if minutes == 1 else "s"))
        cleaned_data = super().clean()
        attempt.succeeded()
        return cleaned_data


class AutocompleteView(AutocompleteJsonView):
    """Django's, which fails on a relation that is no field of the model."""

    def process_request(self, request: HttpRequest) -> Any:
        """Read the request; refuse what no form of the admin asks for."""
        found = super().process_request(request)  # type: ignore[misc]
        if not isinstance(found[2], Field):
            raise PermissionDenied
        return found


class Site(AdminSite):
    """Django's admin with this sign-in, and the start page of the shop."""

    login_form = SignInForm

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show above the tables what there is to do."""
        from shop.admin.start import start_page  # the admins of the shop register with this site

        return super().index(request, start_page(request) | (extra_context or {}))

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Put the shop above users and groups."""
        apps = super().get_app_list(request, app_label)
        return sorted(apps, key=lambda app: app["app_label"] != "shop")

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Answer a field that completes what is typed."""
        return AutocompleteView.as_view(admin_site=self)(request)  # type: ignore[return-value]

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
                signer(account_of(KIND, request.user.get_username())).sign(secrets.token_urlsafe(16)),
                max_age=COOKIE_SECONDS,
                path=reverse("admin:index"),
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response
