"""Keeps slots for those who walked when a server with this store ended, and may come back at once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

from worldplay.store.eviction import StoredWalk
from worldplay.store.keeper import SIGN_EVERY_S
from worldplay.store.store import Store
from worldplay.web.disk_threads import DiskThreads

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_PATIENCE_S = 3.0  # for the store to answer
LOOK_EVERY_S = 2.5  # whether somebody walks on another server
LOOK_FOR_S = SIGN_EVERY_S + LOOK_PATIENCE_S  # by then every walk of a running server has given a sign


class Slots(Protocol):
    """The slots of an engine. Sessions are named, each with the hash of its client's address."""

    @property
    def max_sessions(self) -> int: ...

    def reserve(self, addresses: Mapping[str, str], seconds: float) -> None: ...

    def exchange_reserved(self, names: Iterable[str], others: Mapping[str, str]) -> None: ...


class Returning:
    """Those who may come back. Event loop only.

    Another server with the same store may be running. Who gave a sign of life after this one began to start
    walks there; so does who gives one while slots are kept. Nothing is kept for these.
    """

    def __init__(self, store: Store, slots: Slots, began_s: float, resume_s: float, return_s: float) -> None:
        """Keep slots for `return_s` for those whose time to resume, `resume_s`, is not over.

        Args:
            began_s: when this process began to start, in seconds since 1970.
        """
        self._store = store
        self._slots = slots
        self._began_s, self._since_s = began_s, began_s - resume_s - SIGN_EVERY_S
        self._return_s = 0.0 if resume_s == 0 else return_s
        self._threads = DiskThreads(1)
        self._expected: list[StoredWalk] = []  # for whom slots are kept
        self._others: list[StoredWalk] = []  # for whom there are not enough

    async def expect(self) -> None:
        """Keep slots. To be called before the engine starts."""
        if self._return_s == 0:
            return
        found = await self._ask(partial(self._store.find_walking, self._since_s, self._began_s)) or []
        most = self._slots.max_sessions
        self._expected, self._others = found[:most], found[most:]
        if self._expected:
            logger.info("slots are kept for visitors who may come back: %d", len(self._expected))
            self._slots.reserve(_addresses(self._expected), self._return_s)

    async def look_again(self) -> None:
        """Give up the slots of those who walk on another server; others get them."""
        changed = await self._ask(partial(self._store.find_changed, self._expected + self._others)) or []
        elsewhere = [walk.id for walk in self._expected if walk.id in changed]
        self._others = [walk for walk in self._others if walk.id not in changed]
        instead = self._others[: len(elsewhere)]
        self._others = self._others[len(elsewhere) :]
        self._expected = [walk for walk in self._expected if walk.id not in changed] + instead
        if elsewhere:
            self._slots.exchange_reserved(elsewhere, _addresses(instead))

    async def _ask(self, question: Callable[[], T]) -> T | None:
        """Ask the store. Returns: None if it does not answer."""
        try:
            return await self._threads.run("", question, patience_s=LOOK_PATIENCE_S)
        except OSError as error:
            logger.warning("the store does not say who walked before: %s", error)
        except Exception:  # a file system of another kind has errors of its own
            logger.exception("the store does not say who walked before")
        return None

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look again now and then in this context, until nobody is expected any more."""
        task = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            task.cancel()

    async def _keep_looking(self) -> None:
        for _ in range(int(min(self._return_s, LOOK_FOR_S) / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            if not self._expected:
                return
            await self.look_again()


def _addresses(walks: list[StoredWalk]) -> dict[str, str]:
    return {walk.id: walk.address for walk in walks}
