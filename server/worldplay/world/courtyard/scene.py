"""The objects in the embedded world's courtyard.

Court frame: x east, y down, z north; the eye moves in the plane y = 0, the centre is the origin.
Lengths are in the units of camera.py, in which one step is 0.08.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldplay.world.courtyard.light import RGB

HALF_SIZE = 3.2
FLOOR_Y = 0.5
WALL_TOP_Y = -0.55
TILE = 0.8


@dataclass(frozen=True, slots=True)
class Box:
    """An upright box. It stops a walker unless it is above eye height."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    colour: RGB


@dataclass(frozen=True, slots=True)
class Ball:
    centre: tuple[float, float, float]
    radius: float
    colour: RGB


@dataclass(frozen=True, slots=True)
class Pillar:
    """An upright cylinder with horizontal rings."""

    x: float
    z: float
    radius: float
    top_y: float
    colour: RGB
    ring_colour: RGB


def _block(x: float, z: float, half: float, top_y: float, colour: RGB) -> Box:
    return Box((x - half, top_y, z - half), (x + half, FLOOR_Y, z + half), colour)


BOXES = (
    _block(-0.75, 0.9, 0.17, -0.6, (0.93, 0.90, 0.82)),  # the arch: two posts ...
    _block(0.75, 0.9, 0.17, -0.6, (0.93, 0.90, 0.82)),
    Box((-0.92, -0.85, 0.73), (0.92, -0.5, 1.07), (0.86, 0.25, 0.22)),  # ... and a lintel to walk under
    _block(1.9, 1.9, 0.42, -0.75, (0.16, 0.32, 0.85)),
    _block(-1.75, -1.2, 0.45, 0.08, (0.98, 0.82, 0.15)),
    _block(2.35, -0.3, 0.32, 0.0, (0.10, 0.72, 0.70)),
)
BALLS = (
    Ball((-1.75, 0.05, 1.75), 0.45, (0.95, 0.42, 0.10)),
    Ball((0.1, 0.12, -2.1), 0.38, (0.72, 0.20, 0.75)),
    Ball((-1.75, -0.17, -1.2), 0.25, (0.20, 0.65, 0.25)),  # on the yellow block
)
PILLARS = (Pillar(1.55, -1.75, 0.26, -1.0, (0.95, 0.95, 0.95), (0.15, 0.15, 0.20)),)

# West, east, south, north: a main colour and that of its painted panels.
WALLS: tuple[tuple[RGB, RGB], ...] = (
    ((0.30, 0.58, 0.28), (0.72, 0.86, 0.42)),
    ((0.88, 0.66, 0.20), (0.62, 0.30, 0.12)),
    ((0.28, 0.40, 0.72), (0.70, 0.82, 0.94)),
    ((0.72, 0.28, 0.24), (0.96, 0.72, 0.60)),
)


def stand_pose(x: float, z: float, yaw_rad: float, pitch_rad: float) -> NDArray[np.float64]:
    """Make a walker's c2w court pose: yaw about the vertical (positive right), then pitch (positive up)."""
    cy, sy, cp, sp = np.cos(yaw_rad), np.sin(yaw_rad), np.cos(pitch_rad), np.sin(pitch_rad)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[cy, sy * sp, sy * cp], [0.0, cp, -sp], [-sy, cy * sp, cy * cp]])
    pose[:3, 3] = x, 0.0, z
    return pose
