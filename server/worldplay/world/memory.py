"""Tells how much main memory is available, and gives back what is freed."""

import ctypes
import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
CGROUP_USAGE = Path("/sys/fs/cgroup/memory.current")
CGROUP_DETAILS = Path("/sys/fs/cgroup/memory.stat")
SHORT_BYTES = 400_000_000  # less than this, and decoding one picture could end the process


def available_memory() -> int:
    """Return the bytes of main memory that are available, as far as the system tells."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if MEMINFO.is_file():
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        available = 1024 * int(lines["MemAvailable"].split()[0])
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else "max"
    return min(available, int(limit) - _cgroup_usage()) if limit.isdecimal() else available


def _cgroup_usage() -> int:
    """Return the bytes that this container uses, without files that can be dropped from memory."""
    if not (CGROUP_USAGE.is_file() and CGROUP_DETAILS.is_file()):
        return 0
    details = dict(line.split(" ", 1) for line in CGROUP_DETAILS.read_text().splitlines())
    return int(CGROUP_USAGE.read_text()) - int(details.get("inactive_file", "0"))


def is_memory_short(beside: int = 0) -> bool:
    """Return whether too little memory is left, or would be beside so many bytes, to begin anything."""
    return available_memory() < SHORT_BYTES + beside


def release_memory() -> None:
    """Give freed memory back to the system, where the allocator keeps it otherwise (glibc's)."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)
