"""Rotary position embedding over (time, height, width), rotating interleaved pairs of a head vector."""

from typing import NamedTuple

import torch
from torch import Tensor


class Rotation(NamedTuple):
    """The rotation of every token of a grid, [T, h*w, 1, d] float32 each; tokens in (t, h, w) order.

    Both numbers of a pair have the same angle: x is rotated to x * cos + swap_pairs(x) * sin.
    """

    cos: Tensor
    sin: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Rotate heads [..., T, h*w, n, d], in float32, and cast back; for training.

        Complex numbers are three times faster on a CPU than swapped pairs, but no compiler takes them.
        """
        table = torch.complex(self.cos[..., ::2], self.sin[..., ::2])
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)


def rotation_table(
    dims: tuple[int, int, int],
    grid: tuple[int, int, int],
    theta: float,
    start: int | Tensor = 0,
    device: torch.device | None = None,
) -> Rotation:
    """Compute the rotation of every token of a grid.

    Args:
        dims: head dimensions given to time, height and width; their sum is the head size d.
        grid: latents T, token rows h, token columns w.
        start: time position of the grid's first latent; a tensor, if the operations are recorded. Or [T]:
            what is added to each latent's position.
    """
    angles = [
        _axis_angles(size, dim, theta, offset, device)
        for size, dim, offset in zip(grid, dims, (start, 0, 0), strict=True)
    ]
    time, rows, columns = angles[0][:, None, None], angles[1][None, :, None], angles[2][None, None, :]
    parts = [part.expand(*grid, -1) for part in (time, rows, columns)]
    pairs = torch.cat(parts, dim=-1).flatten(1, 2)[:, :, None]  # [T, h*w, 1, d/2]
    return Rotation(*(values.repeat_interleave(2, dim=-1) for values in (pairs.cos(), pairs.sin())))


def swap_pairs(x: Tensor) -> Tensor:
    """Turn every pair (a, b) of head vectors, [..., d], by a quarter: (-b, a)."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([-odd, even], dim=-1).flatten(-2)


def _axis_angles(
    size: int, dim: int, theta: float, offset: int | Tensor, device: torch.device | None
) -> Tensor:
    exponents = torch.arange(0, dim, 2, dtype=torch.float32, device=device) / dim
    positions = torch.arange(size, dtype=torch.float32, device=device)
    return torch.outer(positions + offset, 1.0 / theta**exponents)
