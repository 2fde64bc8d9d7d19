"""Renders the embedded world's true pictures: a walled courtyard from any pose, deterministically."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from worldplay.world.camera import DEFAULT_INTRINSICS
from worldplay.world.courtyard.light import LOOKS, Light
from worldplay.world.courtyard.paint import paint
from worldplay.world.courtyard.rays import trace

_EDGE_CONTRAST = 0.04
_NUDGE = np.float32(1e-6)  # keeps ray components off 0, where slab tests divide

Floats = NDArray[np.float32]


def render(c2w: NDArray[np.float64], height: int, width: int, light: str = "day") -> NDArray[np.uint8]:
    """Render the court.

    Args:
        c2w: [n, 4, 4] camera-to-court poses, eyes inside the walls; axes and intrinsics of camera.py.
        light: one of LIGHTS.
    Returns: [n, height, width, 3] uint8 RGB; edges are smoothed with 4 samples a pixel.
    """
    look = LOOKS[light]
    return np.stack([_render_one(pose.astype(np.float32), height, width, look) for pose in c2w])


def _render_one(c2w: Floats, height: int, width: int, light: Light) -> NDArray[np.uint8]:
    picture = _look(c2w, _pixel_rays(height, width, 0.0, 0.0), light).reshape(3, height, width)
    edges = np.flatnonzero(_find_edges(picture))
    offsets = (-0.25, 0.25)
    samples = [
        _look(c2w, _pixel_rays(height, width, dx, dy)[:, edges], light) for dx in offsets for dy in offsets
    ]
    picture.reshape(3, -1)[:, edges] = sum(samples) / np.float32(len(samples))
    return (picture.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=16)
def _pixel_rays(height: int, width: int, offset_x: float, offset_y: float) -> Floats:
    """Return camera-frame rays [3, height * width] with z = 1, `offset` pixels off the pixels' centres."""
    u = (np.arange(width) + 0.5 + offset_x) / width
    v = (np.arange(height) + 0.5 + offset_y) / height
    x = (u - 0.5) / DEFAULT_INTRINSICS[0, 0]
    y = (v - 0.5) / DEFAULT_INTRINSICS[1, 1]
    grid_x, grid_y = np.meshgrid(x, y)
    return np.stack([grid_x, grid_y, np.ones_like(grid_x)]).reshape(3, -1).astype(np.float32)


def _look(c2w: Floats, rays: Floats, light: Light) -> Floats:
    origin, turned = c2w[:3, 3], c2w[:3, :3] @ rays + _NUDGE
    surface, distance = trace(origin, turned)
    return np.clip(paint(origin, turned, surface, distance, light), 0, 1)


def _find_edges(picture: Floats) -> NDArray[np.bool_]:
    """Find pixels that differ from a neighbour: [H, W]."""
    edges = np.zeros(picture.shape[1:], bool)
    across = np.abs(np.diff(picture, axis=2)).max(axis=0) > _EDGE_CONTRAST
    down = np.abs(np.diff(picture, axis=1)).max(axis=0) > _EDGE_CONTRAST
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges
