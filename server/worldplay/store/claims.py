"""The claims that this server has made and has written nothing behind."""

from threading import Lock

from cachetools import LRUCache

REMEMBERED = 1000


class Claims:
    """The newest writer of each walk that was just claimed here. Any thread."""

    def __init__(self) -> None:
        self._writers: LRUCache[str, str] = LRUCache(REMEMBERED)
        self._lock = Lock()

    def remember(self, id: str, writer: str) -> None:
        with self._lock:
            self._writers[id] = writer

    def forget(self, id: str) -> str | None:
        """Return the writer of a walk's claim, for the last time."""
        with self._lock:
            return self._writers.pop(id, None)
