"""Gives the system back the memory that sessions have freed."""

import asyncio
import gc
import linecache
import logging
import time
from collections.abc import Callable

from worldplay.world.heap import release_memory

logger = logging.getLogger(__name__)

EVERY_TICKS = 60


def settle_loaded() -> None:
    """Return what loading has freed, and leave what was loaded out of garbage collections.

    With it each full one would stop all threads for 0.2 s.
    """
    linecache.clearcache()  # 3 MB of source, which importing torch has read
    gc.collect()
    gc.freeze()
    release_memory()


def _collect(release: Callable[[], None]) -> None:
    """Free the reference cycles of sessions, which hold their latest video, and return what is free."""
    gc.collect()
    release()


class FreedMemory:
    """Lets the allocator return what it keeps, once a minute if sessions have ended. Event loop only.

    Frames and latents of many sessions leave gaps in glibc's heap, which it does not return by itself: after
    a thousand sessions more than 100 MB.
    """

    def __init__(self, count_ended: Callable[[], int], release: Callable[[], None] = release_memory) -> None:
        """Args: count_ended: how many sessions have ended since the start."""
        self._count_ended = count_ended
        self._release = release
        self._num_ended = 0
        self._ticks = 0
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Note that a second has passed."""
        self._ticks += 1
        if self._ticks < EVERY_TICKS:
            return
        self._ticks, before, self._num_ended = 0, self._num_ended, self._count_ended()
        if self._num_ended != before:
            self._task = asyncio.create_task(self._return_memory())

    async def _return_memory(self) -> None:
        began_s = time.monotonic()
        await asyncio.to_thread(_collect, self._release)
        logger.debug("freed memory was returned in %.0f ms", 1000.0 * (time.monotonic() - began_s))
