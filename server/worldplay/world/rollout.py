"""The autoregressive rollout: makes the next chunk of noise, context and steering, in a few steps."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldplay.model.conditioning import condition_channels
from worldplay.model.kv_cache import KVCache
from worldplay.model.prope import Cameras
from worldplay.model.scheduler import euler_step, sigmas, timesteps
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.camera import Pose, invert_pose
from worldplay.world.chunk import Chunk, PendingChunk, Stage
from worldplay.world.context import select_context
from worldplay.world.frames import count_frames
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.steering import Steering
from worldplay.world.timing import Stopwatch
from worldplay.world.walk import Path, Walk


@dataclass(frozen=True, slots=True)
class RolloutModel:
    """What generating a chunk needs. The caches are scratch memory; a chunk fills them again if needed."""

    transformer: WorldPlayTransformer
    caches: list[KVCache]  # one per guidance branch, the prompt's own last
    points: NDArray[np.float32]  # [N, 3], sample points of the memory selection
    config: RolloutConfig


def rollout(model: RolloutModel, walk: Walk, steering: Steering) -> Iterator[Chunk]:
    """Generate chunks of a walk, for as long as the caller asks for more."""
    while True:
        yield begin_chunk(model, walk, steering).finish()


def begin_chunk(model: RolloutModel, walk: Walk, steering: Steering) -> PendingChunk:
    """Begin the next chunk of a walk: a context pass, then the denoising steps.

    The context pass needs only finished latents and the memory selection, so it runs on poses that the
    steering predicts. Steering is latched after it. If the real poses select another context, the pass is
    repeated, so the result does not depend on the prediction. It is also repeated if another chunk has used
    the caches between two stages. The walk changes only after the last step.
    """
    return PendingChunk(_generate(model, walk, steering))


@torch.inference_mode()
def _generate(model: RolloutModel, walk: Walk, steering: Steering) -> Generator[Stage, None, Chunk]:
    """Generate a chunk; yield the name of each stage before it."""
    caches = _ChunkCaches(model, walk)
    count = model.config.chunk_latents
    start = walk.num_latents
    num_moves = count if start else count - 1  # the very first latent stands at the origin
    clock = Stopwatch(model.transformer.device)

    yield "context"
    clock.restart()
    predicted = walk.follow(steering.predict(num_moves))
    context = _choose_context(model, walk, predicted)
    clock.lap("select")
    caches.ensure(context)
    clock.lap("context")

    yield "step"
    clock.restart()
    path = walk.follow(steering.latch(num_moves))
    if not np.array_equal(path.c2w, predicted.c2w):
        context = _choose_context(model, walk, path)
    clock.lap("select")
    latents = walk.draw_noise(start, count).to(model.transformer.device)
    for index, step in enumerate(_denoising_steps(model, walk, path)):
        if index:
            yield "step"
            clock.restart()
        caches.ensure(context)
        clock.lap("context")
        latents = step(latents)
        clock.lap("denoise")
    walk.append(latents.to(model.transformer.dtype), path)  # in the model's dtype: half the memory with bf16
    return finished_chunk(start, latents, path, context, clock.laps_ms)


def finished_chunk(
    start: int, latents: Tensor, path: Path, context: list[int], timings_ms: dict[str, float]
) -> Chunk:
    """Describe finished latents [1, C, n, h, w], which begin at the walk's latent `start`, along a path."""
    count = latents.shape[2]
    return Chunk(
        index=start // count,
        num_frames=count_frames(start + count) - count_frames(start),
        latents=latents,
        poses=path.c2w,
        motions=path.motions(),
        labels=path.labels.tolist(),
        bumped=path.bumped,
        context=context,
        timings_ms=timings_ms,
    )


def _choose_context(model: RolloutModel, walk: Walk, path: Path) -> list[int]:
    """Select context for the latents that `path` will add."""
    config = model.config
    c2w = np.concatenate([walk.c2w, path.c2w])
    return select_context(
        invert_pose(c2w),
        walk.num_latents,
        model.points,
        memory_latents=config.memory_latents,
        recent_latents=config.recent_latents,
        chunk_latents=config.chunk_latents,
    )


class _ChunkCaches:
    """The caches, as used by one chunk."""

    def __init__(self, model: RolloutModel, walk: Walk) -> None:
        self._model = model
        self._walk = walk
        self._mark = object()

    def ensure(self, context: list[int]) -> None:
        """Fill the caches with the walk's text and this context, unless they hold them already."""
        wanted = (self._mark, context)
        if all(cache.holds == wanted for cache in self._model.caches):
            return
        for cache in self._model.caches:
            cache.holds = None  # in case the pass fails
        _encode_context(self._model, self._walk, context)
        for cache in self._model.caches:
            cache.holds = wanted


def _encode_context(model: RolloutModel, walk: Walk, context: list[int]) -> None:
    """Fill each branch's cache with the walk's text and its context latents."""
    for cache, text in zip(model.caches, walk.text, strict=True):
        cache.set_text(text)
    if not context:
        return
    latents = walk.latents.gather(context)
    cond = condition_channels(walk.image_latent, len(context), first=context[0] == 0)
    cameras = _cameras(model, walk.c2w[context], walk.intrinsics[context])
    labels = torch.from_numpy(walk.labels[context]).to(latents.device)
    for cache in model.caches:
        model.transformer.encode_context(latents, cond, cameras, labels, cache, model.config.context_timestep)


def _denoising_steps(model: RolloutModel, walk: Walk, path: Path) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield the Euler steps from pure noise to the chunk along a path: latents [1, C, n, h, w] to latents."""
    cond = condition_channels(walk.image_latent, len(path.labels), first=walk.num_latents == 0)
    cameras = _cameras(model, path.c2w, path.intrinsics)
    labels = torch.from_numpy(path.labels).to(model.transformer.device)
    levels = sigmas(model.config.steps, model.config.shift)

    def step(latents: Tensor, timestep: float, sigma: float, sigma_next: float) -> Tensor:
        velocities = [
            model.transformer.denoise(latents, cond, cameras, labels, timestep, cache)
            for cache in model.caches
        ]
        return euler_step(latents, guide(velocities, model.config.guidance), sigma, sigma_next)

    for timestep, (sigma, sigma_next) in zip(
        timesteps(levels).tolist(), pairwise(levels.tolist()), strict=True
    ):
        yield partial(step, timestep=timestep, sigma=sigma, sigma_next=sigma_next)


def guide(velocities: list[Tensor], guidance: float) -> Tensor:
    """Apply classifier-free guidance to velocities, each [1, C, n, h, w], the negative prompt's first.

    A single velocity is returned unchanged.
    """
    if len(velocities) == 1:
        return velocities[0]
    negative, positive = velocities
    return negative + guidance * (positive - negative)


def _cameras(model: RolloutModel, c2w: Pose, intrinsics: Pose) -> Cameras:
    viewmats = torch.from_numpy(invert_pose(c2w)).float()[None]
    return model.transformer.prepare_cameras(viewmats, torch.from_numpy(intrinsics).float()[None])
