"""The autoregressive rollout: makes the next chunk of noise, context and steering, in a few steps."""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from worldplay.model.conditioning import condition_channels
from worldplay.model.kv_cache import KVCache
from worldplay.model.scheduler import denoising_levels, euler_step
from worldplay.world.camera import FORWARD_STEP, TURN_STEP
from worldplay.world.chunk import Chunk, PendingChunk, Stage
from worldplay.world.chunk_caches import ChunkCaches, make_cameras
from worldplay.world.context import select_context, similarity
from worldplay.world.frames import count_frames
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import Move, Steering
from worldplay.world.timing import Stopwatch
from worldplay.world.walk import Path, Walk

_VISIBLE = 0.05  # of a key's step: two pixels of 832, after a turn


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
        self._caches = ChunkCaches(model, walk)
        self._relighting = self._caches.relighting
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
        relit = self._relighting.is_missing
        yield from self._relight(clock)
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
        stood = count_stood(model, walk, whole, self._start)
        latents = latents[:, :, kept:]
        latents = _settle(walk, latents, first, stood[kept:])
        # In the model's dtype: half the memory with bf16. They are also shown so, as after a rewind.
        latents = latents.to(model.transformer.dtype)
        walk.replace(first, latents, path)
        walk.log.latch(first, moves)
        self._caches.keep()
        self._context, self._path, self._inputs = context, whole, inputs
        return finished_chunk(self._start, kept, latents, whole, stood, context, clock.laps_ms, relit=relit)

    def _relight(self, clock: Stopwatch) -> Iterator[Stage]:
        """Generate the walk's first chunk again, along the same path, by another prompt, if there is one."""
        model, walk, count = self._model, self._walk, self._model.config.chunk_latents
        if not self._relighting.is_missing:
            return
        first = slice(0, count)
        path = Path(walk.c2w[first], walk.labels[first], walk.intrinsics[first], False, walk.origin.c2w)
        latents = walk.draw_noise(0, count).to(model.transformer.device)
        for step in _denoising_steps(model, walk, path, 0):
            self._caches.ensure([])
            latents = step(latents, self._caches.chosen)
            clock.lap("context")
            yield "context"
            clock.restart()
        latents = _settle(walk, latents, 0, count_stood(model, walk, path, 0))
        self._relighting.keep(latents.to(model.transformer.dtype))

    def _choose_context(self, path: Path) -> list[int]:
        """Select context for the latents along a path."""
        config, w2c = self._model.config, self._walk.invert(path.c2w, self._start)
        remembered = self._relighting.remembered(self._start)
        if len(remembered) < self._start:
            w2c = np.concatenate([w2c[remembered], w2c[self._start :]])
        chosen = select_context(
            w2c,
            len(remembered),
            self._model.points,
            memory_latents=config.memory_latents,
            first_latents=config.first_latents,
            recent_latents=config.recent_latents,
            chunk_latents=config.chunk_latents,
        )
        return [remembered[index] for index in chosen]


def count_stood(model: RolloutModel, walk: Walk, path: Path, start: int) -> list[int]:
    """Count as `Walk.count_stood` if the model's world is still. Other worlds may move: 0 for each latent."""
    return walk.count_stood(path, start) if model.config.is_still else [0] * len(path.c2w)


def _settle(walk: Walk, latents: Tensor, first: int, stood: Sequence[int]) -> Tensor:
    """Replace each latent in which nothing changes by the mean of those since the last change.

    So the picture comes to rest, and is nearer to the truth than any one of them.

    Args:
        latents: [1, C, n, h, w] float32; first: the number of the first in the walk.
        stood: of each of them, as `Walk.count_stood`.
    Returns: [1, C, n, h, w].
    """
    if max(stood) <= 1:
        return latents
    mean = walk.latents.gather([first - 1]).to(latents) if first else latents[:, :, :1]
    settled: list[Tensor] = []
    for latent, count in zip(latents.split(1, dim=2), stood, strict=True):
        mean = torch.lerp(mean, latent, 1 / count) if count > 1 else latent
        settled.append(mean)
    return torch.cat(settled, dim=2)


def finished_chunk(
    start: int,
    kept: int,
    latents: Tensor,
    path: Path,
    stood: list[int],
    context: list[int],
    timings_ms: dict[str, float],
    *,
    relit: bool = False,
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
        stood=stood,
        bumped=path.bumped,
        context=context,
        timings_ms=timings_ms,
        relit=relit,
    )


def _denoising_steps(
    model: RolloutModel, walk: Walk, path: Path, first: int
) -> Iterator[Callable[[Tensor, Sequence[KVCache]], Tensor]]:
    """Yield the Euler steps from pure noise to the latents along a path, each [1, C, n, h, w] to the same.

    A step takes the caches that hold the context.

    Args:
        first: the walk's latent at which the path begins.
    """
    cond = condition_channels(walk.image_latent, len(path.labels), first=first == 0)
    cameras = make_cameras(model, path.c2w, path.intrinsics)
    labels = torch.from_numpy(path.labels).to(model.transformer.device)
    config = model.config

    def step(
        latents: Tensor, caches: Sequence[KVCache], *, timestep: float, sigma: float, sigma_next: float
    ) -> Tensor:
        denoise = partial(model.transformer.denoise, latents, cond, cameras, labels, timestep)
        velocities, guidance = [denoise(cache) for cache in caches], config.guidance
        if config.guides_by_history and sigma_next == 0 and caches[-1].num_context < first:
            velocities.insert(0, denoise(caches[-1], config.recent_latents))
            guidance = _history_guidance(model, walk, path, first)
        return euler_step(latents, guide(velocities, guidance), sigma, sigma_next)

    for timestep, sigma, sigma_next in denoising_levels(config.steps, config.shift):
        yield partial(step, timestep=timestep, sigma=sigma, sigma_next=sigma_next)


def _history_guidance(model: RolloutModel, walk: Walk, path: Path, start: int) -> float:
    """Return how much latents along a path are guided by history.

    The more of the last view is in the first chunk, the less: it begins with a real picture, and guidance
    would make that sharper than it is.
    """
    w2c = walk.invert(path.c2w, start)
    share = similarity(w2c[-1], w2c[: model.config.chunk_latents], model.points).mean()
    return 1 + (model.config.history_guidance - 1) * (1 - float(share))


def guide(velocities: list[Tensor], guidance: float) -> Tensor:
    """Lead velocities, each [1, C, n, h, w], away from the first one: classifier-free or history guidance.

    The first is the negative prompt's, or what the latest latents alone tell (Song et al. 2025, arXiv
    2502.06764). A single velocity is returned unchanged.
    """
    if len(velocities) == 1:
        return velocities[0]
    negative, positive = velocities
    return negative + guidance * (positive - negative)
