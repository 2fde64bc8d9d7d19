"""Threads that read and write the store for visitors. A disk that hangs blocks nobody else."""

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import TypeVar

from worldplay.web.send_queue import post

T = TypeVar("T")

PATIENCE_S = 5.0  # for the store to answer, including the wait for a thread
GIVE_WAY_S = 1.0  # after which a thread leaves its place to others, because it may hang
MAX_SLOW = 16  # threads that take longer
MAX_SLOW_EACH = 4  # of one address


class SlowStoreError(OSError):
    """The store does not answer in time."""

    def __init__(self) -> None:
        super().__init__("the store does not answer")


class DiskThreads:
    """Does a few things with the store at a time, each on a thread of its own. Event loop only.

    A thread that may hang leaves its permit to others, until too many do.
    """

    def __init__(self, most: int) -> None:
        self._permits = asyncio.Semaphore(most)
        self._slow = Counter[str]()  # threads without a permit, by address; nobody may wait for them any more

    async def run(
        self, address: str, task: Callable[..., T], *arguments: object, patience_s: float = PATIENCE_S
    ) -> T:
        """Do something for a visitor with this address. Raises: SlowStoreError, and what the task raises."""
        if self._slow.total() >= MAX_SLOW or self._slow[address] >= MAX_SLOW_EACH:
            raise SlowStoreError
        try:
            return await asyncio.wait_for(self._run(address, partial(task, *arguments)), patience_s)
        except asyncio.TimeoutError:  # Python 3.10 has its own beside TimeoutError
            raise SlowStoreError from None

    async def _run(self, address: str, task: Callable[[], T]) -> T:
        async with self._permits:
            done = _start(task)
            try:
                await asyncio.wait({done}, timeout=GIVE_WAY_S)
            finally:
                if not done.done():
                    self._slow[address] += 1
                    done.add_done_callback(partial(self._forget, address))
        return await asyncio.shield(done)

    def _forget(self, address: str, done: "asyncio.Future[T]") -> None:
        self._slow[address] -= 1
        self._slow += Counter()  # keeps those that are left
        done.exception()  # nobody may wait for it


def _start(task: Callable[[], T]) -> "asyncio.Future[T]":
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()  # the log says for whom it is

    def run() -> None:
        try:
            finish = partial(done.set_result, context.run(task))
        except Exception as error:  # noqa: BLE001 - the top of the thread; whoever waits gets it
            finish = partial(done.set_exception, error)
        post(loop, lambda _: finish(), None)

    Thread(target=run, name="store", daemon=True).start()
    return done
