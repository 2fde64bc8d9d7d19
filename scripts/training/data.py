"""Plans training walks: what a player might do in the courtyard, and in which light."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from worldplay.world.camera import Motion, label_actions
from worldplay.world.courtyard.ground import Ground, heading
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.scene import HALF_SIZE, stand_pose
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.frames import FRAMES_PER_LATENT
from worldplay.world.key_motion import motion_of

DRILL_SEED = 500_000  # from here on walks are drills: random play rarely has most combinations of keys
HELD_OUT_SEED = 1_000_000
LIGHT_SHARES = (0.4, 0.2, 0.2, 0.2)  # of LIGHTS, in the training walks
FLICK_SHARE = 0.15  # of the player's segments
SWITCH_SHARE = 0.4  # of the walks, in which the light changes once

_OPPOSITES = (("w", "s"), ("a", "d"), ("up", "down"), ("left", "right"))

Pose = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WalkPlan:
    """One walk, latent by latent: court poses [T, 4, 4] and lights [T], indices into LIGHTS.

    `view` is None if the walk does not start at a start view.
    """

    view: int | None
    c2w: Pose
    lights: NDArray[np.int64]

    def labels(self) -> NDArray[np.int64]:
        """Return the action label of each latent [T]; it is the same in every frame of reference."""
        return label_actions(self.c2w, None)


def plan_walk(seed: int, num_latents: int, from_view: bool) -> WalkPlan:
    """Plan a random walk, determined by the seed, from a start view or from anywhere."""
    rng, ground = np.random.default_rng(seed), Ground()
    view = seed % len(VIEWPOINTS) if from_view else None
    pose = _random_stand(rng, ground) if view is None else VIEWPOINTS[view].c2w
    play = _drill if DRILL_SEED <= seed < HELD_OUT_SEED else _play
    poses, bumps, player = [pose], 0, play(rng)
    while len(poses) < num_latents:
        pose, bumped = ground.move(pose, next(player))
        poses.append(pose)
        bumps = bumps + 1 if bumped else 0
        if bumps > 2 and rng.random() < 0.5:  # a stuck player soon tries something else
            player, bumps = play(rng), 0
    lights = _plan_lights(np.random.default_rng([seed, 1]), num_latents)
    if seed >= HELD_OUT_SEED:  # held-out walks have one light each, in turn
        lights = np.full(num_latents, seed % len(LIGHTS))
    return WalkPlan(view, np.stack(poses), lights)


def _plan_lights(rng: np.random.Generator, num_latents: int) -> NDArray[np.int64]:
    """Plan the light of each latent: one, or another from some latent on, as after a change of the prompt."""
    first, second = rng.choice(len(LIGHTS), size=2, replace=False, p=LIGHT_SHARES)
    switch = rng.integers(1, num_latents) if rng.random() < SWITCH_SHARE else num_latents
    return np.where(np.arange(num_latents) < switch, first, second)


def _random_stand(rng: np.random.Generator, ground: Ground) -> Pose:
    while True:
        x, z = rng.uniform(-HALF_SIZE, HALF_SIZE, 2)
        if ground.is_free(x, z):
            return stand_pose(x, z, rng.uniform(-np.pi, np.pi), rng.uniform(-0.2, 0.2))


def _play(rng: np.random.Generator) -> Iterator[Motion]:
    """Yield motions, one per latent, for ever: segments, some of which are walked back."""
    while True:
        segment = [motion for _ in range(rng.integers(1, 4)) for motion in _segment(rng)]
        yield from segment
        if rng.random() < 0.25:
            yield from (
                Motion(-motion.forward, -motion.right, -motion.yaw, -motion.pitch)
                for motion in reversed(segment)
            )


def _drill(rng: np.random.Generator) -> Iterator[Motion]:
    """Yield motions, one per latent, for ever: random combinations of keys, 81 in all."""
    while True:
        keys = {str(rng.choice([*pair, ""])) for pair in _OPPOSITES} - {""}
        yield from [motion_of(keys)] * int(rng.integers(3, 13))


def _segment(rng: np.random.Generator) -> list[Motion]:
    """Draw one segment: keys held for a while, or a flick of the mouse."""
    turn = str(rng.choice(["left", "right"]))
    pitch = str(rng.choice(["up", "down"]))
    side = str(rng.choice(["a", "d"]))
    ahead = str(rng.choice(["w", "w", "w", "s"]))
    if rng.random() < FLICK_SHARE:
        return _flick(rng, ahead)
    choices: list[tuple[float, set[str], int, int]] = [
        (0.22, {ahead}, 3, 20),
        (0.20, {ahead, turn}, 3, 16),
        (0.06, {side}, 2, 12),
        (0.06, {ahead, side}, 2, 14),
        (0.06, {side, turn}, 3, 14),
        (0.16, {turn}, 2, 16),
        (0.04, {turn}, 30, 60),
        (0.07, {pitch}, 1, 8),
        (0.04, {pitch, ahead}, 1, 8),
        (0.04, {pitch, turn}, 1, 8),
        (0.05, set(), 1, 8),
    ]
    weights = np.array([weight for weight, *_ in choices])
    _, keys, shortest, longest = choices[rng.choice(len(choices), p=weights / weights.sum())]
    return [motion_of(keys)] * int(rng.integers(shortest, longest + 1))


def _flick(rng: np.random.Generator, ahead: str) -> list[Motion]:
    """Draw a flick of the mouse: faster than keys, over multiples of four latents, walking or standing."""
    yaw = np.radians(rng.choice([-1, 1]) * min(3 + rng.exponential(6), 30))
    pitch = np.radians(rng.normal(0, 1.5))
    keys = {ahead} if rng.random() < 0.5 else set()
    return [motion_of(keys, yaw, pitch)] * int(4 * rng.integers(1, 3))


def frame_poses(c2w: Pose) -> Pose:
    """Interpolate the camera of every video frame: the first pose, then four frames up to each next pose.

    Args:
        c2w: [T, 4, 4] court poses, level.
    Returns: [1 + 4 (T - 1), 4, 4].
    """
    stands = [heading(pose) for pose in c2w]
    frames = [c2w[0]]
    for before, after in pairwise(stands):
        frames += [_between(before, after, step / FRAMES_PER_LATENT) for step in (1, 2, 3, 4)]
    return np.stack(frames)


def _between(
    before: tuple[float, float, float, float], after: tuple[float, float, float, float], share: float
) -> Pose:
    """Interpolate between two poses; the yaw turns the shorter way."""
    change = np.subtract(after, before)
    change[2] = (change[2] + np.pi) % (2 * np.pi) - np.pi
    return stand_pose(*(np.asarray(before) + share * change))
