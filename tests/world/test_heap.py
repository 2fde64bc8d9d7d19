"""What glibc's heap keeps, as seen from a process of its own."""

import ctypes

import pytest

from support.paths import run_python
from worldplay.world.heap import release_memory

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="needs glibc")

COUNT_HEAPS = """
import ctypes, threading
from worldplay.world.heap import share_heap
{first}
libc = ctypes.CDLL(None)
thread = threading.Thread(target=libc.malloc, args=(10_000,))
thread.start()
thread.join()
libc.malloc_stats()
"""

COUNT_PAGES = """
import ctypes
from contextlib import nullcontext
from worldplay.world.heap import without_gaps
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.free(libc.malloc(8_000_000))  # from now on glibc takes such blocks from the heap
with {context}:
    libc.malloc(4_000_000)
if {after}:
    libc.malloc(4_000_000)
libc.malloc_stats()
"""
BLOCK = 4_000_000


@pytest.mark.parametrize(("first", "heaps"), [("", 2), ("share_heap()", 1)])
def test_all_threads_share_a_heap(first: str, heaps: int) -> None:
    said = run_python("-c", COUNT_HEAPS.format(first=first)).stderr
    assert said.count("Arena ") == heaps


@pytest.mark.parametrize(
    ("context", "after", "mapped"),
    [("nullcontext()", False, 0), ("without_gaps()", False, 1), ("without_gaps()", True, 1)],
)
def test_large_blocks_have_pages_of_their_own_only_meanwhile(context: str, after: bool, mapped: int) -> None:
    said = run_python("-c", COUNT_PAGES.format(context=context, after=after)).stderr
    in_heap, whole = (int(line.split("=")[1]) for line in said.splitlines() if "system bytes" in line)
    assert round((whole - in_heap) / BLOCK) == mapped


def test_memory_can_be_released() -> None:
    release_memory()
