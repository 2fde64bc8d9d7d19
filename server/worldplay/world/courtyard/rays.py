"""Finds what each ray hits first in the courtyard: analytic intersections, vectorised over rays."""

import numpy as np
from numpy.typing import NDArray

from worldplay.world.courtyard.scene import (
    BALLS,
    BOXES,
    FLOOR_Y,
    HALF_SIZE,
    PILLARS,
    WALL_TOP_Y,
    Ball,
    Box,
    Pillar,
)

Floats = NDArray[np.float32]

SKY = 0
FLOOR = 1
FIRST_WALL = 2
FIRST_BOX = FIRST_WALL + 4
FIRST_BALL = FIRST_BOX + len(BOXES)
FIRST_PILLAR = FIRST_BALL + len(BALLS)

_FAR = np.float32(1e6)
_NEAR = np.float32(1e-3)


def trace(origin: Floats, rays: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Find the nearest surface along each ray.

    Args:
        origin: [3] the eye, inside the walls.
        rays: [3, N] directions, of any length, no component exactly 0.
    Returns: surface number and distance in ray lengths, each [N].
    """
    inverse = 1.0 / rays
    surface, distance = _trace_shell(origin, rays, inverse)
    for number, box in enumerate(BOXES, FIRST_BOX):
        _keep_nearer(surface, distance, number, _hit_box(origin, inverse, box))
    for number, ball in enumerate(BALLS, FIRST_BALL):
        _keep_nearer(surface, distance, number, _hit_ball(origin, rays, ball))
    for number, pillar in enumerate(PILLARS, FIRST_PILLAR):
        _keep_nearer(surface, distance, number, _hit_pillar(origin, rays, pillar))
    return surface, distance


def _keep_nearer(surface: NDArray[np.uint8], distance: Floats, number: int, hit: Floats) -> None:
    nearer = hit < distance
    np.copyto(distance, hit, where=nearer)
    np.copyto(surface, np.uint8(number), where=nearer)


def _trace_shell(origin: Floats, rays: Floats, inverse: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Trace walls, floor and sky. The eye is inside, so each ray meets exactly one wall plane per axis."""
    east, north = rays[0] > 0, rays[2] > 0
    to_x = (np.where(east, HALF_SIZE, -HALF_SIZE).astype(np.float32) - origin[0]) * inverse[0]
    to_z = (np.where(north, HALF_SIZE, -HALF_SIZE).astype(np.float32) - origin[2]) * inverse[2]
    distance = np.minimum(to_x, to_z)
    surface = np.where(to_x < to_z, FIRST_WALL + east, FIRST_WALL + 2 + north).astype(np.uint8)
    surface[origin[1] + distance * rays[1] < WALL_TOP_Y] = SKY
    np.copyto(distance, _FAR, where=surface == SKY)
    to_floor = (np.float32(FLOOR_Y) - origin[1]) * inverse[1]
    _keep_nearer(surface, distance, FLOOR, np.where(to_floor > 0, to_floor, _FAR))
    return surface, distance


def _hit_box(origin: Floats, inverse: Floats, box: Box) -> Floats:
    low = (np.asarray(box.low, np.float32) - origin)[:, None] * inverse
    high = (np.asarray(box.high, np.float32) - origin)[:, None] * inverse
    enter = np.minimum(low, high).max(axis=0)
    leave = np.maximum(low, high).min(axis=0)
    return np.where((enter < leave) & (enter > _NEAR), enter, _FAR)


def _hit_ball(origin: Floats, rays: Floats, ball: Ball) -> Floats:
    offset = origin - np.asarray(ball.centre, np.float32)
    squared = rays[0] * rays[0] + rays[1] * rays[1] + rays[2] * rays[2]
    along = offset[0] * rays[0] + offset[1] * rays[1] + offset[2] * rays[2]
    return _nearer_root(squared, along, float(offset @ offset) - ball.radius**2)


def _hit_pillar(origin: Floats, rays: Floats, pillar: Pillar) -> Floats:
    """Trace only the pillar's side: no eye is above its top."""
    x, z = origin[0] - np.float32(pillar.x), origin[2] - np.float32(pillar.z)
    squared = rays[0] * rays[0] + rays[2] * rays[2]
    hit = _nearer_root(squared, x * rays[0] + z * rays[2], float(x * x + z * z) - pillar.radius**2)
    return np.where(origin[1] + hit * rays[1] > pillar.top_y, hit, _FAR)


def _nearer_root(a: Floats, half_b: Floats, c: float) -> Floats:
    """Return the smaller root of a t² + 2 half_b t + c if it is real and ahead, otherwise _FAR."""
    discriminant = half_b * half_b - a * np.float32(c)
    root = (-half_b - np.sqrt(np.maximum(discriminant, 0))) / a
    return np.where((discriminant > 0) & (root > _NEAR), root, _FAR)
