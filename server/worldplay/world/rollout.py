"""The autoregressive rollout: noise, context and steering become the next chunk in a few denoising steps."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldplay.model.kv_cache import KVCache
from worldplay.model.prope import Cameras
from worldplay.model.scheduler import euler_step, sigmas, timesteps
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.camera import Motion, invert_pose
from worldplay.world.context import select_context
from worldplay.world.images import condition_channels
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.timing import Stopwatch
from worldplay.world.walk import Path, Pose, Step, Walk


@dataclass(frozen=True, slots=True)
class RolloutModel:
    """What generating a chunk needs; the caches are scratch memory, which a chunk fills again if it must."""

    transformer: WorldPlayTransformer
    caches: list[KVCache]  # one per guidance branch, the prompt's own last
    points: NDArray[np.float32]  # [N, 3], sample points of the memory selection
    config: RolloutConfig


class Stage(Enum):
    """What has just been finished when `generate_chunk` yields."""

    CONTEXT = auto()
    STEP = auto()


class Steering(Protocol):
    """Where the visitor goes. Pulled when needed, so that every chunk uses the latest key presses."""

    def predict(self, num_latents: int) -> list[Step]:
        """What the next motions will be if nothing changes. Consumes nothing."""
        ...

    def latch(self, num_latents: int) -> list[Step]:
        """The next motions, for good. Called once per chunk, just before its first denoising step."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A finished chunk of n latent frames and how it came about."""

    index: int
    num_frames: int  # of video: 4 for a latent frame, but 1 for the walk's first
    latents: Tensor  # [1, C, n, h, w]
    poses: Pose  # [n, 4, 4] c2w
    motions: list[Motion]  # that led to each pose, as taken
    labels: list[int]
    bumped: bool
    context: list[int]  # the latent frames it was generated from
    timings_ms: dict[str, float]  # select, context, denoise


def rollout(model: RolloutModel, walk: Walk, steering: Steering) -> Iterator[Chunk]:
    """Walk on, chunk by chunk, for as long as the caller asks for more."""
    while True:
        yield finish(generate_chunk(model, walk, steering))


def finish(stages: Generator[Stage, None, Chunk]) -> Chunk:
    """Run a chunk through to its end."""
    while True:
        try:
            next(stages)
        except StopIteration as stop:
            chunk: Chunk = stop.value
            return chunk


@torch.inference_mode()
def generate_chunk(model: RolloutModel, walk: Walk, steering: Steering) -> Generator[Stage, None, Chunk]:
    """Generate the next chunk of a walk, pausing after the context pass and after every denoising step.

    The context pass needs only finished latents and the selection, so it runs ahead on the poses that the
    steering predicts. Steering is latched afterwards; only if the real poses select another context is the
    pass done again, so the result does not depend on the prediction. Nor does it depend on other chunks that
    use the caches during the pauses: the pass is then done again, too. The walk changes at the very end: a
    generator that is closed before leaves no trace.
    """
    clock = Stopwatch(model.transformer.device)
    caches = _Claim(model, walk)
    count = model.config.chunk_latents
    start = walk.num_latents
    num_steps = count if start else count - 1  # the very first latent stands at the origin

    context = _choose_context(model, walk, walk.follow(steering.predict(num_steps)))
    clock.lap("select")
    caches.ensure(context)
    clock.lap("context")
    yield Stage.CONTEXT

    clock.restart()
    path = walk.follow(steering.latch(num_steps))
    context = _choose_context(model, walk, path)
    clock.lap("select")

    latents = walk.draw_noise(start, count).to(model.transformer.device)
    for step in _denoising_steps(model, walk, path):
        caches.ensure(context)
        clock.lap("context")
        latents = step(latents)
        clock.lap("denoise")
        yield Stage.STEP
        clock.restart()
    walk.append(latents.to(model.transformer.dtype), path)  # as it will read them: half the memory in bf16
    return finished_chunk(start, latents, path, context, clock.laps_ms)


def finished_chunk(
    start: int, latents: Tensor, path: Path, context: list[int], timings_ms: dict[str, float]
) -> Chunk:
    """What there is to say of latents [1, C, n, h, w], the walk's from `start` on, made along a path."""
    count = latents.shape[2]
    return Chunk(
        index=start // count,
        num_frames=4 * count if start else 4 * count - 3,
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


class _Claim:
    """One chunk's use of the caches."""

    def __init__(self, model: RolloutModel, walk: Walk) -> None:
        self._model = model
        self._walk = walk
        self._mark = object()

    def ensure(self, context: list[int]) -> None:
        """Have the caches hold the walk's text and this context; whoever used them since is not asked."""
        wanted = (self._mark, context)
        if all(cache.holds == wanted for cache in self._model.caches):
            return
        for cache in self._model.caches:
            cache.holds = None  # in case the pass fails
        _encode_context(self._model, self._walk, context)
        for cache in self._model.caches:
            cache.holds = wanted


def _encode_context(model: RolloutModel, walk: Walk, context: list[int]) -> None:
    """Fill each branch's cache with the walk's text and its context latents as they were generated."""
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
    """The Euler steps that lead from pure noise to the chunk seen along a path: latents to latents."""
    cond = condition_channels(walk.image_latent, len(path.labels), first=walk.num_latents == 0)
    cameras = _cameras(model, path.c2w, path.intrinsics)
    labels = torch.from_numpy(path.labels).to(model.transformer.device)
    levels = sigmas(model.config.steps, model.config.shift)

    def step(latents: Tensor, timestep: float, sigma: float, sigma_next: float) -> Tensor:
        velocities = [
            model.transformer.denoise(latents, cond, cameras, labels, timestep, cache)
            for cache in model.caches
        ]
        return euler_step(latents, _guide(velocities, model.config.guidance), sigma, sigma_next)

    for timestep, (sigma, sigma_next) in zip(
        timesteps(levels).tolist(), pairwise(levels.tolist()), strict=True
    ):
        yield partial(step, timestep=timestep, sigma=sigma, sigma_next=sigma_next)


def _guide(velocities: list[Tensor], guidance: float) -> Tensor:
    """Classifier-free guidance; a single branch is taken as it is."""
    if len(velocities) == 1:
        return velocities[0]
    negative, positive = velocities
    return negative + guidance * (positive - negative)


def _cameras(model: RolloutModel, c2w: Pose, intrinsics: Pose) -> Cameras:
    viewmats = torch.from_numpy(invert_pose(c2w)).float()[None]
    return model.transformer.prepare_cameras(viewmats, torch.from_numpy(intrinsics).float()[None])
