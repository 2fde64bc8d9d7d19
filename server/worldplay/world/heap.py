"""Sets what glibc's heap keeps. Other C libraries are left alone; they keep little."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
_LARGE_IN_LOADING = 256 * 1024
_LARGE, _MOST_FREE = 32 * 1024 * 1024, 64 * 1024 * 1024  # the most that glibc chooses by itself


def share_heap() -> None:
    """Let all threads share a heap. To be called before there are threads.

    By default each has a heap of its own, which keeps what is freed there: 22 MB after a walk in the embedded
    world, for no gain in CPU time.
    """
    _set(_M_ARENA_MAX, 1)


@contextmanager
def without_gaps() -> Iterator[None]:
    """Give large blocks pages of their own meanwhile, which go back to the system once they are freed.

    In the heap, what loading frees would leave gaps of up to 30 MB between the weights. It is for loading
    only: a chunk would take up to a fifth more CPU time.
    """
    _set(_M_MMAP_THRESHOLD, _LARGE_IN_LOADING)
    try:
        yield
    finally:
        _set(_M_MMAP_THRESHOLD, _LARGE)
        _set(_M_TRIM_THRESHOLD, _MOST_FREE)


def release_memory() -> None:
    """Give freed memory back to the system."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _set(option: int, value: int) -> None:
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(option, value)
