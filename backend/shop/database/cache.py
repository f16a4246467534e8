"""The cache that all replicas share, in a Valkey that may be away.

While it is away, each process goes on with a cache of its own: nobody waits for it, nothing fails with it.
"""

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache, RedisCacheClient, RedisSerializer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.3
"""How long Valkey may take to connect, and how long to answer."""

PAUSE_SECONDS = 5
"""How long Valkey is left alone after it failed."""


class UnreadableError(Exception):
    """A value was written by other code."""


class Serializer(RedisSerializer):
    """Django's, with one error for all that can go wrong with a pickle."""

    def loads(self, data: Any) -> Any:
        """Return the value; raise UnreadableError when this code cannot make it."""
        try:
            return super().loads(data)
        except Exception as error:
            raise UnreadableError from error


class Breaker:
    """A circuit breaker: whether Valkey is left alone, as all threads of this process see it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.open = False
        self.next_trial = 0.0

    def trip(self, error: Exception) -> None:
        """Leave Valkey alone from now on, because of this error."""
        with self.lock:
            self.next_trial = time.monotonic() + PAUSE_SECONDS
            if not self.open:
                self.open = True
                logger.warning("the cache is away, each process uses its own meanwhile: %s", error)

    def may_try(self) -> bool:
        """Tell one caller in PAUSE_SECONDS to find out whether it is over."""
        with self.lock:
            if time.monotonic() < self.next_trial:
                return False
            self.next_trial = time.monotonic() + PAUSE_SECONDS
            return True

    def close(self) -> None:
        with self.lock:
            if self.open:
                self.open = False
                logger.info("the cache is back")


class Client:
    """The operations of Django's client, answered by the process's own cache while Valkey is away."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet."""
        self.breaker = Breaker()
        self.shared = RedisCacheClient(
            [url], Serializer, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS
        )
        self.shared.get_client()  # makes the pool; threads that come first together would make several

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return an operation; both caches take the same arguments."""

        def operation(*arguments: Any) -> Any:
            trial = self.breaker.open
            if not trial or self.breaker.may_try():
                try:
                    answer = getattr(self.shared, name)(*arguments)
                except (RedisError, OSError) as error:
                    self.breaker.trip(error)
                except UnreadableError:
                    pass  # as if it were not there
                else:
                    if trial:
                        self.breaker.close()
                    return answer
            return getattr(caches["own"], name)(*arguments)

        return operation


clients: dict[str, Client] = {}
"""One for all threads, whereas Django makes a cache for each."""


class SharedCache(RedisCache):
    """Django's Redis cache with that client; settings.CACHES names the process's own one `own`."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._cache = clients.setdefault(server, Client(server))
