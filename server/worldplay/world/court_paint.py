"""Which colour a point of the courtyard has: large patterns that tell places and directions apart."""

import numpy as np
from numpy.typing import NDArray

from worldplay.world.court_rays import FIRST_BALL, FIRST_BOX, FIRST_PILLAR, FIRST_WALL, FLOOR, SKY
from worldplay.world.court_scene import (
    BALLS,
    BOXES,
    FLOOR_Y,
    HALF_SIZE,
    PILLARS,
    RGB,
    TILE,
    WALL_TOP_Y,
    WALLS,
    Box,
)

Floats = NDArray[np.float32]

_SUN: Floats = (np.array([0.48, -0.62, 0.62]) / np.sqrt(0.48**2 + 2 * 0.62**2)).astype(np.float32)
_AMBIENT = 0.55
_HEAD_AZIMUTH = np.radians(50.0)  # of the sun's disc, so that one direction is brightest


def paint(origin: Floats, rays: Floats, surface: NDArray[np.uint8], distance: Floats) -> Floats:
    """Colour what `trace` found. Returns [3, N] in [0, 1]."""
    colours = np.empty_like(rays)
    for number in np.flatnonzero(np.bincount(surface)):
        chosen = np.flatnonzero(surface == number)
        seen = rays[:, chosen]
        points = origin[:, None] + seen * distance[chosen]
        colours[:, chosen] = _paint_surface(int(number), seen, points)
    return colours


def _paint_surface(number: int, rays: Floats, points: Floats) -> Floats:
    if number == SKY:
        return _paint_sky(rays)
    if number == FLOOR:
        return _paint_floor(points)
    if number < FIRST_BOX:
        return _paint_wall(number - FIRST_WALL, points)
    if number < FIRST_BALL:
        return _paint_box(BOXES[number - FIRST_BOX], points)
    if number < FIRST_PILLAR:
        return _paint_ball(number - FIRST_BALL, points)
    return _paint_pillar(number - FIRST_PILLAR, points)


def _column(colour: RGB) -> Floats:
    return np.asarray(colour, np.float32)[:, None]


def _mix(first: RGB, second: RGB, share: Floats) -> Floats:
    return _column(first) + (_column(second) - _column(first)) * share


def _paint_sky(rays: Floats) -> Floats:
    level = np.sqrt(rays[0] * rays[0] + rays[2] * rays[2])
    sin, cos, rise = rays[0] / level, rays[2] / level, -rays[1] / level
    sky = _mix((0.80, 0.90, 0.98), (0.25, 0.50, 0.92), np.clip(rise * 1.8 - 0.15, 0, 1))
    toward_sun = np.cos(_HEAD_AZIMUTH) * cos + np.sin(_HEAD_AZIMUTH) * sin
    disc = (toward_sun > 0) & ((1 - toward_sun) * 2 + (rise - 0.42) ** 2 < 0.07**2)
    sky[:, disc] = _column((1.0, 0.97, 0.75))
    sin2, cos3 = 2 * sin * cos, cos * (4 * cos * cos - 3)
    mountains = 0.27 + 0.07 * cos3 + 0.05 * sin2
    sky = np.where(rise < mountains, _mix((0.45, 0.40, 0.62), (0.62, 0.50, 0.50), 0.5 + 0.5 * sin), sky)
    hills = 0.17 + 0.05 * sin * (3 - 4 * sin * sin) + 0.03 * cos
    return np.where(rise < hills, _mix((0.24, 0.46, 0.24), (0.60, 0.60, 0.26), 0.5 - 0.5 * cos), sky)


def _paint_floor(points: Floats) -> Floats:
    x, z = points[0], points[2]
    odd = (np.floor(x / TILE) + np.floor(z / TILE)) % 2
    east, north = 0.5 + x / (2 * HALF_SIZE), 0.5 + z / (2 * HALF_SIZE)
    tint = np.stack([0.40 + 0.45 * east, 0.50 + 0.20 * (1 - east) * north, 0.36 + 0.42 * north])
    return tint * (0.62 + 0.38 * odd) * _contact_shade(x, z)


def _contact_shade(x: Floats, z: Floats) -> Floats:
    """Soft dark rings where things meet the floor."""
    shade = np.ones_like(x)
    footprints = [(ball.centre[0], ball.centre[2], ball.radius) for ball in BALLS if ball.centre[1] > 0]
    footprints += [(pillar.x, pillar.z, pillar.radius * 1.5) for pillar in PILLARS]
    for centre_x, centre_z, radius in footprints:
        away = ((x - centre_x) ** 2 + (z - centre_z) ** 2) / np.float32(radius**2)
        shade *= 1 - 0.55 / (1 + away * away)
    return shade


def _paint_wall(wall: int, points: Floats) -> Floats:
    """Each wall has three tall panels of growing width, so that a piece of wall tells where it is."""
    along = points[2] if wall < 2 else points[0]
    height = (FLOOR_Y - points[1]) / (FLOOR_Y - WALL_TOP_Y)
    main, panel = WALLS[wall]
    in_panel = (height > 0.25) & (height < 0.8)
    in_panel &= (np.abs(along + 2.1) < 0.25) | (np.abs(along + 0.3) < 0.5) | (np.abs(along - 1.95) < 0.75)
    colour = np.where(in_panel, _column(panel), _column(main))
    light = (0.85, 0.95, 1.0, 0.9)[wall] * (0.88 + 0.12 * along / HALF_SIZE)
    return colour * light * (0.7 + 0.3 * np.minimum(height * 2.5, 1))


def _lit(colour: Floats, towards_sun: NDArray[np.floating]) -> Floats:
    return colour * np.asarray(_AMBIENT + (1 - _AMBIENT) * np.maximum(towards_sun, 0), np.float32)


def _paint_box(box: Box, points: Floats) -> Floats:
    low, high = np.asarray(box.low, np.float32)[:, None], np.asarray(box.high, np.float32)[:, None]
    gaps = np.concatenate([points - low, high - points])  # west, top, south, east, bottom, north
    face = np.abs(gaps).argmin(axis=0)
    light = _AMBIENT + np.array([0.12, 0.45, 0.0, 0.28, -0.2, 0.36], np.float32)
    return np.minimum(_column(box.colour) * light[face], 1)


def _paint_ball(index: int, points: Floats) -> Floats:
    ball = BALLS[index]
    normals = (points - _column(ball.centre)) / np.float32(ball.radius)
    return _lit(_column(ball.colour), 1.1 * (_SUN @ normals) + 0.1)


def _paint_pillar(index: int, points: Floats) -> Floats:
    pillar = PILLARS[index]
    ring = np.floor((points[1] - pillar.top_y) / 0.3) % 2
    colour = np.where(ring > 0, _column(pillar.ring_colour), _column(pillar.colour))
    away = np.stack([points[0] - pillar.x, points[2] - pillar.z]) / pillar.radius
    return _lit(colour, (_SUN[[0, 2]] @ away).astype(np.float32))
