"""Training walks: what a keyboard player might do in the courtyard, rendered and encoded frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worldplay.world.camera import invert_pose, label_actions
from worldplay.world.controls import motion_of
from worldplay.world.court import START_VIEWS, Ground, render, stand_pose
from worldplay.world.court_ground import heading

FRAMES_PER_LATENT = 4
HEIGHT, WIDTH = 96, 160
HELD_OUT_SEED = 1_000_000

_OPPOSITE = {
    "w": "s",
    "s": "w",
    "a": "d",
    "d": "a",
    "up": "down",
    "down": "up",
    "left": "right",
    "right": "left",
}

Keys = frozenset[str]
Pose = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WalkPlan:
    """Court poses [T, 4, 4] of one walk, one per latent; `view` is None if it starts at no start view."""

    view: int | None
    c2w: Pose

    def in_frame_of(self, view: int) -> Pose:
        """Poses relative to a start view, as a walk from there would count them."""
        return invert_pose(START_VIEWS[view].c2w) @ self.c2w

    def labels(self) -> NDArray[np.int64]:
        """Action label of each latent [T]; the same in every frame."""
        return label_actions(self.c2w, None)


def plan_walk(seed: int, num_latents: int, from_view: bool) -> WalkPlan:
    """Walk about at random, by the seed alone, from a start view or from anywhere."""
    rng, ground = np.random.default_rng(seed), Ground()
    view = seed % len(START_VIEWS) if from_view else None
    pose = _random_stand(rng, ground) if view is None else START_VIEWS[view].c2w
    poses, bumps, player = [pose], 0, _play(rng)
    while len(poses) < num_latents:
        pose, bumped = ground.move(pose, motion_of(next(player)))
        poses.append(pose)
        bumps = bumps + 1 if bumped else 0
        if bumps > 2 and rng.random() < 0.5:  # a player who is stuck soon tries something else
            player, bumps = _play(rng), 0
    return WalkPlan(view, np.stack(poses))


def _random_stand(rng: np.random.Generator, ground: Ground) -> Pose:
    while True:
        x, z = rng.uniform(-3.0, 3.0, 2)
        if ground.is_free(x, z):
            return stand_pose(x, z, rng.uniform(-np.pi, np.pi), rng.uniform(-0.2, 0.2))


def _play(rng: np.random.Generator) -> Iterator[Keys]:
    """Keys held at each latent, for ever: segments, some of which are walked back afterwards."""
    while True:
        segment = [keys for _ in range(rng.integers(1, 4)) for keys in _segment(rng)]
        yield from segment
        if rng.random() < 0.25:
            yield from (frozenset(_OPPOSITE[key] for key in keys) for keys in reversed(segment))


def _segment(rng: np.random.Generator) -> list[Keys]:
    """One thing a player does: a few keys held for a while."""
    turn = str(rng.choice(["left", "right"]))
    pitch = str(rng.choice(["up", "down"]))
    side = str(rng.choice(["a", "d"]))
    ahead = str(rng.choice(["w", "w", "w", "s"]))
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
    return [frozenset(keys)] * int(rng.integers(shortest, longest + 1))


def frame_poses(c2w: Pose) -> Pose:
    """Camera of every video frame: one at the first pose, then four to each next, the last exactly there.

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
    """The pose a share of a motion later; the shorter way round for the yaw."""
    change = np.subtract(after, before)
    change[2] = (change[2] + np.pi) % (2 * np.pi) - np.pi
    return stand_pose(*(np.asarray(before) + share * change))


def render_walks(folder: Path, seeds: list[int], num_latents: int) -> Iterator[int]:
    """Render walks not on disk yet, as SEED.npy (frames) and SEED.npz (plan); yields each seed when done."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{seed}.npy"
        if not path.exists():
            plan = plan_walk(seed, num_latents, from_view=seed >= HELD_OUT_SEED or seed % 2 == 0)
            frames = render(frame_poses(plan.c2w), HEIGHT, WIDTH)
            view = -1 if plan.view is None else plan.view
            np.savez(path.with_suffix(".npz"), c2w=plan.c2w, view=view)
            partial = path.with_suffix(".partial.npy")
            np.save(partial, frames)
            partial.rename(path)
        yield seed


def load_plan(folder: Path, seed: int) -> WalkPlan:
    """Read back the plan of a rendered walk."""
    stored = np.load(folder / f"{seed}.npz")
    view = int(stored["view"])
    return WalkPlan(None if view < 0 else view, stored["c2w"])
