"""Gives the system back the memory that sessions have freed."""

import asyncio
import ctypes
import gc
import logging
import mmap
import re
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from worldplay.world.memory import release_memory

logger = logging.getLogger(__name__)

EVERY_TICKS = 60
SMAPS = Path("/proc/self/smaps")  # Linux only
_M_ARENA_MAX = -8  # of malloc.h
_MAPPING = re.compile(r"^(?=[0-9a-f]+-[0-9a-f]+ )", re.MULTILINE)  # where the description of each begins
_CODE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]")  # of a file, which has an inode
_IS_UNCHANGED = re.compile(r"^Anonymous: +0 kB$", re.MULTILINE)


def keep_one_heap() -> None:
    """Let all threads share glibc's heap. To be called before there are threads.

    By default each has a heap of its own, which keeps what is freed there: 22 MB after a walk in the embedded
    world, for no gain in CPU time.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)


def settle_loaded() -> None:
    """Return what loading has freed, and leave what was loaded out of garbage collections.

    With it each full one would stop all threads for 0.2 s.
    """
    gc.collect()
    gc.freeze()
    if free := find_free_buffers():
        free()
    release_memory()
    unmap_code()


def unmap_code() -> None:
    """Let the system map code again when it next runs.

    Of files that were just written it maps far more than is used: 80 MB after an installation.
    """
    libc = ctypes.CDLL(None)
    for address, size in find_code():
        libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), mmap.MADV_DONTNEED)


def find_code() -> Iterator[tuple[int, int]]:
    """Yield address and size in bytes of mapped code that is as in its file, so that nothing is lost."""
    if not SMAPS.is_file():
        return
    for mapping in _MAPPING.split(SMAPS.read_text()):
        code = _CODE.match(mapping)
        if code and _IS_UNCHANGED.search(mapping):
            begin, end = (int(address, 16) for address in code.groups())
            yield begin, end - begin


def find_free_buffers() -> Callable[[], None] | None:
    """Return what frees the matrix library's buffers, 23 MB of the thread that has loaded the embedded world.

    It is MKL's mkl_free_buffers, which PyTorch's builds with MKL have under an inner name. To be called while
    nothing is multiplied.
    """
    torch = find_spec("torch")
    assert torch is not None, "PyTorch is not installed"
    assert torch.origin is not None, "PyTorch has no files"
    library = Path(torch.origin).with_name("lib") / "libtorch_cpu.so"
    return getattr(ctypes.CDLL(str(library)), "mkl_serv_free_buffers", None) if library.is_file() else None


def collect_freed() -> None:
    """Free the reference cycles of sessions, which hold their latest video, and return what is free."""
    gc.collect()
    release_memory()


class FreedMemory:
    """Lets the allocator return what it keeps, once a minute if sessions have ended. Event loop only.

    Frames and latents of many sessions leave gaps in glibc's heap, which it does not return by itself: after
    a thousand sessions more than 100 MB.
    """

    def __init__(self, collect: Callable[[], None], count_ended: Callable[[], int]) -> None:
        """Args: collect: run in a thread. count_ended: how many sessions have ended since the start."""
        self._collect = collect
        self._count_ended = count_ended
        self._num_ended = 0
        self._ticks = 0
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Note that a second has passed."""
        self._ticks += 1
        if self._ticks < EVERY_TICKS:
            return
        self._ticks, before, self._num_ended = 0, self._num_ended, self._count_ended()
        if self._num_ended != before:
            self._task = asyncio.create_task(self._return_memory())

    async def _return_memory(self) -> None:
        began_s = time.monotonic()
        await asyncio.to_thread(self._collect)
        logger.debug("freed memory was returned in %.0f ms", 1000.0 * (time.monotonic() - began_s))
