"""Whether this machine's own memory can hold a model, asked before it is loaded."""

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


def available_memory() -> int:
    """Bytes that programs may still take, as far as the system tells."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if MEMINFO.is_file():
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        available = 1024 * int(lines["MemAvailable"].split()[0])
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else "max"
    return min(available, int(limit)) if limit.isdecimal() else available


def check_host_memory(needed: int, what: str, remedy: str) -> None:
    """Raises: OSError with the remedy if it plainly cannot hold so many bytes."""
    available = available_memory()
    if needed > available:
        raise OSError(
            f"{what} needs about {needed / 1e9:.1f} GB of the machine's own memory, "
            f"{available / 1e9:.1f} GB are available; {remedy}"
        )
