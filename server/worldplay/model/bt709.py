"""Luma and chroma as sums of red, green and blue, by ITU-R BT.709; and the levels of both kinds of range."""

import torch
from torch import Tensor

LUMA = 0.2126, 0.7152, 0.0722  # of red, green and blue


HALF_RANGE = 127.5  # levels of a colour, in full range
# In limited range, of 8 bits: luma's black and how far it is from white, chroma's middle and its range.
BLACK, LUMA_RANGE = 16, 219
GREY, CHROMA_RANGE = 128, 224


def to_luma(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """Return luma in the scale of the colours, which have one shape."""
    return torch.mul(red, LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def to_chroma(luma: Tensor, red: Tensor, blue: Tensor, dim: int) -> Tensor:
    """Return Cb and Cr along a new dimension. Colours in 0 to 1 give -0.5 to 0.5."""
    return torch.stack([(blue - luma) / (2 - 2 * LUMA[2]), (red - luma) / (2 - 2 * LUMA[0])], dim)
