"""Chooses training samples: chunks to denoise, with a prompt and a context, which may be shortened."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.batch import Condition, Moment
from training.chunks import CHUNK, find_chunks
from training.latent_walks import WalkTable
from training.prompt_book import PromptBook
from worldplay.world.camera import invert_pose
from worldplay.world.context import NUM_POINTS, sample_points, select_context

MEMORY_LATENTS, RECENT_LATENTS = 12, 4
# Context sizes and how often each is drawn: 0 is for a walk's first chunk; 1 is the start view alone, 4 the
# first chunk, 8 the first chunk and the latest four latents, 12 also a retrieved chunk. Contexts that are
# smaller than at inference teach the model to use the absolute camera, which does not drift.
CONTEXT_SIZES = (0, 1, 4, 8, 12)
CONTEXT_SHARES = (0.09, 0.05, 0.10, 0.18, 0.58)
# Chunks denoised per context pass: the next one, and one from nearby or from anywhere, for which the context
# is less useful. The second trains larger motions and the absolute camera, at less cost.
CHUNKS_PER_CONTEXT = 2
CONDITIONS = 4  # at least so many pairs of a start view and a prompt in one batch
SAME_LIGHT = 0.7  # at least this share of samples has a first chunk in the light of the prompt
AFTER_SWITCH = 0.12  # share of samples right after a change of light: only the prompt gives the new one
_POINTS = sample_points(NUM_POINTS, seed=0)


@dataclass(frozen=True, slots=True)
class Request:
    """What to choose: `num_samples` with contexts of `num_context` latents; the seed determines which."""

    seed: int
    num_context: int
    num_samples: int
    generated_share: float  # of samples, whose context is taken from the walks in `generated`
    generated: Sequence[int]


Frames = list[tuple[int, int]]  # (walk, latent)


class Sampler:
    """An endless supply of samples from walks, true ones and some that the model generated itself."""

    def __init__(self, walks: WalkTable, prompts: PromptBook) -> None:
        self._walks, self._prompts = walks, prompts
        self._rng, self._generated = np.random.default_rng(), np.array([], np.int64)
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

    def choose(self, request: Request) -> list[Moment]:
        """Choose samples; a share of them have generated context, if there is any."""
        self._rng = np.random.default_rng(request.seed)
        self._generated = np.array(request.generated, np.int64)
        conditions = self._draw_conditions(max(CONDITIONS, request.num_samples // 4))
        moments = []
        for _ in range(request.num_samples):
            condition = conditions[self._rng.integers(len(conditions))]
            if request.num_context == 0:
                moments.append(self._draw_first(condition))
            elif len(self._generated) and self._rng.random() < request.generated_share:
                moments.append(self._draw_generated(condition, request.num_context))
            else:
                moments.append(self._draw_true(condition, request.num_context))
        return moments

    def _draw_conditions(self, count: int) -> list[Condition]:
        """Draw a few conditions per batch, because each costs a text pass; all prompts have as many words."""
        keys = list(self._starts)
        chosen = [keys[i] for i in self._rng.integers(len(keys), size=count)]
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
        walks = self._generated[self._walks.views[self._generated] == condition.view]
        if not len(walks):
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
        return replace(moment, num_made=num_context)

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
        places = np.array(frames)
        walks, indices = places.T
        return Moment(
            places, 0, self._walks.c2w[walks, indices], self._walks.labels[walks, indices], condition
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
