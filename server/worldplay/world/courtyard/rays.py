"""Finds where rays meet the courtyard's objects: analytic intersections, vectorised over rays."""

from typing import NamedTuple

import torch
from torch import Tensor

from worldplay.world.courtyard.scene import FLOOR_Y, HALF_SIZE, Ball, Box, Pillar

FAR = 1e6
_NEAR = 1e-3


class Vec(NamedTuple):
    """Points or directions: three tensors that broadcast."""

    x: Tensor
    y: Tensor
    z: Tensor

    def along(self, ray: "Vec", distance: Tensor) -> "Vec":
        """Return the points at a distance along rays that begin here."""
        return Vec(self.x + ray.x * distance, self.y + ray.y * distance, self.z + ray.z * distance)


def to_walls(origin: Vec, ray: Vec) -> tuple[Tensor, Tensor]:
    """Return the distances to the wall planes that rays from inside meet: east or west, north or south."""
    to_x = (torch.where(ray.x > 0, HALF_SIZE, -HALF_SIZE) - origin.x) / ray.x
    to_z = (torch.where(ray.z > 0, HALF_SIZE, -HALF_SIZE) - origin.z) / ray.z
    return to_x, to_z


def to_floor(origin: Vec, ray: Vec) -> Tensor:
    distance = (FLOOR_Y - origin.y) / ray.y
    return torch.where(distance > 0, distance, FAR)


def to_box(origin: Vec, ray: Vec, box: Box) -> Tensor:
    enters, leaves = [], []
    for start, step, low, high in zip(origin, ray, box.low, box.high, strict=True):
        first, second = (low - start) / step, (high - start) / step
        enters.append(torch.minimum(first, second))
        leaves.append(torch.maximum(first, second))
    enter = torch.maximum(torch.maximum(enters[0], enters[1]), enters[2])
    leave = torch.minimum(torch.minimum(leaves[0], leaves[1]), leaves[2])
    return torch.where((enter < leave) & (enter > _NEAR), enter, FAR)


def to_ball(origin: Vec, ray: Vec, ball: Ball) -> Tensor:
    x, y, z = (start - centre for start, centre in zip(origin, ball.centre, strict=True))
    squared = ray.x * ray.x + ray.y * ray.y + ray.z * ray.z
    along = x * ray.x + y * ray.y + z * ray.z
    return _nearer_root(squared, along, x * x + y * y + z * z - ball.radius**2)


def to_pillar(origin: Vec, ray: Vec, pillar: Pillar) -> Tensor:
    """Return the distance to a pillar's side or, from above, its top."""
    x, z = origin.x - pillar.x, origin.z - pillar.z
    squared = ray.x * ray.x + ray.z * ray.z
    side = _nearer_root(squared, x * ray.x + z * ray.z, x * x + z * z - pillar.radius**2)
    side = torch.where(origin.y + side * ray.y > pillar.top_y, side, FAR)
    top = (pillar.top_y - origin.y) / ray.y
    away = (x + top * ray.x) ** 2 + (z + top * ray.z) ** 2
    return torch.where((top > _NEAR) & (away < pillar.radius**2), torch.minimum(top, side), side)


def _nearer_root(a: Tensor, half_b: Tensor, c: Tensor) -> Tensor:
    """Return the smaller root of a t² + 2 half_b t + c if it is real and ahead, otherwise FAR."""
    discriminant = half_b * half_b - a * c
    root = (-half_b - discriminant.clamp(min=0).sqrt()) / a
    return torch.where((discriminant > 0) & (root > _NEAR), root, FAR)
