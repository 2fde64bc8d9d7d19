"""Measures this machine's arithmetic speed and memory use."""

import platform
import resource
import sys
from time import perf_counter

import torch

from worldplay.world.device import synchronize

GEMM_SIDE = {"cpu": 2048, "cuda": 8192}
_GEMM_SECONDS = 1.0


def name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


@torch.inference_mode()
def gemm_rate(device: torch.device, dtype: torch.dtype, side: int | None = None) -> float:
    """Measure a large square matrix product in operations per second; the best of one second of runs."""
    side = side or GEMM_SIDE[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    fastest, ends = float("inf"), perf_counter() + _GEMM_SECONDS
    while fastest == float("inf") or perf_counter() < ends:
        synchronize(device)
        began = perf_counter()
        torch.mm(a, b, out=out)
        synchronize(device)
        fastest = min(fastest, perf_counter() - began)
    return 2.0 * side**3 / fastest


def reset_peak_memory(device: torch.device) -> None:
    """Reset a GPU's peak memory; that of a process cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return peak bytes: of tensors on a GPU since `reset_peak_memory`; on a CPU of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
