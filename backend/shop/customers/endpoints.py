"""Customers over HTTP: for whom, which row, which QuerySet."""

from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, JsonResponse

from shop.api.audience import EVERYBODY, OWNER, Audience, Bearer
from shop.api.limits import PASSWORDS, REGISTRATIONS, RESETS, RESETS_OF_EMAIL, SIGN_INS, SignInAttempt
from shop.api.reading import detail_endpoint
from shop.api.writing import NoBody, Write, no_content, write_endpoint
from shop.customers import accounts, tokens
from shop.customers.accounts import EmailTakenError
from shop.customers.callers import find_caller
from shop.customers.forms import (
    PasswordForm,
    ProfileForm,
    RefreshForm,
    RegistrationForm,
    ResetForm,
    ResetRequestForm,
    SignInForm,
    TokensForm,
)
from shop.customers.models import ACCOUNT_ROW, Customer
from shop.customers.tokens import Tokens
from shop.database.refusal import UnknownAccountError, WrongPasswordError

Bearer.find_caller = staticmethod(find_caller)


@detail_endpoint(Audience("shop.view_customer", owner=True), ACCOUNT_ROW)
def account(customer_id: Any) -> QuerySet[Customer]:
    """A customer's account."""
    return Customer.objects.filter(pk=customer_id)


def account_response(customer_id: int, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> HttpResponse:
    """Answer with the account as it is now; raise a 404 if it has just been erased."""
    for row in account.statement.fetch(customer_id):
        return HttpResponse(row, status=status, content_type="application/json", headers=headers)
    raise account.missing()


def password_attempt(write: Write, customer_id: int) -> AbstractContextManager[None]:
    """Count who tries a current password: a stolen token must not do to guess it."""
    return write.usage.attempt(PASSWORDS, f"customer {customer_id}")


def tokens_response(found: Tokens) -> HttpResponse:
    """Answer with a pair of tokens."""
    account = found.account
    whose: dict[str, Any] = (
        {"customer_id": account.pk} if isinstance(account, Customer) else {"username": account.get_username()}
    )
    return JsonResponse(
        {
            "access": found.access,
            "refresh": found.refresh,
            "token_type": "Bearer",
            "expires_in": found.expires_in,
            **whose,
        }
    )


class WrongEmailError(UnknownAccountError):
    message = "The e-mail address or the password is wrong"


class WrongUsernameError(UnknownAccountError):
    message = "The username or the password is wrong"


class WrongRefreshError(UnknownAccountError):
    message = "The refresh token is not valid"


@write_endpoint(
    EVERYBODY,
    SignInForm,
    answers={HTTPStatus.OK: TokensForm},
    refusals=[WrongEmailError, WrongUsernameError],
    limit=SIGN_INS,
)
def sign_in(write: Write) -> HttpResponse:
    """Sign in as a customer or as staff."""
    kind = write.data["kind"]
    attempt = SignInAttempt(write.request, kind, write.data["name"])
    attempt.count(write.usage)
    found = tokens.sign_in(**write.data)
    if not found:
        raise WrongEmailError if kind == "customer" else WrongUsernameError
    attempt.succeeded()
    return tokens_response(found)


@write_endpoint(EVERYBODY, RefreshForm, answers={HTTPStatus.OK: TokensForm}, refusals=[WrongRefreshError])
def refresh_token(write: Write) -> HttpResponse:
    """Spend a refresh token for the next pair."""
    found = tokens.rotate(write.data["refresh"])
    if not found:
        raise WrongRefreshError
    return tokens_response(found)


@write_endpoint(EVERYBODY, RefreshForm, answers={HTTPStatus.NO_CONTENT: None})
def revoke_token(write: Write) -> HttpResponse:
    """End the sign-in that a refresh token comes from."""
    tokens.revoke(write.data["refresh"])
    return no_content()


@write_endpoint(
    EVERYBODY,
    RegistrationForm,
    answers={HTTPStatus.CREATED: ACCOUNT_ROW},
    refusals=[EmailTakenError],
    limit=REGISTRATIONS,
    sends=["Location"],
)
def register(write: Write) -> HttpResponse:
    """Register as a customer."""
    customer = accounts.register(**write.data)
    return account_response(customer.pk, HTTPStatus.CREATED, Location=f"/shop/api/customer/{customer.pk}/")


@write_endpoint(
    OWNER,
    ProfileForm,
    missing="Customer",
    answers={HTTPStatus.OK: ACCOUNT_ROW},
    refusals=[WrongPasswordError, EmailTakenError],
)
def change_account(write: Write, *, customer_id: int) -> HttpResponse:
    """Change names, address or e-mail address."""
    guesses = "current_password" in write.data
    with password_attempt(write, customer_id) if guesses else nullcontext():
        accounts.change(customer_id=customer_id, **write.data)
    return account_response(customer_id)


@write_endpoint(
    OWNER,
    PasswordForm,
    missing="Customer",
    answers={HTTPStatus.NO_CONTENT: None},
    refusals=[WrongPasswordError],
)
def change_password(write: Write, *, customer_id: int) -> HttpResponse:
    """Change the password; all tokens made before are dead."""
    with password_attempt(write, customer_id):
        accounts.change_password(customer_id=customer_id, **write.data)
    return no_content()


@write_endpoint(EVERYBODY, ResetRequestForm, answers={HTTPStatus.ACCEPTED: NoBody}, limit=RESETS)
def request_reset(write: Write) -> HttpResponse:
    """Mail a token to a customer who forgot the password."""
    write.usage.count(RESETS_OF_EMAIL, write.data["email"].lower())
    write.usage.check()
    accounts.request_reset(**write.data)
    return JsonResponse({}, status=HTTPStatus.ACCEPTED)


@write_endpoint(EVERYBODY, ResetForm, answers={HTTPStatus.NO_CONTENT: None})
def reset_password(write: Write) -> HttpResponse:
    """Set a new password with the token of a mail."""
    accounts.reset_password(**write.data)
    return no_content()
