"""Kept walks that visitors have opened and that wait for a slot: each is in memory once."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakValueDictionary, finalize

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.store.store import Store
from worldplay.web.disk_threads import DiskThreads
from worldplay.web.send_queue import post
from worldplay.web.snapshots import check_kept, load_snapshot
from worldplay.web.work_pace import TOO_MUCH, WorkPace
from worldplay.world.snapshot import Snapshot

MAX_WAITING_BYTES = 2**30  # of all walks that were opened, and not yet begun
MAX_WAITING_BYTES_EACH = 2**28  # of one address, which may always open one
RESTORE_S = 25e-6  # for a latent of a walk that is opened: to copy it, and to save it
TOO_MANY = "too many large walks wait: try again later"


@dataclass(slots=True)
class _Opened:
    snapshot: Snapshot
    address: str  # of who opened it first
    num_uses: int = 0

    @property
    def num_bytes(self) -> int:
        return self.snapshot.latents.nbytes


class OpenedSnapshots:
    """Reads walks that are kept. Event loop only."""

    def __init__(self, store: Store | None, threads: DiskThreads, pace: WorkPace) -> None:
        self._store = store
        self._threads = threads
        self._pace = pace
        self._opened: dict[str, _Opened] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self, id: str, address: str) -> Snapshot:
        """Return a walk that is kept, as another walk. Raises: ProtocolError or SlowStoreError."""
        if self._pace.wait_s(address) > 0:
            raise ProtocolError(ErrorCode.BAD_REQUEST, f"start.snapshot: {TOO_MUCH}")
        async with self._opening.setdefault(id, asyncio.Lock()):
            opened = self._opened.get(id)
            if opened is None:
                self._check(address)
                load = self._pace.counted(address, load_snapshot)
                snapshot = await self._threads.run(address, load, self._store, id)
                self._check(address, snapshot.latents.nbytes)
                opened = self._opened[id] = _Opened(snapshot, address)
            else:
                await self._threads.run(address, check_kept, self._store, id)
            self._pace.charge(address, RESTORE_S * opened.snapshot.end)
            return self._lend(id, opened)

    def _check(self, address: str, num_bytes: int = 0) -> None:
        """Raises: ProtocolError if too much waits."""
        waiting = Counter[str]()
        for opened in self._opened.values():
            waiting[opened.address] += opened.num_bytes
        of_address = waiting[address]
        is_too_much = of_address > 0 and of_address + num_bytes >= MAX_WAITING_BYTES_EACH
        if is_too_much or waiting.total() + num_bytes > MAX_WAITING_BYTES:
            raise ProtocolError(ErrorCode.BAD_REQUEST, TOO_MANY)

    def _lend(self, id: str, opened: _Opened) -> Snapshot:
        """Return a copy that shares the latents, and notice when nobody has it any more."""
        latents = opened.snapshot.latents.view_as(opened.snapshot.latents)
        opened.num_uses += 1
        give_back: Callable[[None], None] = partial(self._give_back, id, opened)
        finalize(latents, post, asyncio.get_running_loop(), give_back, None).atexit = False
        return replace(opened.snapshot.as_another(), latents=latents)

    def _give_back(self, id: str, opened: _Opened, _: None) -> None:
        opened.num_uses -= 1
        if not opened.num_uses and self._opened.get(id) is opened:
            del self._opened[id]
