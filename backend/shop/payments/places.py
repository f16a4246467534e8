"""How many requests may ask a provider at once: one that hangs must not take all threads of the web.

Who waits for the page of a payment that somebody else asks for is not among them (opening.py).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from shop.payments.provider import ProviderUnavailableError

PLACES = 2
"""So many requests of a process wait for a provider at once; its other threads serve the shop."""

LATE_SECONDS = 2.0
"""So long others queue for a place; where the provider takes longer to answer they are refused at once."""


class NoPlaceError(ProviderUnavailableError):
    """Those who have a place wait too long for the provider."""


changed = Condition()
taken: dict[object, float] = {}
"""When each of those who have a place took it."""


@contextmanager
def place() -> Iterator[None]:
    """Have a place for the block; raise NoPlaceError if there is none soon."""
    mine, since = object(), time.monotonic()
    with changed:
        while len(taken) >= PLACES:
            patience = min(since, *taken.values()) + LATE_SECONDS - time.monotonic()
            if patience <= 0:
                raise NoPlaceError
            changed.wait(patience)
        taken[mine] = time.monotonic()
    try:
        yield
    finally:
        with changed:
            del taken[mine]
            changed.notify_all()
