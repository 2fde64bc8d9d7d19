"""The state of one walk: its latents, its cameras, its text and the seed of its noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from worldplay.model.conditioning import Conditioning
from worldplay.model.kept_context import KeptLatents
from worldplay.model.kv_cache import TextKV
from worldplay.world.camera import (
    DEFAULT_INTRINSICS,
    Motion,
    Pose,
    apply_motion,
    label_actions,
    motion_between,
)
from worldplay.world.latent_history import LatentHistory
from worldplay.world.pose_history import InverseHistory
from worldplay.world.steering import Move, PosedCamera
from worldplay.world.walk_log import WalkLog

if TYPE_CHECKING:  # it imports this module
    from worldplay.world.relighting import Relit

MOST_STOOD = 64  # latents; 11 s
LIGHT_CHANGES = 16  # latents within which the light changes
_SAME_VIEW = 1e-6  # units, or of an axis: what rounding leaves of a step that was refused


class Ground(Protocol):
    """Decides where a walker may stand. Poses are in the frame of the walk's first camera."""

    def move(self, pose: Pose, motion: Motion) -> tuple[Pose, bool]:
        """Move by one latent's motion. Returns: the pose reached, and whether something was in the way."""
        ...

    def reach(self, pose: Pose, wanted: Pose) -> tuple[Pose, bool]:
        """Move towards a given pose. Returns: as `move`."""
        ...


class OpenGround:
    """Ground without obstacles, for the released model. Walking while looking up leaves the floor."""

    def move(self, pose: Pose, motion: Motion) -> tuple[Pose, bool]:
        return apply_motion(pose, motion), False

    def reach(self, pose: Pose, wanted: Pose) -> tuple[Pose, bool]:
        return wanted, False


@dataclass(frozen=True, slots=True)
class Path:
    """Cameras of consecutive latent frames: c2w [n, 4, 4], labels [n] (0..80), intrinsics [n, 3, 3]."""

    c2w: Pose
    labels: NDArray[np.int64]
    intrinsics: Pose
    bumped: bool
    start: Pose  # [4, 4], the pose before the first of them

    def first(self, num_latents: int) -> "Path":
        """The cameras of the first latents."""
        kept = slice(0, num_latents)
        return replace(
            self, c2w=self.c2w[kept], labels=self.labels[kept], intrinsics=self.intrinsics[kept], bumped=False
        )

    def followed_by(self, other: "Path") -> "Path":
        """These cameras, and then those of later latents; `bumped` is theirs."""
        if len(self.c2w) == 0:
            return other
        return Path(
            np.concatenate([self.c2w, other.c2w]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.intrinsics, other.intrinsics]),
            other.bumped,
            self.start,
        )

    def motions(self) -> list[Motion]:
        """Return the actual motion to each camera: a step that a wall stopped is no motion."""
        return [motion_between(a, b) for a, b in pairwise([self.start, *self.c2w])]


@dataclass  # without slots, so that it can be referred to weakly
class Walk:
    """One walk: with a decoder, enough to continue, to rewind and to restart.

    Latents are on the model's device and in its dtype, poses float64.
    """

    text: list[TextKV]  # one per guidance branch, the prompt's own last
    picture: Image.Image  # the start image, for the encoders when the prompt changes
    image_latent: Tensor  # [1, C, 1, h, w]
    seed: int
    ground: Ground
    prompts: list[Conditioning] = field(default_factory=list)  # the bidirectional model's, instead of `text`
    origin: PosedCamera = field(default_factory=lambda: PosedCamera(np.eye(4), label=0))
    latents: LatentHistory = field(default_factory=LatentHistory)
    c2w: Pose = field(default_factory=lambda: np.empty((0, 4, 4)))  # [T, 4, 4]
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # [T]
    intrinsics: Pose = field(default_factory=lambda: np.empty((0, 3, 3)))  # [T, 3, 3]
    _inverses: InverseHistory = field(default_factory=InverseHistory)
    log: WalkLog = field(default_factory=WalkLog)
    num_saved: int = 0  # latents that are in the store and have not changed since
    kept: list[KeptLatents] = field(default_factory=list)  # one per guidance branch, if context is kept
    relit: "Relit | None" = None

    @property
    def num_latents(self) -> int:
        return len(self.latents)

    def follow(self, moves: Sequence[Move], first: int | None = None) -> Path:
        """Turn moves into cameras from the walk's latent `first` on; None: after its last one.

        The walk's first path also has the origin.
        """
        if first is None:
            first = self.num_latents
        if first:
            return follow(self.ground, self.c2w[first - 1], moves)
        origin, bumped = self.origin, False
        start, eye = origin.c2w, np.eye(4)
        if not np.array_equal(start, eye):
            start, bumped = _reach(self.ground, eye, origin)
        rest = follow(self.ground, start, moves)
        return Path(
            np.concatenate([start[None], rest.c2w]),
            np.concatenate([[origin.label or 0], rest.labels]),
            np.concatenate([_intrinsics_of(origin)[None], rest.intrinsics]),
            rest.bumped or bumped,
            start,
        )

    def invert(self, path: Pose, start: int) -> Pose:
        """Return world-to-camera matrices of the first `start` latents, and of a path, [n, 4, 4], after them.

        Returns: [start + n, 4, 4]; holds until the next call.
        """
        return self._inverses.extend(self.c2w[:start], path)

    def count_stood(self, path: Path, start: int) -> list[int]:
        """Count for each latent of a path since how many latents neither view nor light have changed.

        The first latent in which nothing changes is 1. Counts end at MOST_STOOD.

        Args: start: the walk's latent at which the path begins.
        """
        before = max(0, start - MOST_STOOD)
        changed = np.full(start - before + len(path.c2w), True)
        changed[1:] = _changes(np.concatenate([self.c2w[before:start], path.c2w]))
        changed[1:] |= _changes(np.concatenate([self.intrinsics[before:start], path.intrinsics]))
        for latent in self.log.light_changes:
            first = latent - before
            changed[max(0, first) : max(0, first + LIGHT_CHANGES)] = True
        latents = np.arange(len(changed))
        stood = latents - np.maximum.accumulate(np.where(changed, latents, 0))
        counts: list[int] = np.minimum(stood, MOST_STOOD)[start - before :].tolist()
        return counts

    def draw_noise(self, start: int, num_latents: int) -> Tensor:
        """Return standard normal noise [1, C, num_latents, h, w] float32, on the CPU.

        It depends on the seed and `start` alone, so rewinding and replaying need no generator state.
        """
        generator = torch.Generator().manual_seed(_mix(self.seed, start))
        _, channels, _, height, width = self.image_latent.shape
        return torch.randn(1, channels, num_latents, height, width, generator=generator)

    def replace(self, first: int, latents: Tensor, path: Path) -> None:
        """Forget everything from latent `first` on, and append. Args: as `append`."""
        self.truncate(first)
        self.append(latents, path)

    def append(self, latents: Tensor, path: Path) -> None:
        """Commit a finished chunk: latents [1, C, n, h, w] and the cameras it was made for."""
        self.latents.append(latents)
        self.c2w = np.concatenate([self.c2w, path.c2w])
        self.labels = np.concatenate([self.labels, path.labels])
        self.intrinsics = np.concatenate([self.intrinsics, path.intrinsics])

    def truncate(self, num_latents: int) -> None:
        """Forget everything from latent frame `num_latents` on, except what it was made of."""
        self.num_saved = min(self.num_saved, num_latents)
        self.latents.truncate(num_latents)
        self.c2w = self.c2w[:num_latents]
        self._inverses.truncate(num_latents)
        self.labels = self.labels[:num_latents]
        self.intrinsics = self.intrinsics[:num_latents]
        for kept in self.kept:
            kept.truncate(num_latents)


def follow(ground: Ground, start: Pose, moves: Sequence[Move]) -> Path:
    """Turn moves into cameras, from a pose on."""
    pose, poses, bumped = start, [], False
    for move in moves:
        if isinstance(move, PosedCamera):
            pose, hit = _reach(ground, pose, move)
        else:
            pose, hit = ground.move(pose, move)
        poses.append(pose)
        bumped = bumped or hit
    c2w = np.stack(poses)
    labels = label_actions(c2w, start)
    for index, (move, pose) in enumerate(zip(moves, poses, strict=True)):
        # A given label holds only where the given pose was reached: the ground may have changed it.
        if (
            isinstance(move, PosedCamera)
            and move.label is not None
            and np.allclose(pose, move.c2w, atol=1e-6)
        ):
            labels[index] = move.label
    return Path(c2w, labels, np.stack([_intrinsics_of(move) for move in moves]), bumped, start)


def _reach(ground: Ground, pose: Pose, camera: PosedCamera) -> tuple[Pose, bool]:
    return (camera.c2w, False) if camera.is_reached else ground.reach(pose, camera.c2w)


def _intrinsics_of(move: Move) -> Pose:
    given = move.intrinsics if isinstance(move, PosedCamera) else None
    return DEFAULT_INTRINSICS if given is None else given


def _changes(matrices: Pose) -> NDArray[np.bool_]:
    """Return [n - 1] whether each of [n, i, j] but the first differs from the one before."""
    return np.abs(np.diff(matrices, axis=0)).max(axis=(1, 2)) > _SAME_VIEW


def _mix(seed: int, start: int) -> int:
    """Hash two counters to a 63-bit seed, so that neighbouring counters give independent generators."""
    state = np.random.SeedSequence([seed, start]).generate_state(1, dtype=np.uint64)
    return int(state[0]) >> 1
