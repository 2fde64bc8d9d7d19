"""Luma and chroma as sums of red, green and blue, by ITU-R BT.709."""

import torch
from torch import Tensor

LUMA = 0.2126, 0.7152, 0.0722  # of red, green and blue


def to_luma(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    return torch.mul(red, LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def to_chroma(luma: Tensor, red: Tensor, blue: Tensor, dim: int) -> Tensor:
    """Stack blue and red less luma along a new dimension. Colours in 0 to 1 give -0.5 to 0.5."""
    return torch.stack([(blue - luma) / (2 - 2 * LUMA[2]), (red - luma) / (2 - 2 * LUMA[0])], dim)
