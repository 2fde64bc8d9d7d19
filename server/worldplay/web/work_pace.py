"""Bounds how much one address may have computed by its requests, because they compute beside the walks."""

import math
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from cachetools import LRUCache

from worldplay.web.errors import ApiError

T = TypeVar("T")

REST = 5.0  # times as long as it computed an address rests, so it gets a sixth of a core
GRACE_S = 5.0  # of rest that an address may leave out
REMEMBERED_ADDRESSES = 10_000


class WorkPace:
    """The work of all addresses. It counts processor time, because a thread may wait for others."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._work_clock = clock, work_clock
        self._rested_s: LRUCache[str, float] = LRUCache(REMEMBERED_ADDRESSES)  # when each will have rested
        self._lock = Lock()

    def check(self, address: str) -> None:
        """Raises: ApiError (busy) if an address must rest before more is computed for it."""
        with self._lock:
            wait_s = self._rested_s.get(address, 0.0) - self._clock() - GRACE_S
        if wait_s > 0:
            message = "too much was computed for one address: try again later"
            raise ApiError(503, "busy", message, {"Retry-After": str(math.ceil(wait_s))})

    def counted(self, address: str, work: Callable[..., T]) -> Callable[..., T]:
        """Return a function that does some work on a thread, and counts what it computes."""

        def run(*arguments: object) -> T:
            began_s = self._work_clock()
            try:
                return work(*arguments)
            finally:
                self._count(address, self._work_clock() - began_s)

        return run

    def _count(self, address: str, seconds: float) -> None:
        with self._lock:
            since_s = max(self._clock(), self._rested_s.get(address, 0.0))
            self._rested_s[address] = since_s + REST * seconds
