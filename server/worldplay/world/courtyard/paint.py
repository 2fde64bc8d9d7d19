"""Colours the points of the courtyard, in large patterns that distinguish places and directions."""

from collections.abc import Callable
from math import atan2, cos, hypot, sin
from operator import mul

import torch
from torch import Tensor

from worldplay.world.courtyard.light import RGB, Light, Sky
from worldplay.world.courtyard.rays import FAR, Vec, to_ball, to_box, to_floor, to_pillar, to_walls
from worldplay.world.courtyard.scene import (
    BALLS,
    BOXES,
    FLOOR_Y,
    HALF_SIZE,
    PILLARS,
    TILE,
    WALL_TOP_Y,
    WALLS,
    Ball,
    Box,
    Pillar,
    Wall,
)

_SUN = (0.62, -0.58, 0.53)  # direction from the court; unit length
_SUN_AZIMUTH, _SUN_RISE = atan2(0.62, 0.53), 0.58 / hypot(0.62, 0.53)  # the rise is a tangent
_SUN_RADIUS = 0.075  # of its disc in the sky, as a tangent
_AMBIENT = 0.58
_LANTERN_REACH = 1.2
_SNOW: RGB = (0.95, 0.96, 0.98)
_PANELS = ((-1.75, 0.55), (1.95, 0.70))  # middle and half width on each wall
_EMBLEM_HEIGHT, _EMBLEM_RADIUS = 0.55, 0.38  # in wall heights; in units
_CLOUDS = ((0.9, 0.46, 0.34), (2.9, 0.58, 0.42), (4.6, 0.44, 0.30))  # azimuth, rise, half width

_FOOTPRINTS = [  # centre, radius and top of what stands on the floor, and of the tree's crown
    (
        0.5 * (box.low[0] + box.high[0]),
        0.5 * (box.low[2] + box.high[2]),
        0.5 * (box.high[0] - box.low[0]),
        box.low[1],
    )
    for box in BOXES
    if box.high[1] == FLOOR_Y
]
_FOOTPRINTS += [
    (ball.centre[0], ball.centre[2], ball.radius, ball.centre[1]) for ball in BALLS if ball.centre[1] > 0
]
_FOOTPRINTS += [(pillar.x, pillar.z, pillar.radius, pillar.top_y) for pillar in PILLARS]

Colour = tuple[Tensor, Tensor, Tensor]  # red, green, blue


def look(origin: Vec, ray: Vec, light: Light) -> Colour:
    """Return the colour in 0..1, not clipped, that each ray from inside the walls meets.

    Args:
        origin, ray: broadcast to each other; no component of a ray is 0.
    """
    distance, colour = _look_at_walls(origin, ray, light)
    floor = to_floor(origin, ray)
    colour = _where(floor < distance, _paint_floor(origin.along(ray, floor), light), colour)
    distance = torch.minimum(floor, distance)
    for box in BOXES:
        hit = to_box(origin, ray, box)
        colour = _where(hit < distance, _paint_box(box, origin.along(ray, hit), light), colour)
        distance = torch.minimum(hit, distance)
    for pillar in PILLARS:
        hit = to_pillar(origin, ray, pillar)
        colour = _where(hit < distance, _paint_pillar(pillar, origin.along(ray, hit), light), colour)
        distance = torch.minimum(hit, distance)
    for ball in BALLS:
        hit = to_ball(origin, ray, ball)
        colour = _where(hit < distance, _paint_ball(ball, origin.along(ray, hit), light), colour)
        distance = torch.minimum(hit, distance)
    return colour


def _each(function: Callable[..., Tensor], *colours: Colour | RGB) -> Colour:
    """Apply a function to the three components of colours. Whole tensors of [3, ...] would not be fused."""
    red, green, blue = map(function, *colours)
    return red, green, blue


def _where(chosen: Tensor, colour: Colour | RGB, other: Colour) -> Colour:
    return _each(lambda a, b: torch.where(chosen, a, b), colour, other)


def _mix(first: Colour | RGB, second: Colour | RGB, share: Tensor | float) -> Colour:
    return _each(lambda a, b: a + (b - a) * share, first, second)


def _scale(colour: Colour | RGB, factor: Tensor | float) -> Colour:
    return _each(lambda c: c * factor, colour)


def _illuminate(colour: Colour, points: Vec, light: Light) -> Colour:
    """Tint the colours, and add the lantern's light around it."""
    if light.lantern is None:
        return _each(mul, colour, light.tint)
    away = sum((p - c) ** 2 for p, c in zip((points.x, points.z), BALLS[0].centre[::2], strict=True))
    glow = 1 / (1 + (away / _LANTERN_REACH**2) ** 2)
    return _each(lambda c, tint, lamp: c * (tint + 0.7 * lamp * glow), colour, light.tint, light.lantern)


def _look_at_walls(origin: Vec, ray: Vec, light: Light) -> tuple[Tensor, Colour]:
    to_x, to_z = to_walls(origin, ray)
    distance = torch.minimum(to_x, to_z)
    points = origin.along(ray, distance)
    across = to_x < to_z
    west_east = _where(
        ray.x > 0, _paint_wall(1, points.z, points, light), _paint_wall(0, points.z, points, light)
    )
    south_north = _where(
        ray.z > 0, _paint_wall(3, points.x, points, light), _paint_wall(2, points.x, points, light)
    )
    over = points.y < WALL_TOP_Y
    colour = _where(over, _paint_sky(ray, light.sky), _where(across, west_east, south_north))
    return torch.where(over, FAR, distance), colour


def _paint_sky(ray: Vec, sky: Sky) -> Colour:
    level = (ray.x * ray.x + ray.z * ray.z).sqrt()
    sin_a, cos_a, rise = ray.x / level, ray.z / level, -ray.y / level
    colour = _mix(sky.low, sky.high, (rise * 1.8 - 0.15).clamp(0, 1))
    if sky.clouds is not None:
        colour = _mix(colour, sky.clouds, _cover_by_clouds(sin_a, cos_a, rise))
    if sky.disc_rise is not None:
        # A circle on the sphere: by the angle between the ray and the disc's middle.
        length = (1 + sky.disc_rise**2) ** 0.5
        toward = sin_a * sin(_SUN_AZIMUTH) + cos_a * cos(_SUN_AZIMUTH) + rise * sky.disc_rise
        disc = toward / (length * (1 + rise * rise).sqrt()) > cos(_SUN_RADIUS)
        colour = _where(disc, sky.disc, colour)
    mountains = 0.27 + 0.07 * cos_a * (4 * cos_a * cos_a - 3) + 0.05 * 2 * sin_a * cos_a
    colour = _where(rise < mountains, _mix(*sky.mountains, 0.5 + 0.5 * sin_a), colour)
    hills = 0.17 + 0.05 * sin_a * (3 - 4 * sin_a * sin_a) + 0.03 * cos_a
    return _where(rise < hills, _mix(*sky.hills, 0.5 - 0.5 * cos_a), colour)


def _cover_by_clouds(sin_a: Tensor, cos_a: Tensor, rise: Tensor) -> Tensor:
    cover = torch.zeros_like(rise)
    for azimuth, height, half in _CLOUDS:
        aside = sin_a * cos(azimuth) - cos_a * sin(azimuth)
        ahead = sin_a * sin(azimuth) + cos_a * cos(azimuth)
        away = (aside / half) ** 2 + ((rise - height) / (0.28 * half)) ** 2
        cover = torch.maximum(cover, torch.where(ahead > 0, (1.6 - 1.6 * away).clamp(0, 0.85), 0.0))
    return cover


def _paint_floor(points: Vec, light: Light) -> Colour:
    x, z = points.x, points.z
    odd = (torch.floor(x / TILE) + torch.floor(z / TILE)) % 2
    east, north = 0.5 + x / (2 * HALF_SIZE), 0.5 + z / (2 * HALF_SIZE)
    tone = 0.80 + 0.20 * odd
    tint = 0.52 + 0.34 * east, 0.56 + 0.16 * (1 - east) * north, 0.46 + 0.30 * north
    floor = _scale(tint, tone)
    path = (x.abs() < 0.4) & (z.abs() < 2.4)  # from start to end of the way through the gate
    floor = _where(path, _scale((0.90, 0.84, 0.72), 0.88 + 0.12 * odd), floor)
    if light.snow:
        floor = _mix(floor, _SNOW, 0.7)
    if light.shadow:
        floor = _scale(floor, _cast_shade(x, z, light.shadow))
    return _illuminate(_scale(floor, _contact_shade(x, z)), points, light)


def _cast_shade(x: Tensor, z: Tensor, dark: float) -> Tensor:
    """Return long soft shadows, away from the sun. Edges as hard as a ray tracer's would not be learned."""
    shade = torch.ones_like(x)
    for centre_x, centre_z, radius, top_y in _FOOTPRINTS:
        half = 0.5 * (FLOOR_Y - top_y) / _SUN_RISE
        east, north = x - centre_x, z - centre_z
        along = -(east * sin(_SUN_AZIMUTH) + north * cos(_SUN_AZIMUTH)) - half
        across = east * cos(_SUN_AZIMUTH) - north * sin(_SUN_AZIMUTH)
        away = (along / (half + radius)) ** 2 + (across / radius) ** 2
        shade = torch.minimum(shade, 1 - dark / (1 + away * away))
    return shade


def _contact_shade(x: Tensor, z: Tensor) -> Tensor:
    """Return soft dark rings where objects meet the floor."""
    shade = torch.ones_like(x)
    for centre_x, centre_z, radius, _ in _FOOTPRINTS:
        away = ((x - centre_x) ** 2 + (z - centre_z) ** 2) / (1.3 * radius) ** 2
        shade = shade * (1 - 0.4 / (1 + away * away))
    return shade


def _paint_wall(number: int, along: Tensor, points: Vec, light: Light) -> Colour:
    """Paint two large panels and an emblem; the wall is darker towards the floor."""
    wall: Wall = WALLS[number]
    height = (FLOOR_Y - points.y) / (FLOOR_Y - WALL_TOP_Y)
    colour = _scale(wall.main, torch.ones_like(height))
    in_panel = torch.zeros_like(height, dtype=torch.bool)
    for middle, half in _PANELS:
        in_panel = in_panel | ((along - middle).abs() < half)
    in_panel = in_panel & (height > 0.2) & (height < 0.8)
    colour = _where(in_panel, wall.panel, colour)
    emblem = _is_emblem(number, along, height)
    colour = _where(emblem, wall.emblem, colour)
    side = (0.88, 0.94, 1.0, 0.92)[number] * (0.9 + 0.1 * along / HALF_SIZE)
    colour = _scale(colour, side * (0.74 + 0.26 * (height * 2.5).clamp(max=1)))
    if light.snow:
        colour = _where(height > 0.84, _SNOW, colour)
    colour = _illuminate(colour, points, light)
    if light.windows is None:
        return colour
    return _where(in_panel & ~emblem, _scale(light.windows, side), colour)


def _is_emblem(number: int, along: Tensor, height: Tensor) -> Tensor:
    """Return where each wall's sign is: a triangle, a diamond, a ring or a disc."""
    up = (height - _EMBLEM_HEIGHT) * (FLOOR_Y - WALL_TOP_Y)
    if number == 0:
        return (up > -0.75 * _EMBLEM_RADIUS) & (along.abs() * 1.6 + up < 0.9 * _EMBLEM_RADIUS)
    if number == 1:
        return along.abs() + up.abs() < _EMBLEM_RADIUS * 1.1
    squared = along * along + up * up
    disc = squared < _EMBLEM_RADIUS**2
    return disc & (squared > (0.55 * _EMBLEM_RADIUS) ** 2) if number == 2 else disc


def _whiten(colour: Colour, covered: Tensor, light: Light) -> Colour:
    """Paint snow on covered points, if there is snow."""
    return _where(covered, _SNOW, colour) if light.snow else colour


def _lit(towards_sun: Tensor) -> Tensor:
    return _AMBIENT + (1 - _AMBIENT) * towards_sun.clamp(min=0)


def _paint_box(box: Box, points: Vec, light: Light) -> Colour:
    """Light each face by its direction: west, top, south, east, bottom, north."""
    nearest, shade = torch.full_like(points.x, FAR), torch.full_like(points.x, 0.0)
    for values, low, high, lows, highs in zip(
        points, box.low, box.high, (0.12, 0.42, 0.0), (0.30, -0.18, 0.22), strict=True
    ):
        for gap, brighter in (((values - low).abs(), lows), ((high - values).abs(), highs)):
            shade = torch.where(gap < nearest, _AMBIENT + brighter, shade)
            nearest = torch.minimum(gap, nearest)
    colour = _scale(box.colour, shade)
    if box.band is not None:
        in_band = (points.y > box.low[1] + 0.22) & (points.y < box.low[1] + 0.42)
        colour = _where(in_band, _scale(box.band, shade), colour)
    top = (points.y - box.low[1]).abs() <= nearest
    return _illuminate(_whiten(colour, top, light), points, light)


def _paint_ball(ball: Ball, points: Vec, light: Light) -> Colour:
    if ball is BALLS[0] and light.lantern is not None:
        return _scale(light.lantern, torch.ones_like(points.x))
    normal = [(p - c) / ball.radius for p, c in zip(points, ball.centre, strict=True)]
    towards = _SUN[0] * normal[0] + _SUN[1] * normal[1] + _SUN[2] * normal[2]
    colour = _scale(ball.colour, _lit(1.1 * towards + 0.1))
    return _illuminate(_whiten(colour, normal[1] < -0.45, light), points, light)


def _paint_pillar(pillar: Pillar, points: Vec, light: Light) -> Colour:
    ring = torch.floor((points.y - pillar.top_y) / pillar.ring) % 2
    colour = _where(ring > 0, pillar.ring_colour, _scale(pillar.colour, torch.ones_like(ring)))
    towards = (_SUN[0] * (points.x - pillar.x) + _SUN[2] * (points.z - pillar.z)) / pillar.radius
    top = points.y < pillar.top_y + 1e-3
    colour = _where(top, pillar.top_colour, _scale(colour, _lit(towards)))
    return _illuminate(_whiten(colour, points.y < pillar.top_y + 0.1, light), points, light)
