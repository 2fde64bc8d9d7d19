"""Sharpens decoded frames by a shock filter: blurred edges become steep, without overshoot.

Each pixel moves towards the largest or the smallest value around it, whichever side of the nearest edge it is
on. The sign of the second derivative along the gradient tells the side (Kramer and Bruckner 1975, Osher and
Rudin 1990; smoothed first, as Alvarez and Mazorra 1994).
"""

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

PASSES = 3
REACH = 2  # of a pass: pixels to the farthest value that it takes
BEND = 1.0  # levels: a second derivative of this much moves a pixel by three quarters of its way
SLOPE = 7.0  # levels per pixel: at flatter places pixels move less than half of that
MARGIN = 2 + REACH * PASSES  # pixels around a frame: what smoothing, derivatives and passes look at

_LUMA = 0.2126, 0.7152, 0.0722  # of BT.709
_ALL_BITS = 255
_HALF_RANGE = 127.5  # levels

Pick = Callable[[Tensor, Tensor], Tensor]


def sharpen(pixels: Tensor) -> Tensor:
    """Sharpen frames [B, 3, F, H, W] in [-1, 1], each by itself. Returns: the same in float32."""
    sharp = torch.empty_like(pixels, dtype=torch.float32)
    # On a CPU one frame after the other, because it stays in a core's cache.
    at_once = 1 if pixels.device.type == "cpu" else pixels.shape[2]
    for before, after in zip(pixels.split(at_once, dim=2), sharp.split(at_once, dim=2), strict=True):
        after.copy_(_sharpen(before))
    return sharp


def _sharpen(pixels: Tensor) -> Tensor:
    by_colours = pixels.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    levels = by_colours.add_(1).mul_(_HALF_RANGE)
    x = _smooth(F.pad(levels, (MARGIN, MARGIN, MARGIN, MARGIN, 0, 0), mode="replicate"))
    shares = _shares(_smooth(_smooth(_luma(x))))
    towards_most = (shares > 0).to(torch.uint8).mul_(_ALL_BITS)
    shares.abs_()
    x = _inside(x, 1)
    for _ in range(PASSES):
        # In 8 bits, where taking the larger of two is several times as fast as in float32.
        rounded = x.round().to(torch.uint8)
        most, least = _extreme(rounded, torch.maximum), _extreme(rounded, torch.minimum)
        beside = (shares.shape[-1] - most.shape[-1]) // 2
        # The least is at most the most: the larger of it and of 0 or the most selects one of the two.
        aim = torch.maximum(most.bitwise_and_(_inside(towards_most, beside)), least).float()
        x = _inside(x, REACH)
        x = aim.sub_(x).mul_(_inside(shares, beside)).add_(x)
    return x.div_(_HALF_RANGE).sub_(1)


def _shares(luma: Tensor) -> Tensor:
    """Return by which share of its way each pixel moves: positive towards the most; [..., H - 2, W - 2]."""
    above, middle, below = luma[..., :-2, :], luma[..., 1:-1, :], luma[..., 2:, :]
    here, left, right = middle[..., 1:-1], middle[..., :-2], middle[..., 2:]
    down = below - above  # twice the derivative, as all first ones here
    across, bends_across = right - left, (right + left).sub_(here, alpha=2)
    bends_down = (below + above)[..., 1:-1].sub_(here, alpha=2)
    twist = down[..., 2:] - down[..., :-2]  # four times the mixed derivative
    down = down[..., 1:-1]
    across_squared, down_squared = across * across, down * down
    bend = bends_across.mul_(across_squared).addcmul_(bends_down, down_squared)
    bend.addcmul_(across.mul_(down), twist, value=0.5)
    slope_squared = across_squared.add_(down_squared)  # four times it
    bend.div_(slope_squared + 4).mul_(-1 / BEND).tanh_().mul_(slope_squared)
    return bend.div_(slope_squared.add_(4 * SLOPE**2))


def _luma(x: Tensor) -> Tensor:
    red, green, blue = (x[:, channel, None] for channel in range(3))
    return torch.mul(red, _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def _smooth(x: Tensor) -> Tensor:
    """Average with weights 1, 2, 1 in height and width; what comes out is two pixels smaller."""
    for dim in (-1, -1, -2, -2):
        size = x.shape[dim] - 1
        x = x.narrow(dim, 0, size) + x.narrow(dim, 1, size)
    return x.mul_(1 / 16)


def _extreme(x: Tensor, pick: Pick) -> Tensor:
    """Return the most or least of each square of 2 * REACH + 1 pixels."""
    for dim in (-1, -2):
        size = x.shape[dim] - 2 * REACH
        x = reduce(pick, (x.narrow(dim, start, size) for start in range(2 * REACH + 1)))
    return x


def _inside(x: Tensor, margin: int) -> Tensor:
    height, width = x.shape[-2:]
    return x[..., margin : height - margin, margin : width - margin]
