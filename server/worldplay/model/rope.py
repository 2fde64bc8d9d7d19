"""Rotary position embedding over (time, height, width), rotating interleaved pairs of a head vector."""

import torch
from torch import Tensor


def rope_table(
    dims: tuple[int, int, int],
    grid: tuple[int, int, int],
    theta: float,
    start: int = 0,
    device: torch.device | None = None,
) -> Tensor:
    """Compute the rotation of every token of a grid.

    Args:
        dims: head dimensions given to time, height and width; their sum is the head size d.
        grid: latents T, token rows h, token columns w.
        start: time position of the grid's first latent.
    Returns: [T, h*w, d/2] complex64, cos + i*sin; tokens in (t, h, w) order.
    """
    angles = [
        _axis_angles(size, dim, theta, offset, device)
        for size, dim, offset in zip(grid, dims, (start, 0, 0), strict=True)
    ]
    time, rows, columns = angles[0][:, None, None], angles[1][None, :, None], angles[2][None, None, :]
    parts = [part.expand(*grid, -1) for part in (time, rows, columns)]
    full = torch.cat(parts, dim=-1).flatten(1, 2)  # [T, h*w, d/2]
    return torch.polar(torch.ones_like(full), full)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotate q or k, [B, T, S, n, d], by a table of rope_table, [T, S, d/2]; in float32, cast back."""
    # One complex product is three times faster on a CPU than the same rotation on split pairs.
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * table[:, :, None]).flatten(-2).to(x.dtype)


def _axis_angles(size: int, dim: int, theta: float, offset: int, device: torch.device | None) -> Tensor:
    exponents = torch.arange(0, dim, 2, dtype=torch.float32, device=device) / dim
    positions = torch.arange(offset, offset + size, dtype=torch.float32, device=device)
    return torch.outer(positions, 1.0 / theta**exponents)
