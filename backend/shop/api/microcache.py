"""Answers kept for SHOP_CACHE_SECONDS in Django's cache, so that a rush costs few queries."""

import time
from collections.abc import Callable

from django.core.cache import cache

GRACE_SECONDS = 10
"""How long an answer that is too old is still given while one caller makes the new one."""


def remembered[Content](key: str, make: Callable[[], Content], seconds: int) -> tuple[Content | str, int]:
    """Return the text kept under this key, or what `make` returns, kept if it is text; and its age.

    When an answer is too old, one caller makes the next one; the others get the old one meanwhile, for
    GRACE_SECONDS at most.
    """
    kept = cache.get(key)
    if kept:
        content, made = kept
        age = int(time.time() - made)
        if age < seconds or not cache.add(f"{key}:making", True, GRACE_SECONDS):
            return content, age
    made = time.time()
    content = make()
    if isinstance(content, str):
        cache.set(key, (content, made), made + seconds + GRACE_SECONDS - time.time())
    cache.delete(f"{key}:making")
    return content, 0
