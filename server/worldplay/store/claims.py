"""The claims that this server makes on walks, to go on with them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from cachetools import LRUCache

from worldplay.store.chain import Claim, find_newest, make_claim, shorten_claim
from worldplay.store.files import Files
from worldplay.store.parts import list_names

logger = logging.getLogger(__name__)

REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """A claim that could not be written, and the newest writer when it was made."""

    claim: Claim
    newest: str


class Claims:
    """Claims, of which those are remembered that nothing was written behind. Any thread.

    A claim that cannot be written is written before the first part behind it, as soon as the disk is well.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._writers: LRUCache[str, str] = LRUCache(REMEMBERED)
        self._spare: LRUCache[str, str] = LRUCache(REMEMBERED)  # writers, of claims that were given up
        self._unwritten: LRUCache[str, _Unwritten] = LRUCache(REMEMBERED)
        self._lock = Lock()

    def make(self, id: str, names: Sequence[str]) -> str:
        """Claim the walk with these files. Returns: the writer of what follows."""
        newest = find_newest(names)
        with self._lock:
            if newest and self._spare.pop(id, None) == newest:
                self._writers[id] = newest
                return newest
        claim = make_claim(names)
        with self._lock:
            self._writers[id] = claim.writer
        self._try_to_write(id, claim, names)
        return claim.writer

    def give_up(self, id: str, writer: str) -> None:
        """Leave a claim to the next one here. Nothing was written behind it: the walk cannot go on."""
        with self._lock:
            self._spare[id] = writer

    def shorten(self, id: str, names: Sequence[str], whole: Sequence[str]) -> None:
        """Let what is saved from now on follow the whole parts, if the walk was just claimed here."""
        with self._lock:
            unwritten = self._unwritten.get(id)
        known = names if unwritten is None else [*names, unwritten.claim.name]
        if self._forget(id) == find_newest(known):
            self._try_to_write(id, shorten_claim(known, whole), names)

    def settle(self, id: str, writer: str) -> None:
        """Prepare for a part of this writer: its claim must be written. Raises: OSError."""
        self._forget(id)
        with self._lock:
            unwritten = self._unwritten.get(id)
        if unwritten is None or unwritten.claim.writer != writer:
            return
        if find_newest(list_names(self._files, id)) > unwritten.newest:
            raise OSError("the walk goes on on another server")
        self._write(id, unwritten.claim)

    def newest_known(self, id: str, writer: str) -> str:
        """Return the newest writer of a walk that this one knows: itself, once its claim is written."""
        with self._lock:
            unwritten = self._unwritten.get(id)
        return writer if unwritten is None or unwritten.claim.writer != writer else unwritten.newest

    def _try_to_write(self, id: str, claim: Claim, names: Sequence[str]) -> None:
        try:
            self._write(id, claim)
        except OSError as error:
            logger.warning("a walk goes on, but cannot be saved: %s", error)
            with self._lock:
                self._unwritten[id] = _Unwritten(claim, find_newest(names))

    def _write(self, id: str, claim: Claim) -> None:
        self._files.write(f"{id}/{claim.name}", b"")
        with self._lock:
            self._unwritten.pop(id, None)

    def _forget(self, id: str) -> str | None:
        """Return the writer of a walk's claim, for the last time."""
        with self._lock:
            return self._writers.pop(id, None)
