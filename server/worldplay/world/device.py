"""Where a model computes, and in which numbers."""

import torch


def choose_device(name: str) -> torch.device:
    """Resolve 'auto'. Raises: ValueError for a device that this machine does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"expected a device like 'cpu', 'cuda' or 'cuda:0', got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"expected a device like 'cpu', 'cuda' or 'cuda:0', got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"expected a device of this machine, got {name!r}; use --device cpu")
    return device


def choose_dtype(device: torch.device) -> torch.dtype:
    """bf16 wherever the hardware multiplies it; emulated, it would be slower than float32."""
    if device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def synchronize(device: torch.device) -> None:
    """Wait until all that was asked of a device has been done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
