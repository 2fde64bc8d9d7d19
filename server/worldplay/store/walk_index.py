"""What the store has, without listing all of it for each question."""

import time
from collections.abc import Callable, Iterable
from threading import Lock

from worldplay.store.eviction import StoredWalk

FRESH_S = 5.0  # for which a listing counts: other servers change the store, too
MAX_SHARE = 0.05  # of the time that is spent on listing
Look = Callable[[str], StoredWalk | None]


class WalkIndex:
    """The walks of the store: as they were listed a moment ago, with what this server changed since."""

    def __init__(self, list_all: Callable[[], list[StoredWalk]], look_at: Look) -> None:
        """`look_at` looks at one walk by its id; None: it is gone. Both raise OSError."""
        self._list_all = list_all
        self._look_at = look_at
        self._lock = Lock()  # of a listing: others wait for it and use it
        self._walks: dict[str, StoredWalk] = {}
        self._changed = set[str]()
        self._stale_s = float("-inf")

    def change(self, ids: Iterable[str]) -> None:
        """Note that walks were changed here. Any thread."""
        self._changed.update(ids)

    def walks(self) -> list[StoredWalk]:
        """Return all walks. Any thread. Raises: OSError."""
        with self._lock:
            if time.monotonic() >= self._stale_s:
                self._list()
            while self._changed:
                self._look(self._changed.pop())
            return list(self._walks.values())

    def _list(self) -> None:
        began_s = time.monotonic()
        self._changed.clear()  # what changes meanwhile is looked at afterwards
        self._walks = {walk.id: walk for walk in self._list_all()}
        now_s = time.monotonic()
        self._stale_s = now_s + max(FRESH_S, (now_s - began_s) / MAX_SHARE)

    def _look(self, id: str) -> None:
        try:
            walk = self._look_at(id)
        except OSError:
            self._changed.add(id)
            raise
        self._walks.pop(id, None)
        if walk is not None:
            self._walks[id] = walk
