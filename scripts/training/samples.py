"""Draws training samples: chunks to denoise, with a prompt and a context, which may be shortened."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.chunks import CHUNK, find_chunks
from training.prompt_book import PromptBook
from training.walk_files import load_plan
from worldplay.world.camera import DEFAULT_INTRINSICS, invert_pose
from worldplay.world.context import NUM_POINTS, sample_points, select_context
from worldplay.world.courtyard.views import VIEWPOINTS

MEMORY_LATENTS, RECENT_LATENTS = 12, 4
# Context sizes and how often each is drawn: 0 is for a walk's first chunk; 1 is the start view alone, 4 the
# first chunk, 8 the first chunk and the latest four latents, 12 also a retrieved chunk. Contexts that are
# smaller than at inference teach the model to use the absolute camera, which does not drift.
CONTEXT_SIZES = (0, 1, 4, 8, 12)
CONTEXT_SHARES = (0.09, 0.05, 0.10, 0.18, 0.58)
# Chunks denoised per context pass: the next one, and one from nearby or from anywhere, for which the context
# is less useful. The second trains larger motions and the absolute camera, at less cost.
CHUNKS_PER_CONTEXT = 2
CONDITIONS = 4  # pairs of a start view and a prompt in one batch
SAME_LIGHT = 0.7  # at least this share of samples has a first chunk in the light of the prompt
AFTER_SWITCH = 0.12  # share of samples right after a change of light: only the prompt gives the new one
_POINTS = sample_points(NUM_POINTS, seed=0)


@dataclass(frozen=True, slots=True)
class LatentWalks:
    """Encoded walks: latents [W, T, C, h, w], court poses, labels, lights [W, T], start view [W] (or -1)."""

    seeds: NDArray[np.int64]
    latents: Tensor
    c2w: NDArray[np.float64]
    labels: NDArray[np.int64]
    lights: NDArray[np.int64]
    views: NDArray[np.int64]
    images: Tensor  # [V, C, h, w], the start views' latents by day

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
        lights=np.stack([plan.lights[:shortest] for plan in plans]),
        views=np.array([-1 if plan.view is None else plan.view for plan in plans]),
        images=torch.from_numpy(np.load(latents / "views.npy")).float(),
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples of the same context size N: latents of the context, then of K chunks, and their inputs."""

    latents: Tensor  # [B, C, N + 4 K, h, w]
    cond: Tensor  # [B, C + 1, N + 4 K, h, w]
    viewmats: Tensor  # [B, N + 4 K, 4, 4] float32
    intrinsics: Tensor  # [B, N + 4 K, 3, 3] float32
    actions: Tensor  # [B, N + 4 K]
    conditions: Tensor  # [B], each sample's row of the two that follow
    text_images: Tensor  # [P, C, h, w]
    text_states: Tensor  # [P, words, D]
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
            conditions=self.conditions.to(device),
            text_images=self.text_images.to(device),
            text_states=self.text_states.to(device),
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample: latents, court poses and labels of context and chunks; `is_first` marks latent 0."""

    latents: Tensor  # [N + 4 K, C, h, w]
    c2w: NDArray[np.float64]
    labels: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of a sample: its walk's start view, and its prompt's light and states [words, D]."""

    view: int
    light: int
    prompt: Tensor


Frames = list[tuple[int, int]]  # (walk, latent)


class Sampler:
    """An endless supply of batches from encoded walks, and from walks the model generated itself."""

    def __init__(self, walks: LatentWalks, prompts: PromptBook, seed: int) -> None:
        self._walks, self._prompts = walks, prompts
        self._rng = np.random.default_rng(seed)
        self._chunks = find_chunks(walks.lights)
        views = walks.views[self._chunks.walk]
        self._starts = {
            (int(view), int(light)): self._chunks.where(
                (self._chunks.start == 0) & (views == view) & (self._chunks.light == light)
            ).walk
            for view, light in set(zip(walks.views, walks.lights[:, 0], strict=True))
            if view >= 0
        }
        self._starts = {key: found for key, found in self._starts.items() if len(found)}
        self._generated: dict[int, Tensor] = {}

    def keep_generated(self, walk: int, latents: Tensor) -> None:
        """Offer generated latents of a walk, [T, C, h, w], as context; they replace earlier ones."""
        self._generated[walk] = latents

    def draw(self, num_context: int, num_samples: int, generated_share: float) -> Batch:
        """Draw samples; a share of them have generated context, if there is any."""
        conditions = self._draw_conditions()
        moments = []
        for _ in range(num_samples):
            condition = conditions[self._rng.integers(len(conditions))]
            if num_context == 0:
                moments.append(self._draw_first(condition))
            elif self._generated and self._rng.random() < generated_share:
                moments.append(self._draw_generated(condition, num_context))
            else:
                moments.append(self._draw_true(condition, num_context))
        return collate(moments, self._walks.images, num_context)

    def _draw_conditions(self) -> list[Condition]:
        """Draw a few conditions per batch, because each costs a text pass; all prompts have as many words."""
        keys = list(self._starts)
        chosen = [keys[i] for i in self._rng.integers(len(keys), size=CONDITIONS)]
        prompts = self._prompts.draw(self._rng, [light for _, light in chosen])
        return [Condition(view, light, prompt) for (view, light), prompt in zip(chosen, prompts, strict=True)]

    def _draw_first(self, condition: Condition) -> Moment:
        walks = self._starts[condition.view, condition.light]
        beginning, other = self._rng.choice(walks, size=2)
        return self._moment(condition, _span(beginning, 0) + _span(other, 0))

    def _draw_true(self, condition: Condition, num_context: int) -> Moment:
        beginning = self._draw_beginning(condition)
        walk, start = self._draw_next(condition, beginning, num_context)
        # The past may come from another walk: the world is the same, and poses are known.
        offset = (start - 1) % CHUNK + 1
        past = _span(beginning, 0) + [(walk, i) for i in range(offset, start)]
        chunk = _span(walk, start)
        context = self._choose(past, chunk, num_context)
        return self._moment(condition, context + chunk + self._draw_other(condition, walk, start))

    def _draw_generated(self, condition: Condition, num_context: int) -> Moment:
        """Draw a sample whose past the model generated itself, if there is one from the view."""
        walks = [walk for walk in self._generated if self._walks.views[walk] == condition.view]
        if not walks:
            return self._draw_true(condition, num_context)
        walk = int(self._rng.choice(walks))
        fewest = max(1, -(-num_context // CHUNK))
        own = self._chunks.where(
            (self._chunks.walk == walk)
            & (self._chunks.start % CHUNK == 0)
            & (self._chunks.start >= CHUNK * fewest)
            & (self._chunks.light == condition.light)
        )
        if not len(own.start):
            return self._draw_true(condition, num_context)
        start = int(self._rng.choice(own.start))
        chunk = _span(walk, start)
        context = self._choose([(walk, i) for i in range(start)], chunk, num_context)
        moment = self._moment(condition, context + chunk + self._draw_other(condition, walk, start))
        latents = torch.stack([self._generated[walk][i] for _, i in context])
        return replace(moment, latents=torch.cat([latents, moment.latents[num_context:]]))

    def _draw_beginning(self, condition: Condition) -> int:
        """Draw a walk from the start view, mostly in the light of the prompt."""
        if self._rng.random() < SAME_LIGHT:
            return int(self._rng.choice(self._starts[condition.view, condition.light]))
        return int(self._rng.choice(np.flatnonzero(self._walks.views == condition.view)))

    def _draw_next(self, condition: Condition, beginning: int, num_context: int) -> tuple[int, int]:
        """Draw the walk that follows the beginning, and the first latent of the chunk to denoise."""
        chunks = self._chunks.where(self._chunks.light == condition.light)
        if num_context <= CHUNK and self._rng.random() < 0.5:
            follows = chunks.where((chunks.walk == beginning) & (chunks.start == CHUNK))
            if len(follows.start):
                return beginning, CHUNK
        late = chunks.where(chunks.start > 2 * CHUNK)
        chance = self._rng.random()
        if chance < AFTER_SWITCH and late.switched.any():
            late = late.where(late.switched)
        elif chance < 0.3 and (late.walk == beginning).any():
            late = late.where(late.walk == beginning)
        return late.draw(self._rng)

    def _draw_other(self, condition: Condition, walk: int, start: int) -> Frames:
        """Draw a chunk that is not a walk's first: near the given chunk, or from anywhere."""
        chunks = self._chunks.where((self._chunks.light == condition.light) & (self._chunks.start > 0))
        if self._rng.random() < 0.5:
            near = (chunks.start >= start - 6) & (chunks.start <= start + 10)
            chunks = chunks.where((chunks.walk == walk) & near)
        return _span(*chunks.draw(self._rng))

    def _choose(self, past: Frames, chunk: Frames, num_context: int) -> Frames:
        """Choose context as at inference, and cut it to the size."""
        c2w = np.stack([self._walks.c2w[walk, index] for walk, index in past + chunk])
        return [past[i] for i in choose_context(c2w, len(past), max(2 * CHUNK, num_context))[:num_context]]

    def _moment(self, condition: Condition, frames: Frames) -> Moment:
        walks, indices = np.array(frames).T
        return Moment(
            self._walks.latents[walks, indices],
            self._walks.c2w[walks, indices],
            self._walks.labels[walks, indices],
            indices == 0,
            condition,
        )


def _span(walk: int, start: int) -> Frames:
    """List the latents of a chunk."""
    return [(walk, start + i) for i in range(CHUNK)]


def choose_context(c2w: NDArray[np.float64], start: int, memory_latents: int = MEMORY_LATENTS) -> list[int]:
    """Choose the context of the chunk that begins at `start`, as the server does."""
    return select_context(
        invert_pose(c2w),
        start,
        _POINTS,
        memory_latents=memory_latents,
        recent_latents=RECENT_LATENTS,
        chunk_latents=CHUNK,
    )


def collate(moments: list[Moment], images: Tensor, num_context: int) -> Batch:
    """Join samples of the same length to a batch, with poses relative to their start views."""
    latents = torch.stack([moment.latents for moment in moments]).transpose(1, 2)
    conditions = list({id(moment.condition): moment.condition for moment in moments}.values())
    rows = {id(condition): row for row, condition in enumerate(conditions)}
    starts = np.stack([VIEWPOINTS[moment.condition.view].c2w for moment in moments])
    w2c = invert_pose(np.stack([moment.c2w for moment in moments])) @ starts[:, None]
    cond = torch.zeros(latents.shape[0], latents.shape[1] + 1, *latents.shape[2:])
    for row, moment in enumerate(moments):
        for first in np.flatnonzero(moment.is_first):
            cond[row, :-1, first] = images[moment.condition.view]
            cond[row, -1, first] = 1
    return Batch(
        latents=latents,
        cond=cond,
        viewmats=torch.from_numpy(w2c).float(),
        intrinsics=torch.tensor(DEFAULT_INTRINSICS).float().expand(len(moments), latents.shape[2], 3, 3),
        actions=torch.from_numpy(np.stack([moment.labels for moment in moments])),
        conditions=torch.tensor([rows[id(moment.condition)] for moment in moments]),
        text_images=torch.stack([images[condition.view] for condition in conditions]),
        text_states=torch.stack([condition.prompt for condition in conditions]),
        num_context=num_context,
    )
