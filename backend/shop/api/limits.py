"""How much a caller may ask in a window of time, counted by the database for all processes and replicas."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from shop.api.audience import Caller
from shop.api.client_address import client_address, network_of
from shop.api.errors import ApiError
from shop.api.throttle import PER_ACCOUNT, PER_ADDRESS, SIGN_IN_SECONDS, SignIn, account_of

logger = logging.getLogger(__name__)

COUNT = """
INSERT INTO request_count AS known (key, ends_at, requests)
VALUES (%(key)s, statement_timestamp() + %(window)s, 1)
ON CONFLICT (key) DO UPDATE SET
    ends_at = CASE WHEN known.ends_at > statement_timestamp() THEN known.ends_at ELSE excluded.ends_at END,
    requests = CASE WHEN known.ends_at > statement_timestamp() THEN known.requests + 1 ELSE 1 END
RETURNING requests, extract(epoch FROM ends_at - statement_timestamp())::float
"""

TAKE_BACK = "UPDATE request_count SET requests = requests - 1 WHERE key = %s AND requests > 0"

FORGET = "DELETE FROM request_count WHERE key = %s"

# Each window that begins takes two away that have ended, so that there are never many of those.
PRUNE = """
DELETE FROM request_count WHERE key IN (
    SELECT key FROM request_count WHERE ends_at < statement_timestamp()
    ORDER BY ends_at LIMIT 2 FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True)
class Limit:
    """So many requests in so many seconds, from the first one on."""

    name: str
    quota: int
    seconds: int

    def key(self, who: str) -> bytes:
        """Return what stands for them; who reads the table learns no address."""
        return salted_hmac("shop.limits", f"{self.name} {who}", algorithm="sha256").digest()

    def count(self, who: str) -> tuple[int, int]:
        """Count a request; return how many are left, below 0 for one too many, and when the window ends."""
        with connection.cursor() as cursor:
            cursor.execute(COUNT, {"key": self.key(who), "window": f"{self.seconds} s"})
            requests, seconds = cursor.fetchone()
            if requests == 1:
                cursor.execute(PRUNE)
        return self.quota - requests, max(1, ceil(seconds))

    def take_back(self, who: str) -> None:
        """Count one request less."""
        with connection.cursor() as cursor:
            cursor.execute(TAKE_BACK, [self.key(who)])

    def forget(self, who: str) -> None:
        """Begin a new window with the next request."""
        with connection.cursor() as cursor:
            cursor.execute(FORGET, [self.key(who)])


WRITES = Limit("writes", 120, 60)
REGISTRATIONS = Limit("registrations", 20, 60 * 60)
RESETS = Limit("password-resets", 5, 60 * 60)
RESETS_OF_EMAIL = Limit("password-resets-of-email", 5, 60 * 60)
SIGN_INS = Limit("sign-ins", PER_ADDRESS, SIGN_IN_SECONDS)
SIGN_INS_OF_ACCOUNT = Limit("sign-ins-of-account", PER_ACCOUNT, SIGN_IN_SECONDS)
PASSWORDS = Limit("passwords", PER_ACCOUNT, SIGN_IN_SECONDS)


class Usage:
    """What a request used of its limits."""

    def __init__(self) -> None:
        self.policies: list[str] = []
        self.rests: list[str] = []
        self.retry_after = 0

    def count(self, limit: Limit, who: str) -> None:
        if settings.SHOP_RATE_LIMITS == "off":
            return
        left, seconds = limit.count(who)
        self.policies.append(f'"{limit.name}";q={limit.quota};w={limit.seconds}')
        self.rests.append(f'"{limit.name}";r={max(0, left)};t={seconds}')
        if left < 0:
            self.retry_after = max(self.retry_after, seconds)

    @contextmanager
    def attempt(self, limit: Limit, who: str) -> Iterator[None]:
        """Count an attempt, and forget all when one succeeds. Raises ApiError (429) for one too many."""
        self.count(limit, who)
        self.check()
        yield
        if settings.SHOP_RATE_LIMITS == "on":
            limit.forget(who)

    def check(self) -> None:
        """Raise ApiError (429) if it was one too many."""
        if self.retry_after:
            raise too_many(self.retry_after)

    @property
    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers."""
        if not self.policies:
            return {}
        return {"RateLimit-Policy": ", ".join(self.policies), "RateLimit": ", ".join(self.rests)}


def too_many(seconds: int) -> ApiError:
    message = f"Too many requests: try again in {seconds} s"
    return ApiError(HTTPStatus.TOO_MANY_REQUESTS, message, {"Retry-After": str(seconds)})


def name_of(request: HttpRequest, caller: Caller) -> str:
    """Return what stands for a caller: the account, or the network of who has none."""
    return f"{caller.kind} {caller.pk}" if caller.kind else network_of(client_address(request))


class SignInAttempt:
    """An attempt to sign in to an account, which is its kind and its name; SIGN_INS count the address before.

    It is counted twice: in the cache, where the admin counts its own, and in the database, as not all
    processes need have a cache in common.
    """

    def __init__(self, request: HttpRequest, kind: str, name: str) -> None:
        """Count nothing yet."""
        address = client_address(request)
        self.network, self.account = network_of(address), account_of(kind, name)
        self.with_the_admins = SignIn(self.account, address)

    def count(self, usage: Usage) -> None:
        """Count it; raise ApiError (429) for one too many."""
        usage.count(SIGN_INS_OF_ACCOUNT, self.account)
        if seconds := usage.retry_after:
            logger.warning("sign-in refused for %d s: %s, account %.12s", seconds, self.network, self.account)
            raise too_many(seconds)
        if seconds := self.with_the_admins.refused_for():
            raise too_many(seconds)

    def succeeded(self) -> None:
        """Forget the failures of the account, and take this attempt off the address."""
        if settings.SHOP_RATE_LIMITS == "off":
            return
        SIGN_INS_OF_ACCOUNT.forget(self.account)
        SIGN_INS.take_back(self.network)
        self.with_the_admins.succeeded()
