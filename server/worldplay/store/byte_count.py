"""Counts the bytes of a store between two cleanings, which list all files."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from worldplay.store.errors import StoreFullError


class ByteCount:
    """How large a store is, as last counted and written since. Any thread."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._num_counts = 0
        self._lock = Lock()

    def set(self, num_bytes: int) -> None:
        """All files were counted."""
        with self._lock:
            self.num_bytes = num_bytes
            self._num_counts += 1

    def add(self, num_bytes: int) -> None:
        """Count what was written, or removed if it is negative."""
        with self._lock:
            self.num_bytes += num_bytes

    @contextmanager
    def writing(self, num_bytes: int, quota_bytes: int) -> Iterator[None]:
        """Count bytes that are written meanwhile; none if that fails. Raises: StoreFullError."""
        with self._lock:
            if self.num_bytes + num_bytes > quota_bytes:
                raise StoreFullError
            self.num_bytes += num_bytes
            num_counts = self._num_counts
        try:
            yield
        except BaseException:
            with self._lock:
                if num_counts == self._num_counts:  # otherwise the files were counted without these bytes
                    self.num_bytes -= num_bytes
            raise
