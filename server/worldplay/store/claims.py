"""The claims that this server makes on walks, to go on with them."""

from collections.abc import Sequence
from threading import Lock

from cachetools import LRUCache

from worldplay.store.chain import find_newest, make_claim, shorten_claim
from worldplay.store.files import Files

REMEMBERED = 1000


class Claims:
    """Claims, of which those are remembered that nothing was written behind. Any thread."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._writers: LRUCache[str, str] = LRUCache(REMEMBERED)
        self._lock = Lock()

    def make(self, id: str, names: Sequence[str]) -> str:
        """Claim the walk with these files. Returns: the writer of what follows. Raises: OSError."""
        claim = make_claim(names)
        self._files.write(f"{id}/{claim.name}", b"")
        with self._lock:
            self._writers[id] = claim.writer
        return claim.writer

    def shorten(self, id: str, names: Sequence[str], whole: Sequence[str]) -> None:
        """Let what is saved from now on follow the whole parts, if the walk was just claimed here."""
        if self.forget(id) == find_newest(names):
            self._files.write(f"{id}/{shorten_claim(names, whole).name}", b"")

    def forget(self, id: str) -> str | None:
        """Return the writer of a walk's claim, for the last time."""
        with self._lock:
            return self._writers.pop(id, None)
