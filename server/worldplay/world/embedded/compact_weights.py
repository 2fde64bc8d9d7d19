"""Reads weights of which the matrices are stored in 8 bits, with a scale for each row."""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from worldplay.world.weight_files import Weights

SCALE = ".scale"  # suffix of the tensor with the scales of the rows of another


class CompactWeights(Weights):
    """Weights in which an int8 tensor NAME comes with float32 scales NAME.scale, one for each row."""

    @property
    def keys(self) -> Collection[str]:
        stored = super().keys
        return {key for key in stored if not (key.endswith(SCALE) and key.removesuffix(SCALE) in stored)}

    def dtype(self, key: str) -> str:
        """Return the dtype of what `read` returns."""
        return "F32" if key + SCALE in super().keys else super().dtype(key)

    def read(self, key: str) -> Tensor:
        """Return a tensor on the CPU, in float32 if it is stored in 8 bits."""
        stored = self.read_compact(key)
        return super().read(key) if stored is None else spread(*stored)

    def read_compact(self, key: str) -> tuple[Tensor, Tensor] | None:
        """Return a tensor in int8 and the scales of its rows, in float32; None if it is stored otherwise."""
        if key + SCALE not in super().keys:
            return None
        values, scales = super().read(key), super().read(key + SCALE)
        if values.dtype != torch.int8 or scales.shape != values.shape[:1]:
            raise ValueError(f"{self.name} has int8 rows and scales that do not match in {key}")
        return values, scales.float()


def spread(values: Tensor, scales: Tensor) -> Tensor:
    """Compute the numbers, in float32, that int8 values with a scale for each row stand for."""
    return values.float().mul_(scales.view(-1, *[1] * (values.dim() - 1)))


def read_all(path: Path) -> dict[str, Tensor]:
    """Read a file of compact weights, or of others. Raises: as Weights."""
    stored = CompactWeights([path])
    return {name: stored.read(name) for name in stored.keys}
