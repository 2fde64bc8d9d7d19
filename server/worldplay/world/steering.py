"""Steering: where a walk starts, and where its next latents go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion, Pose

if TYPE_CHECKING:  # only for its name: the engine runs without torch
    from worldplay.world.pictures.fit import StartPicture
    from worldplay.world.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PosedCamera:
    """A given camera of a latent: c2w [4, 4], its action label and normalised intrinsics [3, 3].

    `is_reached`: a walk was there, so the ground is not asked again. It might answer otherwise, because the
    walk may have gone along walls from one camera to the next.
    """

    c2w: Pose
    label: int | None = None  # None: that of the motion that leads to it
    intrinsics: Pose | None = None  # None: the default
    is_reached: bool = False


Move = Motion | PosedCamera  # what takes a walk from one latent to the next


@dataclass(frozen=True, slots=True)
class WalkRequest:
    """Which walk to open. The world chooses what is None. A snapshot decides everything else."""

    view: str | None = None
    picture: StartPicture | None = None
    prompt: str | None = None
    seed: int | None = None
    steps: int | None = None  # of denoising, for each chunk
    origin: PosedCamera | None = None  # the camera of the first latent, in the walk's own frame
    snapshot: Snapshot | None = None  # a walk to go on with
    is_saved: bool = False  # the snapshot is what the store has of this session's walk


class Steering(Protocol):
    """Decides where a walk goes. A chunk calls it when it is made, and so uses the latest key presses."""

    def predict(self, num_latents: int) -> list[Move]:
        """Return the next moves if nothing changes. Consumes nothing."""
        ...

    def latch(self, num_latents: int) -> list[Move]:
        """Consume the next moves. Called once per chunk, just before its first denoising step."""
        ...


class CircleSteering:
    """Walks in an endless circle, for measurements."""

    def predict(self, num_latents: int) -> list[Move]:
        return [Motion(forward=FORWARD_STEP, yaw=TURN_STEP)] * num_latents

    latch = predict


class ReplaySteering:
    """Goes along the moves of recorded latches, one after the other."""

    def __init__(self, latches: Sequence[Sequence[Move]]) -> None:
        self._latches = latches
        self._next = 0

    def predict(self, num_latents: int) -> list[Move]:
        moves = list(self._latches[self._next])
        assert len(moves) == num_latents, f"{num_latents} latents with {len(moves)} recorded moves"
        return moves

    def latch(self, num_latents: int) -> list[Move]:
        moves = self.predict(num_latents)
        self._next += 1
        return moves


class TrajectorySteering:
    """Goes along moves that are known beforehand; every chunk takes the next ones."""

    def __init__(self, moves: Sequence[Move]) -> None:
        self._moves = moves
        self._taken = 0

    def predict(self, num_latents: int) -> list[Move]:
        return list(self._moves[self._taken : self._taken + num_latents])

    def latch(self, num_latents: int) -> list[Move]:
        moves = self.predict(num_latents)
        self._taken += len(moves)
        return moves
