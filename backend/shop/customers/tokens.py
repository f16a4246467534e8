"""Tokens of customers and staff: a short-lived access token, and a refresh token, spent for the next pair.

Access tokens are JWTs (RFC 8725, RFC 9068), refresh tokens random and stored as hashes. Those of one sign-in
are a family, and die together when a spent one is used again (RFC 9700 §4.14.2). All die with the password.
"""

import re
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import jwt
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from shop.customers.models import FAMILY_LIFETIME, Customer, RefreshToken

ACCESS_LIFETIME = timedelta(minutes=15)
GRACE = timedelta(seconds=10)
"""A spent refresh token gives another pair for so long: of two tabs, or after a lost answer."""

ISSUER, AUDIENCE, TYPE = "webshop", "webshop-api", "at+jwt"
CLAIMS = ("iss", "aud", "sub", "iat", "exp", "jti", "sid", "kind", "pwd")

KINDS = ("customer", "staff")

type Account = Customer | User


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gives, and a refresh token again; the access token is good for so many seconds."""

    access: str
    refresh: str
    expires_in: int
    account: Account


@dataclass(frozen=True)
class Claims:
    """What a valid access token says: of which account of which kind, by which sign-in and password."""

    kind: str
    pk: int
    family: UUID
    password_digest: str
    expires_at: int


def accounts_of(kind: str) -> QuerySet[Any]:
    """Return the accounts of a kind that may sign in: customer, or staff."""
    if kind == "customer":
        return Customer.objects.all()
    return User.objects.filter(is_active=True, is_staff=True)


def kind_of(account: Account) -> str:
    return "customer" if isinstance(account, Customer) else "staff"


def secret_keys() -> list[Any]:
    """Return the keys that are read under; the first one is written under."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


@cache
def signing_key(secret: str) -> bytes:
    """Return the 256 bits that access tokens are signed with."""
    return salted_hmac("shop.tokens.access", "", secret=secret, algorithm="sha256").digest()


def password_digest(password_hash: str, secret: str) -> str:
    """Return what stands for a password's hash in tokens, as in Django's sessions."""
    return salted_hmac("shop.tokens.password", password_hash, secret=secret, algorithm="sha256").hexdigest()


def is_of_password(digest: str, password_hash: str) -> bool:
    """Tell whether a digest is of this hash, made under the key of today or one of the fallbacks."""
    return any(constant_time_compare(digest, password_digest(password_hash, key)) for key in secret_keys())


def sign_in(*, kind: str, name: str, password: str) -> Tokens | None:
    """Return tokens if this is the account's password; it takes as long without an account.

    `name` is a customer's e-mail address, or a staff user's name. A hash of an older kind is renewed before.
    """
    names = "email" if kind == "customer" else "username"
    account = accounts_of(kind).filter(**{names: name}).first()
    if not account:
        make_password(password)
        return None
    if not verify(account, password):
        return None
    with transaction.atomic():
        # Of who changes the password, or erases the account, at the same time.
        if not hold(accounts_of(kind).filter(pk=account.pk, password=account.password)):
            return None
        return issue(account, family=uuid4(), signed_in_at=timezone.now())


def verify(account: Account, password: str) -> bool:
    """Check a password, and renew its hash if that is of an older kind.

    Of several at once one renews it; the others check the new one, which `account` holds then.
    """
    renewed: list[str] = []
    if not check_password(password, account.password, setter=renewed.append):
        return False
    if renewed:
        accounts: Any = type(account)._default_manager.filter(pk=account.pk)
        new = make_password(password)
        if accounts.filter(password=account.password).update(password=new):
            account.password = new
        else:
            account.password = accounts.values_list("password", flat=True).first() or ""
            return check_password(password, account.password)
    return True


def hold(accounts: QuerySet[Any]) -> Account | None:
    """Lock the account that is left of these, if one is: what happens to its tokens happens one by one."""
    return accounts.select_for_update(of=("self",), no_key=True).first()


def issue(
    account: Account, *, family: UUID, signed_in_at: datetime, parent_hash: bytes | None = None
) -> Tokens:
    """Return a new pair of tokens, and store the refresh token's hash."""
    now = timezone.now()
    refresh = secrets.token_urlsafe(32)
    digest = password_digest(account.password, settings.SECRET_KEY)
    RefreshToken.objects.create(
        token_hash=hash_of(refresh),
        family=family,
        **{"customer" if isinstance(account, Customer) else "user": account},
        password_digest=digest,
        signed_in_at=signed_in_at,
        issued_at=now,
        parent_hash=parent_hash,
    )
    lifetime = min(ACCESS_LIFETIME, signed_in_at + FAMILY_LIFETIME - now)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(account.pk),
        "iat": now,
        "exp": now + lifetime,
        "jti": secrets.token_hex(16),
        "sid": family.hex,
        "kind": kind_of(account),
        "pwd": digest,
    }
    access = jwt.encode(claims, signing_key(settings.SECRET_KEY), algorithm="HS256", headers={"typ": TYPE})
    return Tokens(access, refresh, int(lifetime.total_seconds()), account)


def hash_of(refresh: str) -> bytes:
    """Return what is stored of a refresh token."""
    return sha256(refresh.encode()).digest()


def holder(token_hash: bytes) -> Account | None:
    """Lock the account of a refresh token and return it; None for an unknown token, or a closed account."""
    for kind in KINDS:
        if account := hold(accounts_of(kind).filter(refresh_tokens__token_hash=token_hash)):
            return account
    return None


@transaction.atomic
def rotate(refresh: str) -> Tokens | None:
    """Spend a refresh token for the next pair; return None if it is unknown, expired or spent.

    A spent one is a sign of theft, so its family is dead then, unless two used it within GRACE.
    """
    token_hash, now = hash_of(refresh), timezone.now()
    account = holder(token_hash)
    tokens = RefreshToken.objects.live().filter(token_hash=token_hash)
    token = tokens.first()
    if not (account and token and is_of_password(token.password_digest, account.password)):
        return None
    if not tokens.filter(spent_at=None).update(spent_at=now):
        children = RefreshToken.objects.filter(parent_hash=token_hash)
        if not token.spent_at or token.spent_at < now - GRACE or children.exclude(spent_at=None).exists():
            RefreshToken.objects.filter(family=token.family).delete()
            return None
    return issue(account, family=token.family, signed_in_at=token.signed_in_at, parent_hash=token_hash)


@transaction.atomic
def revoke(refresh: str) -> None:
    """End the family of a refresh token, its access tokens with it; an unknown one changes nothing."""
    token_hash = hash_of(refresh)
    holder(token_hash)
    families = RefreshToken.objects.filter(token_hash=token_hash).values("family")
    RefreshToken.objects.filter(family__in=families).delete()


def read_access(token: str) -> Claims | None:
    """Return what an access token says if it is one of ours and has not expired."""
    for secret in secret_keys():
        try:
            claims = verified(token, secret)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, ValueError, OverflowError, RecursionError):
            return None
        return claims if claims.expires_at > time.time() else None
    return None


@lru_cache(4096)
def verified(token: str, secret: str) -> Claims:
    """Return what an access token says; raise what is wrong with it.

    Each process remembers the tokens that it has verified, as that costs as much as a small answer.
    """
    decoded = jwt.decode_complete(
        token,
        signing_key(secret),
        algorithms=["HS256"],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={
            "require": list(CLAIMS),
            "strict_aud": True,
            "enforce_minimum_key_length": True,
            "verify_iat": False,  # the clocks of replicas differ
        },
    )
    payload = decoded["payload"]
    kind, subject, family, digest = (payload[name] for name in ("kind", "sub", "sid", "pwd"))
    if decoded["header"].get("typ") != TYPE or kind not in KINDS or not re.fullmatch("[0-9]{1,18}", subject):
        raise ValueError
    if not (isinstance(family, str) and isinstance(digest, str)):
        raise ValueError
    return Claims(kind, int(subject), UUID(family), digest, int(payload["exp"]))
