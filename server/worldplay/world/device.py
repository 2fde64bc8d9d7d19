"""Chooses the device and the dtype in which a model computes."""

import torch

from worldplay.world.gpus import parse_device


def choose_device(name: str) -> torch.device:
    """Resolve 'auto'. Raises: ValueError for a device that this machine does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, index = parse_device(name)
    if kind == "cuda" and index >= torch.cuda.device_count():
        raise ValueError(f"expected a device of this machine, got {name!r}; use --device cpu")
    return torch.device(name)


def choose_dtype(device: torch.device) -> torch.dtype:
    """Choose bf16 if the hardware multiplies it; emulated, it would be slower than float32."""
    if device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def choose_vae_dtype(device: torch.device) -> torch.dtype:
    """Choose float16 on GPUs: as fast as bf16, with an eighth of its error (docs/released-model.md)."""
    return torch.float16 if device.type == "cuda" else choose_dtype(device)


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished all work that was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
