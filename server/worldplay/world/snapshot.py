"""A snapshot: everything that a walk is, as one value. It can be joined from parts that follow each other."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.camera import Pose
from worldplay.world.steering import Move, PosedCamera
from worldplay.world.tier import TierName

if TYPE_CHECKING:  # only for its name: the engine runs without torch
    from torch import Tensor

Pixels = NDArray[np.uint8]  # [H, W, 3] RGB


def new_identity() -> str:
    """Make the identity of a walk, which no other has."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class WorldIdentity:
    """The world that a walk was made in. A walk goes on only in the same world."""

    name: str
    weights: str  # identifies the weights; empty if nobody knows
    size: tuple[int, int]  # width, height


@dataclass(frozen=True, slots=True)
class OwnPicture:
    """A visitor's start picture, in the forms that the world needs."""

    fitted: Pixels  # in the world's size
    siglip: Pixels | None  # for the image encoder; None if the world starts at a view instead


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a walk began."""

    world: WorldIdentity
    view: str
    seed: int
    steps: int | None  # of denoising; None: the world's number
    origin: PosedCamera
    attention: str  # the backend, which decides the last bits of every number
    picture: OwnPicture | None = None
    tier: TierName = "exact"
    walk: str = ""  # the walk's own identity, wherever it goes on; "": of an earlier version


@dataclass(frozen=True, slots=True)
class LoggedLatch:
    """The moves that were read for the latents from `latent` to the end of its chunk.

    The walk's first latent needs no move. A latch that does not begin a chunk is a cut.
    """

    latent: int
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class PromptChange:
    """The prompt from a latent on."""

    latent: int
    text: str


@dataclass(frozen=True, slots=True)
class WalkedPath:
    """Where a walk went, and what led it there, but not what it looked like. Nothing in it changes."""

    beginning: Beginning
    c2w: Pose  # [T, 4, 4]
    labels: NDArray[np.int64]  # [T]
    intrinsics: Pose  # [T, 3, 3]
    latches: tuple[LoggedLatch, ...]
    prompts: tuple[PromptChange, ...]

    def prompt_at(self, latent: int) -> str:
        """Return the prompt that a latent was made with."""
        texts = [change.text for change in self.prompts if change.latent <= latent]
        return texts[-1] if texts else ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A walk, or a part of it: the latents from `first` on, T of them, and what they were made of."""

    beginning: Beginning | None  # only if `first` is 0
    first: int
    latents: Tensor  # [T, C, h, w] on the CPU
    c2w: Pose  # [T, 4, 4]
    labels: NDArray[np.int64]  # [T]
    intrinsics: Pose  # [T, 3, 3]
    latches: tuple[LoggedLatch, ...]
    prompts: tuple[PromptChange, ...]

    @property
    def end(self) -> int:
        return self.first + len(self.labels)

    @property
    def num_chunks(self) -> int:
        return self.end // CHUNK_LATENTS

    def path(self) -> WalkedPath:
        """Return where the walk went. The snapshot must be whole."""
        assert self.beginning is not None, "a part of a walk"
        return WalkedPath(self.beginning, self.c2w, self.labels, self.intrinsics, self.latches, self.prompts)

    def as_another(self) -> Snapshot:
        """Return the same as another walk, which may go elsewhere from here. The snapshot must be whole."""
        assert self.beginning is not None, "a part of a walk"
        return replace(self, beginning=replace(self.beginning, walk=new_identity()))

    def until(self, latent: int) -> Snapshot:
        """Return what was before a latent."""
        kept = slice(0, max(0, latent - self.first))
        return replace(
            self,
            latents=self.latents[kept],
            c2w=self.c2w[kept],
            labels=self.labels[kept],
            intrinsics=self.intrinsics[kept],
            latches=before(self.latches, latent),
            prompts=before(self.prompts, latent),
        )


def join(parts: Sequence[Snapshot]) -> Snapshot:
    """Join a walk's parts, as `join_run`. Raises: ValueError if something is missing before or between."""
    whole = join_run(parts)
    if whole.first > 0:
        raise ValueError(f"expected the latents from 0 on, got {whole.first}")
    return whole


def join_run(parts: Sequence[Snapshot]) -> Snapshot:
    """Join parts in the order in which they were saved: each replaces everything from its first latent on.

    Raises: ValueError if something is missing between two parts.
    """
    kept: list[Snapshot] = []
    for part in parts:
        while kept and kept[-1].first >= part.first:
            kept.pop()
        if kept:
            if part.first > kept[-1].end:
                raise ValueError(f"expected the latents from {kept[-1].end} on, got {part.first}")
            kept[-1] = kept[-1].until(part.first)
        kept.append(part)
    return kept[0] if len(kept) == 1 else _concatenate(kept)


def _concatenate(parts: Sequence[Snapshot]) -> Snapshot:
    import torch  # here, because the engine runs without it

    return Snapshot(
        beginning=parts[0].beginning,
        first=parts[0].first,
        latents=torch.cat([part.latents for part in parts]),
        c2w=np.concatenate([part.c2w for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        intrinsics=np.concatenate([part.intrinsics for part in parts]),
        latches=tuple(latch for part in parts for latch in part.latches),
        prompts=tuple(prompt for part in parts for prompt in part.prompts),
    )


Placed = TypeVar("Placed", LoggedLatch, PromptChange)


def before(items: Sequence[Placed], latent: int) -> tuple[Placed, ...]:
    """Return the items of latents before this one."""
    return tuple(item for item in items if item.latent < latent)


def since(items: Sequence[Placed], latent: int) -> tuple[Placed, ...]:
    """Return the items of this latent and later ones."""
    return tuple(item for item in items if item.latent >= latent)
