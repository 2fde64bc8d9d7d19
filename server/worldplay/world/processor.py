"""Tells what this machine's processor can do, without importing torch, which takes seconds."""

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")  # of a container: quota and period, in microseconds


def count_usable_cores() -> int:
    """Count the cores that this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_CPU.read_text().split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or one without a quota ("max")
        return cores


def has_bf16_cpu() -> bool:
    """Return whether the processor multiplies bfloat16; if not, it computes in float32."""
    return CPUINFO.is_file() and " avx512_bf16" in CPUINFO.read_text()
