"""Memory that sessions have freed goes back to the system now and then."""

import asyncio
import ctypes
import gc

import pytest

from support.paths import run_python
from worldplay.web import freed_memory
from worldplay.web.freed_memory import (
    EVERY_TICKS,
    FreedMemory,
    find_free_buffers,
    find_trim,
    settle_loaded,
)


async def count_trims(ended: list[int]) -> int:
    """Return how often memory was returned, with so many sessions that had ended at each minute."""
    trims: list[int] = []

    def trim(pad: int) -> int:
        trims.append(pad)
        return 1

    minutes = iter(ended)
    memory = FreedMemory(trim, lambda: next(minutes))
    for _ in range(EVERY_TICKS * len(ended)):
        memory.tick()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    return len(trims)


async def test_memory_is_returned_once_a_minute_if_sessions_ended() -> None:
    assert await count_trims([0, 0, 0]) == 0
    assert await count_trims([0, 3, 3, 5]) == 2


async def test_nothing_happens_where_the_allocator_needs_it_not() -> None:
    memory = FreedMemory(None, lambda: 1)
    for _ in range(2 * EVERY_TICKS):
        memory.tick()


def test_this_allocator_can_be_asked() -> None:
    trim = find_trim()
    assert trim is None or trim(0) in (0, 1)


def test_what_loading_leaves_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: freed.append("frozen"))
    monkeypatch.setattr(freed_memory, "find_free_buffers", lambda: lambda: freed.append("buffers"))
    monkeypatch.setattr(freed_memory, "find_trim", lambda: lambda pad: freed.append("heap"))
    settle_loaded()
    assert freed == ["frozen", "buffers", "heap"]


FREE_BUFFERS = """
import ctypes, torch
from worldplay.web.freed_memory import find_free_buffers
torch.ones(300, 256) @ torch.ones(768, 256).t()
free = find_free_buffers()
count = ctypes.CDLL(torch.__path__[0] + "/lib/libtorch_cpu.so").mkl_serv_mem_stat
count.restype, buffers = ctypes.c_longlong, ctypes.c_int()
before = count(ctypes.byref(buffers))
free()
print(before > 0, count(ctypes.byref(buffers)))
"""


@pytest.mark.skipif(find_free_buffers() is None, reason="needs a PyTorch with MKL, as for x86 Linux")
def test_the_matrix_library_frees_its_buffers() -> None:
    assert run_python("-c", FREE_BUFFERS).stdout.split() == ["True", "0"]


COUNT_HEAPS = """
import ctypes, threading
from worldplay.web.freed_memory import keep_one_heap
{first}
libc = ctypes.CDLL(None)
thread = threading.Thread(target=libc.malloc, args=(10_000,))
thread.start()
thread.join()
libc.malloc_stats()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="needs glibc")
@pytest.mark.parametrize(("first", "heaps"), [("", 2), ("keep_one_heap()", 1)])
def test_all_threads_share_a_heap(first: str, heaps: int) -> None:
    said = run_python("-c", COUNT_HEAPS.format(first=first)).stderr
    assert said.count("Arena ") == heaps
