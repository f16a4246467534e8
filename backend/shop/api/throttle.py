"""Counters in the cache that all replicas share: how often somebody did something, and who tries to sign in.

Guessing a password is slow for everybody, but it must not lock the owner out: a browser that is known to have
signed in to the account before is counted by itself, so that failures from elsewhere do not concern it. OWASP
calls what shows that a device cookie; making and checking it is the caller's.
"""

import logging
import time
from contextlib import suppress
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.utils.crypto import salted_hmac

from shop.api.client_address import network_of

logger = logging.getLogger(__name__)

BEGINNING = 10**9
"""A counter is the second in which its window began, times this, plus the number since: one number, as one
operation must change it all.
"""


class Count(NamedTuple):
    """How many there were in this window, the last one included, and in how many seconds it ends."""

    number: int
    seconds_left: int


def count(key: str, window: int) -> Count:
    """Count one under this key, in a window of so many seconds that begins with the first."""
    now = int(time.time())
    cache.add(key, now * BEGINNING, window)
    try:
        began, number = divmod(cache.incr(key), BEGINNING)
    except ValueError:  # the window ended in between
        return count(key, window)
    seconds_left = began + window - now
    if seconds_left <= 0:  # it ended while Django's incr, which looks first, made a counter that has no end
        cache.delete(key)
        return count(key, window)
    return Count(number, seconds_left)


def digest(text: str) -> str:
    """Return a hash that nobody else can make: what is typed as a name may be anything, even a password."""
    return salted_hmac("shop.throttle", text.encode(errors="replace"), algorithm="sha256").hexdigest()


def account_of(kind: str, name: str) -> str:
    """Return what stands for an account, if there is one or not; upper and lower case are the same."""
    return digest(f"{kind}:{name.casefold()}")


SIGN_IN_SECONDS = 15 * 60
"""How long attempts to sign in count, from the first one on."""

PER_ACCOUNT = 10
"""Attempts per window for an account, and for a browser that is known to it."""

PER_ADDRESS = 50
"""Attempts per window for an address, for all accounts together."""


class SignIn:
    """An attempt to sign in.

    `account` is what account_of() returns, `address` the client's, `known_browser` the id of a browser that
    signed in to this account before.
    """

    def __init__(self, account: str, address: str, known_browser: str = "") -> None:
        self.account, self.address = account, address
        if known_browser:
            self.limits = {f"sign-in:browser:{known_browser}": PER_ACCOUNT}
        else:
            # The address goes first: a caller who has used up its attempts does not use up those of accounts.
            self.limits = {
                f"sign-in:address:{digest(network_of(address))}": PER_ADDRESS,
                f"sign-in:account:{account}": PER_ACCOUNT,
            }

    def refused_for(self) -> int:
        """Count the attempt; return 0, or if it is one too many, in how many seconds to try again.

        It is for the time before the password is looked at, so that many at once are counted too.
        """
        if settings.SHOP_RATE_LIMITS == "off":
            return 0
        for key, limit in self.limits.items():
            number, seconds_left = count(key, SIGN_IN_SECONDS)
            if number > limit:
                logger.warning(
                    "sign-in refused for %d s: %s, account %.12s", seconds_left, self.address, self.account
                )
                return seconds_left
        return 0

    def succeeded(self) -> None:
        """Forget the failures of the account or the browser, and take this attempt off the address."""
        *others, own = self.limits
        cache.delete(own)
        for key in others:
            with suppress(ValueError):  # its window has ended meanwhile
                cache.decr(key)
