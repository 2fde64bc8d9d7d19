"""Flow matching: the noise levels of a chunk's denoising steps, and one Euler step between two of them."""

from collections.abc import Iterator

import torch
from torch import Tensor


def sigmas(steps: int, shift: float) -> Tensor:
    """List the noise levels from 1 (noise) to 0 (clean).

    Args:
        shift: 1 spaces them evenly; a larger one lingers at high noise.
    Returns: [steps + 1] float32, falling.
    Source: docs/worldplay-model.md 9.
    """
    linear = torch.linspace(1, 0, steps + 1, dtype=torch.float32)
    return shift * linear / (1 + (shift - 1) * linear)


def denoising_levels(steps: int, shift: float) -> Iterator[tuple[float, float, float]]:
    """Yield each step's timestep, noise level and next noise level. Args: as `sigmas`."""
    levels = sigmas(steps, shift)
    yield from zip(timesteps(levels).tolist(), levels[:-1].tolist(), levels[1:].tolist(), strict=True)


def timesteps(levels: Tensor) -> Tensor:
    """Return what the transformer is told at each step: [steps] float32 in (0, 1000]."""
    return 1000 * levels[:-1]


def euler_step(latents: Tensor, velocity: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """Follow the velocity from one noise level to the next; in float32, whatever the arguments are."""
    return latents.float() + velocity.float() * (sigma_next - sigma)
