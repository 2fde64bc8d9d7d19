"""Memory that sessions have freed goes back to the system now and then."""

import asyncio
import ctypes
import gc
from pathlib import Path

import pytest

from support.paths import run_python
from worldplay.web import freed_memory
from worldplay.web.freed_memory import (
    EVERY_TICKS,
    SMAPS,
    FreedMemory,
    collect_freed,
    find_code,
    find_free_buffers,
    settle_loaded,
)


async def count_returns(ended: list[int]) -> int:
    """Return how often memory was returned, with so many sessions that had ended at each minute."""
    collected: list[bool] = []
    minutes = iter(ended)
    memory = FreedMemory(lambda: collected.append(True), lambda: next(minutes))
    for _ in range(EVERY_TICKS * len(ended)):
        memory.tick()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    return len(collected)


async def test_memory_is_returned_once_a_minute_if_sessions_ended() -> None:
    assert await count_returns([0, 0, 0]) == 0
    assert await count_returns([0, 3, 3, 5]) == 2


def test_cycles_are_freed_before_memory_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: done.append("cycles"))
    monkeypatch.setattr(freed_memory, "release_memory", lambda: done.append("heap"))
    collect_freed()
    assert done == ["cycles", "heap"]


def test_what_loading_leaves_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: freed.append("frozen"))
    monkeypatch.setattr(freed_memory, "find_free_buffers", lambda: lambda: freed.append("buffers"))
    monkeypatch.setattr(freed_memory, "release_memory", lambda: freed.append("heap"))
    monkeypatch.setattr(freed_memory, "unmap_code", lambda: freed.append("code"))
    settle_loaded()
    assert freed == ["frozen", "buffers", "heap", "code"]


UNMAP_CODE = """
import re, torch
from pathlib import Path
from worldplay.web.freed_memory import unmap_code
def mapped():
    return int(re.search("RssFile:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = mapped()
unmap_code()
print(before - mapped(), (torch.ones(30, 20) @ torch.ones(20, 10)).sum().item())
"""


@pytest.mark.skipif(not SMAPS.is_file(), reason="needs Linux")
def test_code_that_is_unmapped_still_runs() -> None:
    fewer_kib, total = run_python("-c", UNMAP_CODE).stdout.split()
    assert int(fewer_kib) > 10_000
    assert total == "6000.0"


def test_changed_code_and_what_is_no_file_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smaps = tmp_path / "smaps"
    smaps.write_text(
        "1000-3000 r-xp 00000000 fe:00 7 /lib/a.so\nRss: 8 kB\nAnonymous:             0 kB\n"
        "3000-4000 r-xp 00002000 fe:00 7 /lib/b.so\nAnonymous:             4 kB\n"
        "4000-5000 r--p 00003000 fe:00 7 /lib/a.so\nAnonymous:             0 kB\n"
        "5000-6000 r-xp 00000000 00:00 0 [vdso]\nAnonymous:             0 kB\n"
    )
    monkeypatch.setattr(freed_memory, "SMAPS", smaps)
    assert list(find_code()) == [(0x1000, 0x2000)]
    monkeypatch.setattr(freed_memory, "SMAPS", tmp_path / "none")
    assert list(find_code()) == []


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
