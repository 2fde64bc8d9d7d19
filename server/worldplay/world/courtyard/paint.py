"""Colours the points of the courtyard, in large patterns that distinguish places and directions."""

import numpy as np
from numpy.typing import NDArray

from worldplay.world.courtyard.light import RGB, Light, Sky
from worldplay.world.courtyard.rays import FIRST_BALL, FIRST_BOX, FIRST_PILLAR, FIRST_WALL, FLOOR, SKY
from worldplay.world.courtyard.scene import (
    BALLS,
    BOXES,
    FLOOR_Y,
    HALF_SIZE,
    PILLARS,
    TILE,
    WALL_TOP_Y,
    WALLS,
    Box,
)

Floats = NDArray[np.float32]

_SUN: Floats = (np.array([0.48, -0.62, 0.62]) / np.sqrt(0.48**2 + 2 * 0.62**2)).astype(np.float32)
_AMBIENT = 0.55
_HEAD_AZIMUTH = np.radians(50.0)  # of the sun's disc, so that one direction is brightest
_LANTERN_REACH = 1.0
_SNOW: RGB = (0.95, 0.96, 0.98)


def paint(origin: Floats, rays: Floats, surface: NDArray[np.uint8], distance: Floats, light: Light) -> Floats:
    """Colour the points that `trace` found.

    Args:
        origin, rays: as in `trace`; surface, distance: its result.
    Returns: [3, N] in [0, 1].
    """
    colours = np.empty_like(rays)
    for number in np.flatnonzero(np.bincount(surface)):
        chosen = np.flatnonzero(surface == number)
        seen = rays[:, chosen]
        if number == SKY:
            colours[:, chosen] = _paint_sky(seen, light.sky)
        else:
            points = origin[:, None] + seen * distance[chosen]
            colours[:, chosen] = _paint_surface(int(number), points, light)
    return colours


def _paint_surface(number: int, points: Floats, light: Light) -> Floats:
    if number == FLOOR:
        colour = _paint_floor(points, light.snow)
    elif number < FIRST_BOX:
        return _paint_wall(number - FIRST_WALL, points, light)
    elif number < FIRST_BALL:
        colour = _paint_box(BOXES[number - FIRST_BOX], points, light.snow)
    elif number < FIRST_PILLAR:
        if number == FIRST_BALL and light.lantern is not None:
            return np.broadcast_to(_column(light.lantern), points.shape)
        colour = _paint_ball(number - FIRST_BALL, points, light.snow)
    else:
        colour = _paint_pillar(number - FIRST_PILLAR, points, light.snow)
    return colour * _illuminate(points, light)


def _illuminate(points: Floats, light: Light) -> Floats:
    """Return the factor for each point's colour: the tint, and the lantern's light around it."""
    tint = _column(light.tint)
    if light.lantern is None:
        return tint
    away = points - _column(BALLS[0].centre)
    squared = (away * away).sum(axis=0) / np.float32(_LANTERN_REACH**2)
    return tint + _column(light.lantern) / (1 + squared * squared)


def _column(colour: RGB) -> Floats:
    return np.asarray(colour, np.float32)[:, None]


def _mix(first: RGB, second: RGB, share: Floats) -> Floats:
    return _column(first) + (_column(second) - _column(first)) * share


def _paint_sky(rays: Floats, look: Sky) -> Floats:
    level = np.sqrt(rays[0] * rays[0] + rays[2] * rays[2])
    sin, cos, rise = rays[0] / level, rays[2] / level, -rays[1] / level
    sky = _mix(look.low, look.high, np.clip(rise * 1.8 - 0.15, 0, 1))
    if look.disc_rise is not None:
        toward_sun = np.cos(_HEAD_AZIMUTH) * cos + np.sin(_HEAD_AZIMUTH) * sin
        disc = (toward_sun > 0) & ((1 - toward_sun) * 2 + (rise - look.disc_rise) ** 2 < 0.07**2)
        sky[:, disc] = _column(look.disc)
    sin2, cos3 = 2 * sin * cos, cos * (4 * cos * cos - 3)
    mountains = 0.27 + 0.07 * cos3 + 0.05 * sin2
    sky = np.where(rise < mountains, _mix(*look.mountains, 0.5 + 0.5 * sin), sky)
    hills = 0.17 + 0.05 * sin * (3 - 4 * sin * sin) + 0.03 * cos
    return np.where(rise < hills, _mix(*look.hills, 0.5 - 0.5 * cos), sky)


def _paint_floor(points: Floats, snow: bool) -> Floats:
    x, z = points[0], points[2]
    odd = (np.floor(x / TILE) + np.floor(z / TILE)) % 2
    east, north = 0.5 + x / (2 * HALF_SIZE), 0.5 + z / (2 * HALF_SIZE)
    tint = np.stack([0.40 + 0.45 * east, 0.50 + 0.20 * (1 - east) * north, 0.36 + 0.42 * north])
    floor = tint * (0.62 + 0.38 * odd)
    if snow:
        floor += (_column(_SNOW) - floor) * np.float32(0.7)
    return floor * _contact_shade(x, z)


def _contact_shade(x: Floats, z: Floats) -> Floats:
    """Return soft dark rings where objects meet the floor."""
    shade = np.ones_like(x)
    footprints = [(ball.centre[0], ball.centre[2], ball.radius) for ball in BALLS if ball.centre[1] > 0]
    footprints += [(pillar.x, pillar.z, pillar.radius * 1.5) for pillar in PILLARS]
    for centre_x, centre_z, radius in footprints:
        away = ((x - centre_x) ** 2 + (z - centre_z) ** 2) / np.float32(radius**2)
        shade *= 1 - 0.55 / (1 + away * away)
    return shade


def _paint_wall(wall: int, points: Floats, light: Light) -> Floats:
    """Paint three tall panels of growing width on each wall, so that every part of a wall is recognisable."""
    along = points[2] if wall < 2 else points[0]
    height = (FLOOR_Y - points[1]) / (FLOOR_Y - WALL_TOP_Y)
    main, panel = WALLS[wall]
    in_panel = (height > 0.25) & (height < 0.8)
    in_panel &= (np.abs(along + 2.1) < 0.25) | (np.abs(along + 0.3) < 0.5) | (np.abs(along - 1.95) < 0.75)
    colour = np.where(in_panel, _column(panel), _column(main))
    side = (0.85, 0.95, 1.0, 0.9)[wall] * (0.88 + 0.12 * along / HALF_SIZE)
    colour = colour * side * (0.7 + 0.3 * np.minimum(height * 2.5, 1))
    if light.snow:
        colour = np.where((height > 0.87) | (height < 0.1), _column(_SNOW), colour)
    colour = colour * _illuminate(points, light)
    if light.windows is None:
        return colour
    return np.where(in_panel, _column(light.windows) * side, colour)


def _whiten(colour: Floats, covered: NDArray[np.bool_], snow: bool) -> Floats:
    """Paint snow on covered points, if there is snow."""
    return np.where(covered, _column(_SNOW), colour) if snow else colour


def _lit(colour: Floats, towards_sun: NDArray[np.floating]) -> Floats:
    return colour * np.asarray(_AMBIENT + (1 - _AMBIENT) * np.maximum(towards_sun, 0), np.float32)


def _paint_box(box: Box, points: Floats, snow: bool) -> Floats:
    low, high = np.asarray(box.low, np.float32)[:, None], np.asarray(box.high, np.float32)[:, None]
    gaps = np.concatenate([points - low, high - points])  # west, top, south, east, bottom, north
    face = np.abs(gaps).argmin(axis=0)
    light = _AMBIENT + np.array([0.12, 0.45, 0.0, 0.28, -0.2, 0.36], np.float32)
    return _whiten(np.minimum(_column(box.colour) * light[face], 1), face == 1, snow)


def _paint_ball(index: int, points: Floats, snow: bool) -> Floats:
    ball = BALLS[index]
    normals = (points - _column(ball.centre)) / np.float32(ball.radius)
    return _whiten(_lit(_column(ball.colour), 1.1 * (_SUN @ normals) + 0.1), normals[1] < -0.45, snow)


def _paint_pillar(index: int, points: Floats, snow: bool) -> Floats:
    pillar = PILLARS[index]
    ring = np.floor((points[1] - pillar.top_y) / 0.3) % 2
    colour = np.where(ring > 0, _column(pillar.ring_colour), _column(pillar.colour))
    away = np.stack([points[0] - pillar.x, points[2] - pillar.z]) / pillar.radius
    lit = _lit(colour, (_SUN[[0, 2]] @ away).astype(np.float32))
    return _whiten(lit, points[1] < pillar.top_y + 0.12, snow)
