"""Bounds how much one address may have computed by its requests, because they compute beside the walks."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cachetools import LRUCache

from worldplay.web.errors import busy

T = TypeVar("T")

REST = 5.0  # times as long as it computed an address rests, so it gets a sixth of a core
GRACE_S = 5.0  # of rest that an address may leave out
TOO_MUCH = "too much was computed for one address: try again later"
REMEMBERED_ADDRESSES = MAX_UNCOUNTED = 10_000


@dataclass(frozen=True, slots=True)
class _Work:
    address: str
    seconds: float
    at_s: float  # when it was done


class WorkPace:
    """The work of all addresses. It counts processor time, because a thread may wait for others.

    Event loop only, but for `charge`, and for what `counted` returns.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._work_clock = clock, work_clock
        self._rested_s: LRUCache[str, float] = LRUCache(REMEMBERED_ADDRESSES)  # when each will have rested
        self._done = deque[_Work](maxlen=MAX_UNCOUNTED)  # by threads, and not counted yet

    def wait_s(self, address: str) -> float:
        """Return how long an address must rest before more is computed for it; 0 or less: it need not."""
        while self._done:
            work = self._done.popleft()
            since_s = max(work.at_s, self._rested_s.get(work.address, 0.0))
            self._rested_s[work.address] = since_s + REST * work.seconds
        return self._rested_s.get(address, 0.0) - self._clock() - GRACE_S

    def check(self, address: str) -> None:
        """Raises: ApiError (busy) if an address must rest."""
        wait_s = self.wait_s(address)
        if wait_s > 0:
            raise busy(TOO_MUCH, wait_s)

    def counted(self, address: str, work: Callable[..., T]) -> Callable[..., T]:
        """Return a function that does some work on a thread, and counts what it computes."""

        def run(*arguments: object) -> T:
            began_s = self._work_clock()
            try:
                return work(*arguments)
            finally:
                self.charge(address, self._work_clock() - began_s)

        return run

    def charge(self, address: str, seconds: float) -> None:
        """Count what was computed for an address. Any thread."""
        self._done.append(_Work(address, seconds, self._clock()))
