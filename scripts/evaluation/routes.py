"""The routes of the evaluated walks: the motion at each latent, by fixed seeds or by design."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.chunks import CHUNK
from training.data import HELD_OUT_SEED, plan_walk
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.courtyard.ground import Ground, heading
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.key_motion import motion_of
from worldplay.world.steering import Move, TrajectorySteering

Poses = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Route:
    """A walk from a start view, one motion from each latent to the next."""

    name: str
    view: int
    motions: tuple[Motion, ...]

    @property
    def num_chunks(self) -> int:
        return (1 + len(self.motions)) // CHUNK

    def c2w(self) -> Poses:
        """Compute court poses [T, 4, 4] by the rule for walking, without any model."""
        poses, ground = [VIEWPOINTS[self.view].c2w], Ground()
        for motion in self.motions:
            poses.append(ground.move(poses[-1], motion)[0])
        return np.stack(poses)

    def num_bumps(self) -> int:
        """Count the steps that are refused."""
        pose, ground, bumps = VIEWPOINTS[self.view].c2w, Ground(), 0
        for motion in self.motions:
            pose, bumped = ground.move(pose, motion)
            bumps += bumped
        return bumps

    def steering(self, chunks_done: int = 0) -> TrajectorySteering:
        """Make steering along its motions, beginning after this many chunks."""
        taken = max(0, CHUNK * chunks_done - 1)
        return TrajectorySteering(self.motions[taken:])

    def latches(self, cuts: Mapping[int, Sequence[int]]) -> list[list[Move]]:
        """List the moves of every latch: for each chunk, and for its rest after a cut.

        Args:
            cuts: by chunk, how many latents each of its cuts keeps. At every latch what comes up to the next
                one is known; from there on the last move goes on, as when a key stays pressed.
        """
        latches: list[list[Move]] = []
        for chunk in range(self.num_chunks):
            start = CHUNK * chunk
            moves = list(self.motions[max(0, start - 1) : start + CHUNK - 1])
            latents = [*cuts.get(chunk, ()), CHUNK]
            for kept, end in zip([0, *latents], latents, strict=False):
                first, known = (max(0, len(moves) - CHUNK + latent) for latent in (kept, end))
                straight = moves[known - 1] if known else Motion()
                latches.append([*moves[first:known], *[straight] * (len(moves) - known)])
        return latches


@dataclass(frozen=True, slots=True)
class Visit:
    """Two latents of one walk with the same view; at `again` the walker stands still."""

    first: int
    again: int


@dataclass(frozen=True, slots=True)
class Loop:
    """A route that returns to earlier views, the first time to the start view."""

    route: Route
    visits: tuple[Visit, ...]


def held_out(index: int, num_chunks: int) -> Route:
    """Plan a random walk that training never uses; index is 0, 1, ..., the seed HELD_OUT_SEED + index."""
    plan = plan_walk(HELD_OUT_SEED + index, CHUNK * num_chunks, from_view=True)
    assert plan.view is not None
    stands = np.array([heading(pose) for pose in plan.c2w])
    moves = [_motion(before, after) for before, after in pairwise(stands)]
    return Route(f"walk {HELD_OUT_SEED + index}", plan.view, tuple(moves))


def _motion(before: NDArray[np.float64], after: NDArray[np.float64]) -> Motion:
    """Find the motion from one place and view direction (x, z, yaw, pitch) to the next."""
    x, z, yaw, pitch = after - before
    sin, cos = np.sin(after[2]), np.cos(after[2])
    return Motion(
        forward=float(x * sin + z * cos),
        right=float(x * cos - z * sin),
        yaw=float((yaw + np.pi) % (2 * np.pi) - np.pi),
        pitch=float(pitch),
    )


def hold(view: int, keys: str, num_chunks: int) -> Route:
    """Make a route on which some keys, such as "w left", are held all the time."""
    motion = motion_of(frozenset(keys.split()))
    return Route(keys or "no key", view, (motion,) * (CHUNK * num_chunks - 1))


def turn_and_stand(view: int, turn_deg: int, num_chunks: int) -> Route:
    """Make a route that turns to the right by whole steps, and stands for some chunks."""
    motions = [Motion(yaw=TURN_STEP)] * round(np.radians(turn_deg) / TURN_STEP)
    rest(motions)
    motions += [Motion()] * (CHUNK * num_chunks)
    return Route(f"turn by {turn_deg}°", view, tuple(motions))


def turn_round(name: str, view: int, yaws_deg: tuple[float, ...]) -> Loop:
    """Make a loop: turn a full circle on the spot, stop, turn a quarter more, stop.

    Args:
        yaws_deg: the turns from latent to latent, repeated over and over; they divide a quarter circle.
    """
    quarter = yaws_deg * round(90 / abs(sum(yaws_deg)))
    motions = [Motion(yaw=np.radians(yaw)) for yaw in quarter * 4]
    rest(motions)
    home = Visit(first=0, again=len(motions))
    motions += [Motion(yaw=np.radians(yaw)) for yaw in quarter]
    rest(motions)
    return Loop(Route(name, view, tuple(motions)), (home, Visit(len(quarter), len(motions))))


def out_and_back(view: int, longest: int) -> Loop:
    """Make a loop: walk ahead as far as is free, turn round, walk back, turn round."""
    ahead = [Motion(forward=FORWARD_STEP)] * free_steps(view, longest)
    about = [Motion(yaw=TURN_STEP)] * round(np.pi / TURN_STEP)
    motions = ahead + about + ahead + about
    rest(motions)
    return Loop(Route("out and back", view, tuple(motions)), (Visit(0, len(motions)),))


def out_and_backwards(view: int, longest: int) -> Loop:
    """Make a loop: walk ahead as far as is free, then backwards to the start."""
    steps = free_steps(view, longest)
    motions = [Motion(forward=FORWARD_STEP)] * steps + [Motion(forward=-FORWARD_STEP)] * steps
    rest(motions)
    return Loop(Route("out and backwards", view, tuple(motions)), (Visit(0, len(motions)),))


def free_steps(view: int, longest: int) -> int:
    """Count the free steps ahead of a start view."""
    routes = (Route("", view, (Motion(forward=FORWARD_STEP),) * steps) for steps in range(1, longest + 1))
    return sum(route.num_bumps() == 0 for route in routes)


def rest(motions: list[Motion]) -> None:
    """Stand still for a latent at least, up to the end of a chunk."""
    motions.append(Motion())
    while (1 + len(motions)) % CHUNK:
        motions.append(Motion())


def keyboard() -> list[str]:
    """List every combination of keys that moves differently: 9 steps times 9 turns."""
    steps = _ways(("w", "s"), ("a", "d"))
    turns = _ways(("left", "right"), ("up", "down"))
    return [" ".join(filter(None, (step, turn))) for step in steps for turn in turns]


def _ways(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return [" ".join(filter(None, (a, b))) for a in ("", *one) for b in ("", *other)]


def freest_view(routes_of: dict[int, list[Route]]) -> int:
    """Return the start view from which the fewest routes bump into something; of equals the first."""
    return min(routes_of, key=lambda view: sum(route.num_bumps() > 0 for route in routes_of[view]))
