"""The autoregressive rollout: makes the next chunk of noise, context and steering, in a few steps."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from time import perf_counter
from weakref import ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldplay.model.conditioning import condition_channels
from worldplay.model.kept_context import KeptLatent, encode_between, restore_context
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.prope import Cameras
from worldplay.model.scheduler import euler_step, sigmas, timesteps
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.cache_sets import CacheSet, Holds, choose_caches
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Pose, invert_pose
from worldplay.world.chunk import Chunk, PendingChunk, Stage
from worldplay.world.context import select_context
from worldplay.world.frames import count_frames
from worldplay.world.kept_rollout import ChunkContext, Keeping, make_chunk_contexts
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.steering import Move, Steering
from worldplay.world.timing import Stopwatch
from worldplay.world.walk import Path, Walk

_VISIBLE = 0.05  # of a key's step: two pixels of 832, after a turn


@dataclass(frozen=True, slots=True)
class RolloutModel:
    """What generating a chunk needs. The caches are scratch memory; a chunk fills them again if needed."""

    transformer: WorldPlayTransformer
    caches: CacheSet
    points: NDArray[np.float32]  # [N, 3], sample points of the memory selection
    config: RolloutConfig
    keeping: Keeping | None = None  # None: the whole context is encoded for every chunk
    more_caches: tuple[CacheSet, ...] = ()  # so that walks that take turns each find what they encoded

    @property
    def cache_sets(self) -> tuple[CacheSet, ...]:
        return self.caches, *self.more_caches

    @property
    def num_texts(self) -> int:
        """Return how many texts a walk has: the prompt's, and with guidance a negative one."""
        return len(self.caches) - self.config.guides_by_history

    def spread(self, texts: list[TextKV]) -> list[TextKV]:
        """Return the text of each cache of a set."""
        return [*texts[-1:] * self.config.guides_by_history, *texts]

    def forget_contexts(self) -> None:
        """Let every context be encoded again, though the caches may hold it."""
        for cache in chain.from_iterable(self.cache_sets):
            cache.holds = None


def rollout(model: RolloutModel, walk: Walk, steering: Steering) -> Iterator[Chunk]:
    """Generate chunks of a walk, for as long as the caller asks for more."""
    while True:
        yield begin_chunk(model, walk, steering).finish()


def begin_chunk(model: RolloutModel, walk: Walk, steering: Steering) -> PendingChunk:
    """Begin the next chunk of a walk; see `ChunkRollout.begin`."""
    return ChunkRollout(model, walk).begin(steering)


class ChunkRollout:
    """The next chunk of a walk. It can be cut: the latents from any one on are generated again.

    A cut denoises the whole chunk again, from the same noise and behind the same context. Before each step
    the latents that are kept are set to what they were then. So the model sees whole chunks only, as in
    training, and a cut that is steered as before changes nothing. The result does not depend on what else
    has used the caches meanwhile.
    """

    def __init__(self, model: RolloutModel, walk: Walk) -> None:
        self._model = model
        self._walk = walk
        self._start = walk.num_latents
        self._caches = _ChunkCaches(model, walk)
        self._context: list[int] = []
        self._path: Path | None = None  # of the whole chunk, once it is generated
        self._inputs: list[Tensor] = []  # of each denoising step, for the whole chunk

    @property
    def is_finished(self) -> bool:
        """Return whether all stages have been done once, so that the chunk can be cut."""
        return self._path is not None

    def begin(self, steering: Steering) -> PendingChunk:
        """Begin the chunk: a context pass, then the denoising steps.

        The context pass needs only finished latents and the memory selection, so it runs on poses that the
        steering predicts. Steering is latched after it. If the real poses select another context, the pass
        is repeated, so the result does not depend on the prediction. It is also repeated if another walk has
        used the caches between two stages, and left out if they hold the context of an earlier attempt. The
        walk changes only after the last step.
        """
        return PendingChunk(self._generate(0, steering))

    def cut(self, kept: int, steering: Steering) -> PendingChunk:
        """Begin the finished chunk's latents from number `kept` on again, with other steering.

        The latents before stay as they are.
        """
        assert self._path is not None, "a chunk was cut before it was finished"
        assert 0 <= kept < self._model.config.chunk_latents, kept
        return PendingChunk(self._generate(kept, steering))

    @property
    def holds_context(self) -> bool:
        """Return whether the caches still hold the finished chunk's context."""
        return self.is_finished and self._caches.hold(self._context)

    def differs(self, kept: int, moves: Sequence[Move]) -> bool:
        """Return whether these moves, from latent `kept` on, visibly lead elsewhere than the finished chunk.

        What is too little to be seen adds up until the next latch, which includes it.
        """
        assert self._path is not None, "a chunk was compared before it was finished"
        path = self._walk.follow(moves, self._start + kept)
        off = np.abs(path.c2w - self._path.c2w[kept:])
        return bool(
            off[:, :3, :3].max() > _VISIBLE * TURN_STEP
            or off[:, :3, 3].max() > _VISIBLE * FORWARD_STEP
            or not np.allclose(path.intrinsics, self._path.intrinsics[kept:])
        )

    @torch.inference_mode()
    def _generate(self, kept: int, steering: Steering) -> Generator[Stage, None, Chunk]:
        """Generate the chunk's latents from `kept` on; yield the name of each stage before it."""
        model, walk, first = self._model, self._walk, self._start + kept
        count = model.config.chunk_latents
        num_moves = count - kept if first else count - 1  # the very first latent stands at the origin
        context = self._context
        clock = Stopwatch(model.transformer.device)

        yield "context"
        clock.restart()
        predicted = walk.follow(steering.predict(num_moves), first)
        if kept == 0:
            context = self._choose_context(predicted)
        clock.lap_of_host("select")
        clock.laps_ms["context"] = 0.0
        if self._caches.ensure(context):
            clock.lap("context")

        yield "step"
        clock.restart()
        moves = steering.latch(num_moves)
        path = walk.follow(moves, first)
        if kept == 0 and not np.array_equal(path.c2w, predicted.c2w):
            context = self._choose_context(path)
        clock.lap_of_host("select")
        whole = path if self._path is None else self._path.first(kept).followed_by(path)
        latents = walk.draw_noise(self._start, count).to(model.transformer.device)
        inputs: list[Tensor] = []
        for index, step in enumerate(_denoising_steps(model, walk, whole, self._start)):
            if index:
                yield "step"
                clock.restart()
            if self._caches.ensure(context):
                clock.lap("context")
            if kept:
                latents = torch.cat([self._inputs[index][:, :, :kept], latents[:, :, kept:]], dim=2)
            inputs.append(latents)
            latents = step(latents, self._caches.chosen)
            clock.lap("denoise")
        # In the model's dtype: half the memory with bf16. They are also shown so, as after a rewind.
        latents = latents[:, :, kept:].to(model.transformer.dtype)
        walk.replace(first, latents, path)
        walk.log.latch(first, moves)
        self._caches.keep()
        self._context, self._path, self._inputs = context, whole, inputs
        return finished_chunk(self._start, kept, latents, whole, context, clock.laps_ms)

    def _choose_context(self, path: Path) -> list[int]:
        """Select context for the latents along a path."""
        config = self._model.config
        return select_context(
            self._walk.invert(path.c2w, self._start),
            self._start,
            self._model.points,
            memory_latents=config.memory_latents,
            recent_latents=config.recent_latents,
            chunk_latents=config.chunk_latents,
        )


def finished_chunk(
    start: int, kept: int, latents: Tensor, path: Path, context: list[int], timings_ms: dict[str, float]
) -> Chunk:
    """Describe the chunk that begins at the walk's latent `start` and follows a path.

    Args:
        latents: [1, C, n, h, w], those from number `kept` on.
    """
    count = kept + latents.shape[2]
    return Chunk(
        index=start // count,
        first_latent=kept,
        num_frames=count_frames(start + count) - count_frames(start + kept),
        latents=latents,
        poses=path.c2w,
        motions=path.motions(),
        labels=path.labels.tolist(),
        bumped=path.bumped,
        context=context,
        timings_ms=timings_ms,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What one cache gets for a chunk."""

    cache: KVCache
    text: TextKV
    read_back: ChunkContext | None
    context: list[int]


class _ChunkCaches:
    """The caches, as used by one chunk. A prompt that comes later does not change its text."""

    def __init__(self, model: RolloutModel, walk: Walk) -> None:
        self._model = model
        self._walk = walk
        self._start = walk.num_latents
        self._text = walk.text
        self._contexts: Sequence[ChunkContext | None] = [None] * len(self._text)
        if model.keeping is not None:
            self._contexts = make_chunk_contexts(model.keeping, walk.kept, self._text)
        self.chosen = model.caches  # those that were filled last

    def keep(self) -> None:
        """Keep what later chunks may read back, when the chunk is finished."""
        has_its_text = self._walk.text is self._text
        for context in self._contexts:
            if context is not None:
                context.keep(is_of_use=has_its_text)

    def hold(self, context: list[int]) -> bool:
        """Return whether the caches that would be chosen hold this context."""
        identify = self._walk.latents.identify
        return all(
            _find(part.cache, part.text, identify(part.context), part.read_back) is not None
            for part in self._divide(context)
        )

    def ensure(self, context: list[int]) -> bool:
        """Fill the chosen caches with the text and this context, unless they hold it already.

        Returns: whether anything was done.
        """
        parts = self._divide(context)
        self.chosen = [part.cache for part in parts]
        return any([self._fill(part) for part in parts])

    def _divide(self, context: list[int]) -> list[_Part]:
        """Tell what each of the chosen caches gets.

        History guidance needs another one, once the context no longer holds the whole walk.
        """
        caches = choose_caches(self._model.cache_sets, self._walk)
        own = caches[-len(self._text) :]
        parts = [_Part(*part, context) for part in zip(own, self._text, self._contexts, strict=True)]
        config = self._model.config
        if config.guides_by_history and len(context) < self._start:
            latest = context[-config.recent_latents :]
            parts.insert(0, _Part(caches[0], self._text[-1], None, latest))
        return parts

    def _fill(self, part: _Part) -> bool:
        """Fill one cache. Returns: whether anything was done."""
        cache, text, read_back = part.cache, part.text, part.read_back
        wanted = self._walk.latents.identify(part.context)
        holds, cache.holds = _find(cache, text, wanted, read_back), None  # None in case a pass fails
        is_missing = holds is None
        if holds is None:
            cache.set_text(text)
            self._bring(part.context, read_back, cache)
            source = None if read_back is None else ref(read_back)
            holds = Holds(ref(self._walk), wanted, source, 0.0)
        cache.holds = replace(holds, used_at=perf_counter())
        return is_missing

    def _bring(self, context: list[int], read_back: ChunkContext | None, cache: KVCache) -> None:
        """Bring a context into a cache that holds only the text."""
        if read_back is None:
            _append_latents(self._model, self._walk, context, cache)
        else:
            read_back.fill(LatentsOf(self._model, self._walk), context, cache)


def _find(
    cache: KVCache, text: TextKV, context: list[object], read_back: ChunkContext | None
) -> Holds | None:
    """Return what a cache holds, if it is this text and this context."""
    holds = cache.holds
    if not isinstance(holds, Holds) or cache.text is not text or not holds.is_for(context, read_back):
        return None
    return holds


@dataclass(frozen=True, slots=True)
class LatentsOf:
    """Brings a walk's latents into caches, each with a time position of its own."""

    model: RolloutModel
    walk: Walk

    def encode(
        self, indices: list[int], positions: list[int], kept: Sequence[KeptLatent], cache: KVCache
    ) -> None:
        inputs = _context_inputs(self.model, self.walk, indices)
        timestep = self.model.config.context_timestep
        encode_between(self.model.transformer, *inputs, cache, timestep, positions, kept)

    def restore(
        self, indices: list[int], positions: list[int], kept: Sequence[KeptLatent], cache: KVCache
    ) -> None:
        walk, transformer = self.walk, self.model.transformer
        cameras = _cameras(self.model, walk.c2w[indices], walk.intrinsics[indices])
        height, width = walk.image_latent.shape[-2:]
        restore_context(transformer, kept, (len(indices), height, width), cameras, cache, positions)


def _append_latents(model: RolloutModel, walk: Walk, indices: Sequence[int], cache: KVCache) -> None:
    """Append a walk's latents to the context of a cache."""
    if not indices:
        return
    inputs = _context_inputs(model, walk, list(indices))
    encode = model.transformer.extend_context if cache.num_context else model.transformer.encode_context
    encode(*inputs, cache, model.config.context_timestep)


def _context_inputs(
    model: RolloutModel, walk: Walk, chosen: list[int]
) -> tuple[Tensor, Tensor, Cameras, Tensor]:
    """Gather a walk's latents with their condition, cameras and actions."""
    latents = walk.latents.gather(chosen)
    cond = condition_channels(walk.image_latent, len(chosen), first=chosen[0] == 0)
    cameras = _cameras(model, walk.c2w[chosen], walk.intrinsics[chosen])
    return latents, cond, cameras, torch.from_numpy(walk.labels[chosen]).to(latents.device)


def _denoising_steps(
    model: RolloutModel, walk: Walk, path: Path, first: int
) -> Iterator[Callable[[Tensor, CacheSet], Tensor]]:
    """Yield the Euler steps from pure noise to the latents along a path, each [1, C, n, h, w] to the same.

    A step takes the caches that hold the context.

    Args:
        first: the walk's latent at which the path begins.
    """
    cond = condition_channels(walk.image_latent, len(path.labels), first=first == 0)
    cameras = _cameras(model, path.c2w, path.intrinsics)
    labels = torch.from_numpy(path.labels).to(model.transformer.device)
    config = model.config
    levels = sigmas(config.steps, config.shift)

    def step(
        latents: Tensor, caches: CacheSet, *, timestep: float, sigma: float, sigma_next: float
    ) -> Tensor:
        guidance = config.guidance
        if config.guides_by_history:
            guidance = config.history_guidance
            caches = caches if sigma_next == 0 else caches[-1:]
        velocities = [
            model.transformer.denoise(latents, cond, cameras, labels, timestep, cache) for cache in caches
        ]
        return euler_step(latents, guide(velocities, guidance), sigma, sigma_next)

    for timestep, (sigma, sigma_next) in zip(
        timesteps(levels).tolist(), pairwise(levels.tolist()), strict=True
    ):
        yield partial(step, timestep=timestep, sigma=sigma, sigma_next=sigma_next)


def guide(velocities: list[Tensor], guidance: float) -> Tensor:
    """Lead velocities, each [1, C, n, h, w], away from the first one: classifier-free or history guidance.

    The first is the negative prompt's, or what the latest latents alone tell (Song et al. 2025, arXiv
    2502.06764). A single velocity is returned unchanged.
    """
    if len(velocities) == 1:
        return velocities[0]
    negative, positive = velocities
    return negative + guidance * (positive - negative)


def _cameras(model: RolloutModel, c2w: Pose, intrinsics: Pose) -> Cameras:
    """Prepare the cameras of latents: c2w [n, 4, 4] and intrinsics [n, 3, 3]."""
    viewmats = torch.from_numpy(invert_pose(c2w)).float()[None]
    return model.transformer.prepare_cameras(viewmats, torch.from_numpy(intrinsics).float()[None])
