"""Where a walker may stand in the courtyard, and where one motion takes them."""

import numpy as np
from numpy.typing import NDArray

from worldplay.world.camera import Motion, invert_pose, motion_between
from worldplay.world.court_scene import BALLS, BOXES, HALF_SIZE, PILLARS, stand_pose

MARGIN = 0.3
_TIE = 1e-9  # what is nearer to equal is equal, so that rounding decides nothing
MAX_PITCH_RAD = float(np.radians(30.0))

Pose = NDArray[np.float64]
Step = NDArray[np.float64]  # x, z


def heading(c2w: Pose) -> tuple[float, float, float, float]:
    """Place and view direction of a pose without roll: x, z, yaw, pitch (radians)."""
    ahead = c2w[:3, 2]
    yaw = float(np.arctan2(ahead[0], ahead[2]))
    pitch = float(np.arctan2(-ahead[1], np.hypot(ahead[0], ahead[2])))
    return float(c2w[0, 3]), float(c2w[2, 3]), yaw, pitch


class Ground:
    """The walker's rule, the same in training data and in the server.

    Steps are level whatever the pitch, turns are about the vertical, so a walk neither flies nor rolls.
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
        """The same towards a pose that was given outright, of which roll and height do not count."""
        x, z, _, _ = heading(c2w)
        to_x, to_z, yaw, pitch = heading(wanted)
        return self._step(c2w, np.array([to_x - x, to_z - z]), yaw, pitch)

    def _step(self, c2w: Pose, step: Step, yaw: float, pitch: float) -> tuple[Pose, bool]:
        x, z, _, _ = heading(c2w)
        pitch = float(np.clip(pitch, -MAX_PITCH_RAD, MAX_PITCH_RAD))
        # None so long that it jumps over something; of a step that leaves the court anyway, only so many.
        pieces = int(np.ceil(min(np.hypot(*step), 1e9) / (MARGIN / 2)))
        for _ in range(pieces):
            reached = self._advance(x, z, step / pieces)
            if reached is None:
                return stand_pose(x, z, yaw, pitch), True
            x, z = reached
        return stand_pose(x, z, yaw, pitch), False

    def _advance(self, x: float, z: float, step: Step) -> tuple[float, float] | None:
        """Where a short step leads, or its larger part if that goes along a wall; None if neither is free."""
        axis = int(abs(step[1]) > abs(step[0]) + _TIE)
        along = np.where(np.arange(2) == axis, step, 0.0)
        for part in (step, along):
            to_x, to_z = x + float(part[0]), z + float(part[1])
            if self.is_free(to_x, to_z):
                return to_x, to_z
        return None

    def is_free(self, x: float, z: float) -> bool:
        """Whether a walker may stand here: a margin away from walls and from everything at eye height."""
        if max(abs(x), abs(z)) > HALF_SIZE - MARGIN:
            return False
        rounds = [(ball.centre[0], ball.centre[2], ball.radius) for ball in BALLS]
        rounds += [(pillar.x, pillar.z, pillar.radius) for pillar in PILLARS]
        if any(np.hypot(x - cx, z - cz) < radius + MARGIN for cx, cz, radius in rounds):
            return False
        standing = (box for box in BOXES if box.high[1] > 0)
        return not any(_in_footprint(x, z, box.low, box.high) for box in standing)


class WalkGround:
    """The same rule for a walk, whose frame is that of its first camera."""

    def __init__(self, start: Pose) -> None:
        """`start` is the walk's first camera in the court, level."""
        self._start = start
        self._ground = Ground()

    def move(self, previous: Pose, wanted: Pose) -> tuple[Pose, bool]:
        """Return the pose taken instead of `wanted`, one motion on, and whether something was in the way."""
        taken, bumped = self._ground.move(self._start @ previous, motion_between(previous, wanted))
        return invert_pose(self._start) @ taken, bumped

    def reach(self, previous: Pose, wanted: Pose) -> tuple[Pose, bool]:
        """The same towards any pose; one that a motion from here leads to is taken as it is."""
        taken, bumped = self._ground.reach(self._start @ previous, self._start @ wanted)
        return invert_pose(self._start) @ taken, bumped


def _in_footprint(
    x: float, z: float, low: tuple[float, float, float], high: tuple[float, float, float]
) -> bool:
    away_x = max(low[0] - x, 0.0, x - high[0])
    away_z = max(low[2] - z, 0.0, z - high[2])
    return float(np.hypot(away_x, away_z)) < MARGIN
