"""Finds this machine's GPUs and memory without importing torch, which takes seconds."""

import ctypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CPUINFO = Path("/proc/cpuinfo")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")  # quota and period, in microseconds
CGROUP_USAGE = Path("/sys/fs/cgroup/memory.current")
CGROUP_DETAILS = Path("/sys/fs/cgroup/memory.stat")
SHORT_BYTES = 400_000_000  # less than this, and decoding one picture could end the process
CONTEXT_BYTES = 600_000_000  # GPU memory that CUDA takes as soon as a process uses it; an estimate

_DEVICE = re.compile(r"(cpu|cuda)(?::(0|[1-9][0-9]{0,3}))?")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, and how many bytes of it a process may use."""

    name: str
    free: int
    total: int


def parse_device(name: str) -> tuple[str, int]:
    """Read 'cpu', 'cuda' or 'cuda:N'. Raises: ValueError saying what was expected."""
    match = _DEVICE.fullmatch(name)
    if match is None:
        raise ValueError(f"expected a device like 'cpu', 'cuda' or 'cuda:0', got {name!r}")
    return match[1], int(match[2] or 0)


def find_gpu(device: str, visible: str | None) -> Gpu | None:
    """Find the GPU that a device names; 'auto' is the first one. Returns: None for a CPU.

    Args:
        visible: CUDA_VISIBLE_DEVICES, if it is set.
    Raises: ValueError for a device that this machine does not have.
    """
    if device == "auto":
        return next(iter(list_gpus(visible)), None)
    kind, index = parse_device(device)
    if kind == "cpu":
        return None
    gpus = list_gpus(visible)
    if index >= len(gpus):
        raise ValueError(f"expected a device of this machine, got {device!r}; use --device cpu")
    return gpus[index]


def choose_rank_kind(device: str, count: int, names: Sequence[str]) -> str:
    """Choose where several ranks run: 'cpu' or 'cuda'.

    Args:
        names: of this machine's GPUs.
    Raises: ValueError if it cannot be done on this machine.
    """
    if device == "cpu":
        return "cpu"
    if device not in ("auto", "cuda"):
        raise ValueError(f"expected --device auto, cuda or cpu with --gpus {count}, got {device!r}")
    if not names:
        raise ValueError(f"--gpus {count} needs GPUs, and finds none; with --device cpu they are processes")
    if count > len(names):
        raise ValueError(f"expected at most --gpus {len(names)}, which is all there are, got {count}")
    if len(kinds := dict.fromkeys(names[:count])) > 1:
        raise ValueError(f"expected equal GPUs, got {' and '.join(kinds)}; choose by CUDA_VISIBLE_DEVICES")
    return "cuda"


def check_heads(count: int, heads: int) -> None:
    """Raises: ValueError if a model's heads cannot be shared equally by so many GPUs."""
    if heads % count:
        fitting = ", ".join(str(n) for n in range(1, heads + 1) if heads % n == 0)
        raise ValueError(f"expected --gpus {fitting}, which divide the model's {heads} heads, got {count}")


def list_gpus(visible: str | None) -> list[Gpu]:
    """List the GPUs that torch would see: none without a driver, or if torch was built without CUDA."""
    if version("torch").endswith("+cpu"):
        return []
    import pynvml  # here, because most commands do not need it, and it is large

    try:
        pynvml.nvmlInit()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            uuids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
            return [
                Gpu(
                    name=pynvml.nvmlDeviceGetName(handles[index]),
                    free=max(0, pynvml.nvmlDeviceGetMemoryInfo(handles[index]).free - CONTEXT_BYTES),
                    total=pynvml.nvmlDeviceGetMemoryInfo(handles[index]).total,
                )
                for index in choose_visible(visible, uuids)
            ]
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return []


def choose_visible(visible: str | None, uuids: Sequence[str]) -> list[int]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES selects. As in CUDA, an unknown entry ends the list."""
    if visible is None:
        return list(range(len(uuids)))
    chosen: list[int] = []
    for word in map(str.strip, visible.split(",")):
        by_uuid = word.startswith("GPU-")
        found = [i for i, uuid in enumerate(uuids) if (uuid.startswith(word) if by_uuid else word == str(i))]
        if len(found) != 1:
            break
        chosen += found
    return chosen if len(set(chosen)) == len(chosen) else []  # CUDA refuses a list that repeats itself


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


def count_usable_cores() -> int:
    """Count the cores that this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_CPU.read_text().split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or one without a quota ("max")
        return cores


def is_memory_short(beside: int = 0) -> bool:
    """Return whether too little memory is left, or would be beside so many bytes, to begin anything."""
    return available_memory() < SHORT_BYTES + beside


def release_memory() -> None:
    """Give freed memory back to the system, where the allocator keeps it otherwise (glibc's)."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def has_bf16_cpu() -> bool:
    """Return whether the processor multiplies bfloat16; if not, it computes in float32."""
    return CPUINFO.is_file() and " avx512_bf16" in CPUINFO.read_text()


# Backends of attention that are packages of their own, and what must be importable for each.
ATTENTION_PACKAGES = {
    "_flash_3": "flash_attn_interface",
    "flash": "flash_attn",
    "flashinfer": "flashinfer",
    "sage": "sageattention",  # computes in 8 bits: taken only where it is exact enough
}


def list_attention_packages() -> list[str]:
    """List the backends of attention whose packages are installed. Nothing is imported."""
    return [name for name, package in ATTENTION_PACKAGES.items() if find_spec(package) is not None]
