"""Renders the embedded world's true pictures: a walled courtyard from any pose, deterministically."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldplay.world.camera import DEFAULT_INTRINSICS
from worldplay.world.courtyard.light import LOOKS, Light
from worldplay.world.courtyard.paint import Colour, look
from worldplay.world.courtyard.rays import Vec

SAMPLES = 2  # in each direction of a pixel
RAYS_AT_ONCE = 32768  # of small pictures; more leave a processor's cache, and fewer are slower each
_NUDGE = 1e-6  # keeps ray components off 0, where slab tests divide

Look = Callable[[Vec, Vec, Light], Colour]


def render(c2w: NDArray[np.float64], height: int, width: int, light: str = "day") -> NDArray[np.uint8]:
    """Render the court.

    Args:
        c2w: [n, 4, 4] camera-to-court poses, eyes inside the walls; axes and intrinsics of camera.py.
        light: a key of LOOKS.
    Returns: [n, height, width, 3] uint8 RGB; each pixel is the mean of 4 samples.
    """
    poses = torch.from_numpy(np.ascontiguousarray(c2w, np.float32))
    at_once = max(1, RAYS_AT_ONCE // (height * width * SAMPLES**2))
    drawn = [draw(group, height, width, LOOKS[light]) for group in poses.split(at_once)]
    frames: NDArray[np.uint8] = torch.cat(drawn).numpy()
    return frames


def draw(c2w: Tensor, height: int, width: int, light: Light, look: Look = look) -> Tensor:
    """Render poses [n, 4, 4] float32 as `render` does, on their device and all at once.

    Args:
        look: `paint.look`, perhaps compiled.
    Returns: [n, height, width, 3] uint8.
    """
    rays = torch.from_numpy(_sample_rays(height, width)).to(c2w.device)
    turned = c2w[:, :3, :3] @ rays + _NUDGE  # [n, 3, samples]
    origin = Vec(*c2w[:, :3, 3, None].unbind(1))
    colours = torch.stack(look(origin, Vec(*turned.unbind(1)), light), dim=-1)  # [n, samples, 3]
    colours = colours.clamp(0, 1).unflatten(1, (height, width, SAMPLES**2)).mean(dim=3)
    return (colours * 255 + 0.5).to(torch.uint8)


@lru_cache(maxsize=4)
def _sample_rays(height: int, width: int) -> NDArray[np.float32]:
    """Return camera-frame rays [3, height * width * 4] with z = 1, by pixel, then by sample of the pixel."""
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES
    u = ((np.arange(width)[:, None] + offsets) / width).ravel()
    v = ((np.arange(height)[:, None] + offsets) / height).ravel()
    x = (u - 0.5) / float(DEFAULT_INTRINSICS[0, 0])
    y = (v - 0.5) / float(DEFAULT_INTRINSICS[1, 1])
    grid = np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))])
    by_pixel = grid.reshape(3, height, SAMPLES, width, SAMPLES).transpose(0, 1, 3, 2, 4)
    return by_pixel.reshape(3, -1).astype(np.float32)
