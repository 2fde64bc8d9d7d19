"""Sharpens decoded frames by a shock filter: blurred edges become steep, without overshoot.

The brightness of each pixel moves towards the largest or the smallest around it, whichever side of the
nearest edge it is on. The sign of the second derivative along the gradient tells the side (Kramer and
Bruckner 1975, Osher and Rudin 1990; smoothed first, as Alvarez and Mazorra 1994). Colours stay as they are:
video in 4:2:0 halves their sharpness anyway, and brightness alone is a third of the work.

Frames get a margin, and are then taken as one row of numbers, so that a pixel's neighbours are so many places
away. What is taken from the far side of a frame lies in the margin, and is never shown.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from worldplay.model.bt709 import HALF_RANGE, to_luma

PASSES = 3
REACH = 2  # of a pass: pixels to the farthest value that it takes
BEND = 1.0  # levels: a second derivative of this much moves a pixel by three quarters of its way
SLOPE = 5.5  # levels per pixel: at flatter places pixels move less than half of that
MARGIN = 2 + REACH * PASSES  # pixels around a frame: what smoothing, derivatives and passes look at

_ALL_BITS = 255

Pick = Callable[[Tensor, Tensor], Tensor]


def sharpen(pixels: Tensor, out: Tensor | None = None) -> Tensor:
    """Sharpen frames [B, 3, F, H, W] in [-1, 1], each by itself. Returns: the same in float32.

    Args: out: where to, for example the frames themselves.
    """
    sharp = torch.empty_like(pixels, dtype=torch.float32) if out is None else out
    for before, after in zip(_portions(pixels.float(), 2), _portions(sharp, 2), strict=True):
        luma = _luma(before)
        brighter = _sharpen(luma).sub_(luma).div_(HALF_RANGE)
        torch.add(before, brighter[:, None], out=after).clamp_(-1, 1)
    return sharp


def sharpen_luma(luma: Tensor) -> None:
    """Sharpen the brightness of frames, [B, F, H, W] in levels, in place."""
    for frames in _portions(luma, 1):
        frames.copy_(_sharpen(frames))


def _portions(frames: Tensor, dim: int) -> tuple[Tensor, ...]:
    """Split what is sharpened at once. On a CPU that is one frame, because it stays in a core's cache."""
    return frames.split(1 if frames.device.type == "cpu" else frames.shape[dim], dim)


def _luma(pixels: Tensor) -> Tensor:
    """Return the brightness of [B, 3, F, H, W] in levels, 0 to 255: [B, F, H, W]."""
    return to_luma(*pixels.unbind(1)).add_(1).mul_(HALF_RANGE)


def _sharpen(luma: Tensor) -> Tensor:
    padded = F.pad(luma, (MARGIN, MARGIN, MARGIN, MARGIN), mode="replicate").contiguous()
    *planes, row, _ = padded.stride()
    x = _smooth(padded.flatten(), row)
    shares = _shares(_smooth(_smooth(x, row), row), row)
    towards_most = (shares > 0).view(torch.uint8).mul_(_ALL_BITS)
    shares.abs_()
    x = _inside(x, 1, row)
    for done in range(PASSES):
        # In 8 bits, where taking the larger of two is several times as fast as in float32.
        rounded = _to_bytes(x + 0.5)
        most, least = _extreme(rounded, row, torch.maximum), _extreme(rounded, row, torch.minimum)
        beside = REACH * done
        # The least is at most the most: the larger of it and of 0 or the most selects one of the two.
        aim = torch.maximum(most.bitwise_and_(_inside(towards_most, beside, row)), least).float()
        x = _inside(x, REACH, row)
        x = aim.sub_(x).mul_(_inside(shares, beside, row)).add_(x)
    return x.as_strided(luma.shape, (*planes, row, 1))


def _shares(x: Tensor, row: int) -> Tensor:
    """Return by which share of its way each pixel moves: positive towards the most."""
    down = x[2 * row :] - x[: -2 * row]  # twice the derivative, as all first ones here
    twist, down = down[2:] - down[:-2], down[1:-1]  # four times the mixed derivative
    left, here, right = x[row : -row - 2], x[row + 1 : -row - 1], x[row + 2 : -row]
    above, below = x[1 : -2 * row - 1], x[2 * row + 1 : -1]
    across, bends_across = right - left, (right + left).sub_(here, alpha=2)
    bends_down = (below + above).sub_(here, alpha=2)
    across_squared, down_squared = across * across, down * down
    bend = bends_across.mul_(across_squared).addcmul_(bends_down, down_squared)
    bend.addcmul_(across.mul_(down), twist, value=0.5)
    slope_squared = across_squared.add_(down_squared)  # four times it
    bend.div_(slope_squared + 4).mul_(-1 / BEND).tanh_().mul_(slope_squared)
    return bend.div_(slope_squared.add_(4 * SLOPE**2))


def _smooth(x: Tensor, row: int) -> Tensor:
    """Average with weights 1, 2, 1 in height and width."""
    for step in (1, 1, row, row):
        x = x[:-step] + x[step:]
    return x.mul_(1 / 16)


def _extreme(x: Tensor, row: int, pick: Pick) -> Tensor:
    """Return the most or least of each square of 5 pixels."""
    for step in (1, row):
        of_two = pick(x[:-step], x[step:])
        of_four = pick(of_two[: -2 * step], of_two[2 * step :])
        x = pick(of_four[:-step], x[4 * step :])
    return x


def _to_bytes(x: Tensor) -> Tensor:
    """Cut off fractions; directly, a CPU takes twice as long."""
    return x.to(torch.int16).to(torch.uint8)


def _inside(x: Tensor, margin: int, row: int) -> Tensor:
    """Leave out so many pixels on all sides."""
    start = margin * (row + 1)
    return x[start : len(x) - start]
