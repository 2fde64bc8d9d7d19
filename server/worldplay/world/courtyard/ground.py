"""Collision: where a walker may stand in the courtyard, and where a motion leads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldplay.world.camera import Motion, Pose, invert_pose
from worldplay.world.courtyard.scene import BALLS, BOXES, HALF_SIZE, PILLARS, stand_pose

MARGIN = 0.5
_TIE = 1e-9  # smaller differences count as equal, so that rounding decides nothing
MAX_PITCH_RAD = float(np.radians(30.0))

Place = NDArray[np.float64]  # x, z
Step = NDArray[np.float64]  # x, z


def heading(c2w: Pose) -> tuple[float, float, float, float]:
    """Return the place and view direction of a pose without roll: x, z, yaw, pitch (radians)."""
    ahead = c2w[:3, 2]
    yaw = float(np.arctan2(ahead[0], ahead[2]))
    pitch = float(np.arctan2(-ahead[1], np.hypot(ahead[0], ahead[2])))
    return float(c2w[0, 3]), float(c2w[2, 3]), yaw, pitch


class Ground:
    """The rule for walking, the same in training data and in the server.

    Steps are horizontal whatever the pitch, and turns are about the vertical. So a walk keeps its height and
    never rolls.
    """

    def move(self, c2w: Pose, motion: Motion) -> tuple[Pose, bool]:
        """Apply one motion in the court frame: turn, then step, or slide along what is in the way.

        Returns: the new camera-to-court pose, and whether a step was refused.
        """
        _, _, yaw, pitch = heading(c2w)
        yaw += motion.yaw + motion.third_yaw
        ahead, aside = np.array([np.sin(yaw), np.cos(yaw)]), np.array([np.cos(yaw), -np.sin(yaw)])
        step = motion.forward * ahead + motion.right * aside
        return self._step(c2w, step, yaw, pitch + motion.pitch)

    def reach(self, c2w: Pose, wanted: Pose) -> tuple[Pose, bool]:
        """Move towards a given pose, whose roll and height are ignored. Returns: as `move`."""
        x, z, _, _ = heading(c2w)
        to_x, to_z, yaw, pitch = heading(wanted)
        return self._step(c2w, np.array([to_x - x, to_z - z]), yaw, pitch)

    def _step(self, c2w: Pose, step: Step, yaw: float, pitch: float) -> tuple[Pose, bool]:
        x, z, _, _ = heading(c2w)
        pitch = float(np.clip(pitch, -MAX_PITCH_RAD, MAX_PITCH_RAD))
        # Short pieces cannot jump over an object. Their number is bounded: a long step leaves the court.
        pieces = int(np.ceil(min(np.hypot(*step), 1e9) / (MARGIN / 2)))
        for _ in range(pieces):
            reached = self._advance(x, z, step / pieces)
            if reached is None:
                return stand_pose(x, z, yaw, pitch), True
            x, z = reached
        return stand_pose(x, z, yaw, pitch), False

    def _advance(self, x: float, z: float, step: Step) -> tuple[float, float] | None:
        """Take a short step, or only its part along an obstacle.

        Returns: the place; None if it is not free, or if the part is less than cos 45° of the step.
        """
        here, along = np.array([x, z]), step
        for normal in _normals(here, here + step):
            along = along - (along @ normal) * normal
        to = here + along
        if np.hypot(*along) < np.hypot(*step) * np.sqrt(0.5) - _TIE or not self.is_free(*to):
            return None
        return float(to[0]), float(to[1])

    def is_free(self, x: float, z: float) -> bool:
        """Return whether a walker may stand here: with a margin to walls and to everything at eye height."""
        if max(abs(x), abs(z)) > HALF_SIZE - MARGIN:
            return False
        return not _SOLIDS.stop(np.array([x, z])).any()


class WalkGround:
    """The same rule in the frame of a walk's first camera."""

    def __init__(self, start: Pose) -> None:
        """`start` is the walk's first camera in the court, level."""
        self._start = start
        self._ground = Ground()

    def move(self, pose: Pose, motion: Motion) -> tuple[Pose, bool]:
        """Move as `Ground.move` does."""
        taken, bumped = self._ground.move(self._start @ pose, motion)
        return invert_pose(self._start) @ taken, bumped

    def reach(self, pose: Pose, wanted: Pose) -> tuple[Pose, bool]:
        """Move towards a pose as `Ground.reach` does. A pose that one motion can reach is reached exactly."""
        taken, bumped = self._ground.reach(self._start @ pose, self._start @ wanted)
        return invert_pose(self._start) @ taken, bumped


@dataclass(frozen=True, slots=True)
class _Solids:
    """Upright obstacles seen from above: rectangles, and the distance that a walker must keep from each."""

    low: NDArray[np.float64]  # [N, 2]
    high: NDArray[np.float64]  # [N, 2]
    distance: NDArray[np.float64]  # [N]

    def offsets(self, place: Place) -> NDArray[np.float64]:
        """Return the vectors from each rectangle's nearest point to a place: [N, 2]."""
        return place - np.minimum(np.maximum(place, self.low), self.high)

    def stop(self, place: Place) -> NDArray[np.bool_]:
        """Return whether each of them is too near to a place: [N]."""
        across, along = self.offsets(place).T
        return np.hypot(across, along) < self.distance


def _list_solids() -> _Solids:
    balls = [ball for ball in BALLS if ball.centre[1] + ball.radius > 0]
    boxes = [box for box in BOXES if box.high[1] > 0]
    places = [(ball.centre[0], ball.centre[2]) for ball in balls] + [(each.x, each.z) for each in PILLARS]
    radii = [ball.radius for ball in balls] + [pillar.radius for pillar in PILLARS]
    return _Solids(
        low=np.array([*places, *((box.low[0], box.low[2]) for box in boxes)]),
        high=np.array([*places, *((box.high[0], box.high[2]) for box in boxes)]),
        distance=np.array([*(radius + MARGIN for radius in radii), *(MARGIN for _ in boxes)]),
    )


_SOLIDS = _list_solids()


def _normals(here: Place, to: Place) -> Iterator[Step]:
    """Yield a unit vector away from each obstacle that stops a step, at the step's beginning."""
    for axis in np.flatnonzero(np.abs(to) > HALF_SIZE - MARGIN):
        yield np.eye(2)[axis]
    for away in _SOLIDS.offsets(here)[_SOLIDS.stop(to)]:
        if away.any():
            yield away / np.hypot(*away)
