"""Reads and writes inside files on this machine's disk.

No file stays open between two uses.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file while the context lasts. Raises: OSError."""
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def write_all(file: int, offset: int, data: bytes) -> None:
    """Write all of some data behind the first `offset` bytes. Raises: OSError."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        offset, rest = offset + written, rest[written:]
