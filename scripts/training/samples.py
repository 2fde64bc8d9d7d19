"""Draws training samples: a chunk to denoise, and the context it gets at inference, or less."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data import load_plan
from worldplay.world.camera import DEFAULT_INTRINSICS, invert_pose
from worldplay.world.court import START_VIEWS
from worldplay.world.memory import NUM_POINTS, sample_points, select_context

CHUNK = 4
MEMORY_LATENTS, RECENT_LATENTS = 8, 4
# Context sizes and how often each is drawn: none is the first chunk; 1 is the start view alone, 4 the first
# chunk, 8 the first chunk and the latest four. Having less than at inference teaches the model to find its
# way by the absolute camera, which does not drift.
CONTEXT_SIZES = (0, 1, 4, 8)
CONTEXT_SHARES = (0.10, 0.08, 0.17, 0.65)
# Chunks denoised over one context pass: the one that comes next, and one from nearby or from anywhere, for
# which the context is of less use: practice in larger motions and in the absolute camera, at less cost.
CHUNKS_PER_CONTEXT = 2
_POINTS = sample_points(NUM_POINTS, seed=0)


@dataclass(frozen=True, slots=True)
class LatentWalks:
    """Encoded walks: latents [W, T, C, h, w], court poses, labels [W, T], start view [W] (-1 for none)."""

    seeds: NDArray[np.int64]
    latents: Tensor
    c2w: NDArray[np.float64]
    labels: NDArray[np.int64]
    views: NDArray[np.int64]
    images: Tensor  # [V, C, h, w], the start views' latents

    def __len__(self) -> int:
        return len(self.views)


def load_latents(walks: Path, latents: Path, seeds: list[int]) -> LatentWalks:
    """Read encoded walks and their plans, cut to the shortest."""
    encoded = [np.load(latents / f"{seed}.npy") for seed in seeds]
    plans = [load_plan(walks, seed) for seed in seeds]
    shortest = min(len(walk) for walk in encoded)
    return LatentWalks(
        seeds=np.array(seeds),
        latents=torch.from_numpy(np.stack([walk[:shortest] for walk in encoded])).float(),
        c2w=np.stack([plan.c2w[:shortest] for plan in plans]),
        labels=np.stack([plan.labels()[:shortest] for plan in plans]),
        views=np.array([-1 if plan.view is None else plan.view for plan in plans]),
        images=torch.from_numpy(np.load(latents / "views.npy")).float(),
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of equal context size N: the context's latents, then those of K chunks, and all about them."""

    latents: Tensor  # [B, C, N + 4 K, h, w]
    cond: Tensor  # [B, C + 1, N + 4 K, h, w]
    viewmats: Tensor  # [B, N + 4 K, 4, 4] float32
    intrinsics: Tensor  # [B, N + 4 K, 3, 3] float32
    actions: Tensor  # [B, N + 4 K]
    views: Tensor  # [B]
    num_context: int

    @property
    def num_chunks(self) -> int:
        return (self.latents.shape[2] - self.num_context) // CHUNK

    def to(self, device: torch.device) -> "Batch":
        return replace(
            self,
            latents=self.latents.to(device),
            cond=self.cond.to(device),
            viewmats=self.viewmats.to(device),
            intrinsics=self.intrinsics.to(device),
            actions=self.actions.to(device),
            views=self.views.to(device),
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample: latents, court poses and labels of context and chunks; latent 0 is where `is_first`."""

    latents: Tensor  # [N + 4 K, C, h, w]
    c2w: NDArray[np.float64]
    labels: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    view: int


Frames = list[tuple[int, int]]  # (walk, latent)


class Sampler:
    """An endless supply of batches from encoded walks, and from walks the model generated itself."""

    def __init__(self, walks: LatentWalks, seed: int) -> None:
        self._walks = walks
        self._rng = np.random.default_rng(seed)
        self._by_view = [np.flatnonzero(walks.views == view) for view in range(len(START_VIEWS))]
        self._generated: dict[int, Tensor] = {}

    def keep_generated(self, walk: int, latents: Tensor) -> None:
        """Offer generated latents of a walk, [T, C, h, w], as context; they replace earlier ones."""
        self._generated[walk] = latents

    def draw(self, num_context: int, num_samples: int, generated_share: float) -> Batch:
        """Draw samples; a share of them with generated context, as far as there is any."""
        moments = []
        for _ in range(num_samples):
            if num_context == 0:
                moments.append(self._draw_first())
            elif self._generated and self._rng.random() < generated_share:
                moments.append(self._draw_generated(num_context))
            else:
                moments.append(self._draw_true(num_context))
        return collate(moments, self._walks.images, num_context)

    def _draw_first(self) -> Moment:
        view, beginning = self._draw_beginning()
        other = int(self._rng.choice(self._by_view[view]))
        return self._moment(view, _span(beginning, 0) + _span(other, 0))

    def _draw_true(self, num_context: int) -> Moment:
        view, beginning = self._draw_beginning()
        walk, start = self._draw_next(beginning, num_context)
        # A walk from elsewhere is as good as one from the view: the world is the same and poses are known.
        offset = (start - 1) % CHUNK + 1
        past = _span(beginning, 0) + [(walk, i) for i in range(offset, start)]
        chunk = _span(walk, start)
        return self._moment(
            view, self._choose(past, chunk, num_context) + chunk + self._draw_other(walk, start)
        )

    def _draw_generated(self, num_context: int) -> Moment:
        walk = int(self._rng.choice(list(self._generated)))
        fewest = max(1, -(-num_context // CHUNK))
        start = CHUNK * int(self._rng.integers(fewest, len(self._generated[walk]) // CHUNK))
        chunk = _span(walk, start)
        context = self._choose([(walk, i) for i in range(start)], chunk, num_context)
        moment = self._moment(int(self._walks.views[walk]), context + chunk + self._draw_other(walk, start))
        own = torch.stack([self._generated[walk][i] for _, i in context])
        return replace(moment, latents=torch.cat([own, moment.latents[num_context:]]))

    def _draw_beginning(self) -> tuple[int, int]:
        """A start view and a walk from there."""
        view = int(self._rng.integers(len(START_VIEWS)))
        return view, int(self._rng.choice(self._by_view[view]))

    def _draw_next(self, beginning: int, num_context: int) -> tuple[int, int]:
        """The walk that goes on after the beginning, and the first latent of the chunk to denoise."""
        if num_context <= CHUNK and self._rng.random() < 0.5:
            return beginning, CHUNK
        same = self._rng.random() < 0.3
        walk = beginning if same else int(self._rng.integers(len(self._walks)))
        return walk, int(self._rng.integers(2 * CHUNK + 1, self._num_latents - CHUNK + 1))

    def _draw_other(self, walk: int, start: int) -> Frames:
        """Any chunk but a first one: from around a chunk of the same walk, or from anywhere."""
        last = self._num_latents - CHUNK
        if self._rng.random() < 0.5:
            return _span(walk, int(np.clip(start + self._rng.integers(-6, 11), 1, last)))
        return _span(int(self._rng.integers(len(self._walks))), int(self._rng.integers(1, last + 1)))

    @property
    def _num_latents(self) -> int:
        return self._walks.latents.shape[1]

    def _choose(self, past: Frames, chunk: Frames, num_context: int) -> Frames:
        """Context as at inference, cut to its size."""
        c2w = np.stack([self._walks.c2w[walk, index] for walk, index in past + chunk])
        return [past[i] for i in choose_context(c2w, len(past))[:num_context]]

    def _moment(self, view: int, frames: Frames) -> Moment:
        walks, indices = np.array(frames).T
        return Moment(
            self._walks.latents[walks, indices],
            self._walks.c2w[walks, indices],
            self._walks.labels[walks, indices],
            indices == 0,
            view,
        )


def _span(walk: int, start: int) -> Frames:
    """A chunk's frames."""
    return [(walk, start + i) for i in range(CHUNK)]


def choose_context(c2w: NDArray[np.float64], start: int) -> list[int]:
    """Context of the chunk that begins at `start`, as the server chooses it."""
    return select_context(
        invert_pose(c2w),
        start,
        _POINTS,
        memory_latents=MEMORY_LATENTS,
        recent_latents=RECENT_LATENTS,
        chunk_latents=CHUNK,
    )


def collate(moments: list[Moment], images: Tensor, num_context: int) -> Batch:
    """Put samples of one length together, in the frames of their start views."""
    latents = torch.stack([moment.latents for moment in moments]).transpose(1, 2)
    starts = np.stack([START_VIEWS[moment.view].c2w for moment in moments])
    w2c = invert_pose(np.stack([moment.c2w for moment in moments])) @ starts[:, None]
    cond = torch.zeros(latents.shape[0], latents.shape[1] + 1, *latents.shape[2:])
    for row, moment in enumerate(moments):
        for first in np.flatnonzero(moment.is_first):
            cond[row, :-1, first] = images[moment.view]
            cond[row, -1, first] = 1
    return Batch(
        latents=latents,
        cond=cond,
        viewmats=torch.from_numpy(w2c).float(),
        intrinsics=torch.tensor(DEFAULT_INTRINSICS).float().expand(len(moments), latents.shape[2], 3, 3),
        actions=torch.from_numpy(np.stack([moment.labels for moment in moments])),
        views=torch.tensor([moment.view for moment in moments]),
        num_context=num_context,
    )
