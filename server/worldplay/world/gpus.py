"""Finds this machine's GPUs without importing torch, which takes seconds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

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
