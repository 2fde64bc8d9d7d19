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
    band: RGB | None = None  # colour of a band below its top


@dataclass(frozen=True, slots=True)
class Ball:
    """A ball. It stops a walker unless it is above eye height."""

    centre: tuple[float, float, float]
    radius: float
    colour: RGB


@dataclass(frozen=True, slots=True)
class Pillar:
    """An upright cylinder with a flat top and horizontal rings."""

    x: float
    z: float
    radius: float
    top_y: float
    colour: RGB
    ring_colour: RGB
    top_colour: RGB
    ring: float = 0.3  # height


def _block(x: float, z: float, half: float, top_y: float, colour: RGB, band: RGB | None = None) -> Box:
    return Box((x - half, top_y, z - half), (x + half, FLOOR_Y, z + half), colour, band)


_RED, _CREAM, _GOLD = (0.80, 0.22, 0.18), (0.94, 0.90, 0.80), (0.96, 0.74, 0.20)

BOXES = (
    _block(-1.05, 0.0, 0.13, -0.72, _RED),  # the gate: two posts, a beam, and a roof to walk under
    _block(1.05, 0.0, 0.13, -0.72, _RED),
    Box((-1.18, -0.72, -0.10), (1.18, -0.56, 0.10), _CREAM),
    Box((-1.40, -0.92, -0.20), (1.40, -0.72, 0.20), _RED),
    _block(2.1, 2.1, 0.42, -0.95, (0.20, 0.36, 0.80), _CREAM),  # the tower
    _block(-1.2, -2.4, 0.24, 0.06, _GOLD),  # the pedestal
)
BALLS = (
    Ball((2.25, -1.12, 0.0), 0.22, _GOLD),  # the lighthouse's lamp
    Ball((2.1, -1.15, 2.1), 0.40, _GOLD),  # the tower's dome
    Ball((-2.1, -0.62, 2.1), 0.58, (0.24, 0.55, 0.22)),  # the tree's crown
    Ball((-1.2, -0.14, -2.4), 0.20, (0.16, 0.62, 0.62)),  # on the pedestal
    Ball((1.2, 0.22, -2.4), 0.28, (0.66, 0.26, 0.70)),  # the purple ball
    Ball((-2.2, -0.26, 0.0), 0.14, _CREAM),  # on the fountain
)
PILLARS = (
    Pillar(2.25, 0.0, 0.28, -0.95, _CREAM, (0.84, 0.26, 0.20), _CREAM, 0.29),  # the lighthouse
    Pillar(-2.1, 2.1, 0.12, -0.4, (0.45, 0.30, 0.18), (0.40, 0.26, 0.16), (0.45, 0.30, 0.18)),  # the trunk
    Pillar(-2.2, 0.0, 0.50, 0.22, (0.78, 0.76, 0.72), (0.78, 0.76, 0.72), (0.30, 0.62, 0.86)),  # the basin
    Pillar(-2.2, 0.0, 0.08, -0.16, (0.78, 0.76, 0.72), (0.70, 0.68, 0.64), (0.78, 0.76, 0.72)),
)


@dataclass(frozen=True, slots=True)
class Wall:
    """Colours of one wall: of its masonry, its painted panels, and the emblem in its middle."""

    main: RGB
    panel: RGB
    emblem: RGB


# West, east, south, north.
WALLS = (
    Wall((0.42, 0.60, 0.36), (0.74, 0.84, 0.50), (0.97, 0.94, 0.78)),
    Wall((0.88, 0.68, 0.32), (0.70, 0.40, 0.20), (0.99, 0.93, 0.70)),
    Wall((0.40, 0.50, 0.74), (0.70, 0.80, 0.92), (0.98, 0.96, 0.90)),
    Wall((0.76, 0.42, 0.36), (0.93, 0.74, 0.62), (0.99, 0.84, 0.34)),
)


def stand_pose(x: float, z: float, yaw_rad: float, pitch_rad: float) -> NDArray[np.float64]:
    """Make a walker's c2w court pose: yaw about the vertical (positive right), then pitch (positive up)."""
    cy, sy, cp, sp = np.cos(yaw_rad), np.sin(yaw_rad), np.cos(pitch_rad), np.sin(pitch_rad)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[cy, sy * sp, sy * cp], [0.0, cp, -sp], [-sy, cy * sp, cy * cp]])
    pose[:3, 3] = x, 0.0, z
    return pose
