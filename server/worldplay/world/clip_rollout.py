"""The bidirectional rollout: chunks of 16 latents along a walk, with guidance; too slow to steer live."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.conditioning import Conditioning, condition_channels
from worldplay.model.scheduler import denoising_levels, euler_step
from worldplay.world.camera import invert_pose
from worldplay.world.chunk import Chunk, PendingChunk, Stage
from worldplay.world.context import select_context
from worldplay.world.rollout import finished_chunk, guide
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import Steering
from worldplay.world.timing import Stopwatch
from worldplay.world.walk import Path, Walk

_SELECTION_CHUNK = 4  # latents per memory selection, however long a chunk is


@dataclass(frozen=True, slots=True)
class _Span:
    """Context latents, followed by those of a chunk: N latents in all."""

    prompts: list[Conditioning]  # one per guidance branch, batch 1, the prompt's own last
    image_latent: Tensor  # [1, C, 1, h, w]
    past: Sequence[Tensor]  # the context, [1, C, 1, h, w] each
    w2c: NDArray[np.float64]  # [N, 4, 4]
    intrinsics: NDArray[np.float64]  # [N, 3, 3], normalised
    labels: NDArray[np.int64]  # [N]
    is_first: bool  # whether it begins with the walk's first latent


def begin_clip_chunk(model: RolloutModel, walk: Walk, steering: Steering) -> PendingChunk:
    """Begin the next chunk of a clip. All its stages are denoising steps.

    Steering is latched in the first step, because nothing can be computed before. The walk changes only after
    the last step.
    """
    return PendingChunk(_generate(model, walk, steering))


@torch.inference_mode()
def _generate(model: RolloutModel, walk: Walk, steering: Steering) -> Generator[Stage, None, Chunk]:
    """Generate a chunk; yield the name of each stage before it."""
    clock = Stopwatch(model.transformer.device)
    count, start = model.config.chunk_latents, walk.num_latents
    yield "step"
    clock.restart()
    path = walk.follow(steering.latch(count if start else count - 1))
    context, span = _prepare(model, walk, path)
    clock.lap_of_host("select")
    latents = walk.draw_noise(start, count).to(model.transformer.device)
    for index, step in enumerate(_denoising_steps(_network(model), span, model.config)):
        if index:
            yield "step"
            clock.restart()
        latents = step(latents)
        clock.lap("denoise")
    latents = latents.to(model.transformer.dtype)  # as in a walk that goes on
    walk.append(latents, path)
    stood = [0] * len(path.c2w)
    return finished_chunk(start, 0, latents, path, stood, context, {"context": 0.0, **clock.laps_ms})


def _network(model: RolloutModel) -> BidirectionalTransformer:
    network = model.transformer
    assert isinstance(network, BidirectionalTransformer), type(network)
    return network


def _prepare(model: RolloutModel, walk: Walk, path: Path) -> tuple[list[int], _Span]:
    """Choose the context for a path's latents, and collect the inputs of both."""
    start = walk.num_latents
    w2c = invert_pose(np.concatenate([walk.c2w, path.c2w]))
    context = choose_context(w2c, start, model.points, model.config)
    return context, _Span(
        prompts=walk.prompts,
        image_latent=walk.image_latent,
        past=[walk.latents.gather([index]) for index in context],
        w2c=np.concatenate([w2c[context], w2c[start:]]),
        intrinsics=np.concatenate([walk.intrinsics[context], path.intrinsics]),
        labels=np.concatenate([walk.labels[context], path.labels]),
        is_first=start == 0 or context[0] == 0,
    )


def choose_context(
    w2c: NDArray[np.float64], start: int, points: NDArray[np.float32], config: RolloutConfig
) -> list[int]:
    """Choose context for the chunk at `start`: the union of what every four of its latents would choose.

    Args:
        w2c: [T, 4, 4], the past and the chunk.
        points: [N, 3], as in `select_context`.
    Returns: sorted past latents.
    """
    if start == 0:
        return []
    chosen: set[int] = set()
    for first in range(start, start + config.chunk_latents, _SELECTION_CHUNK):
        chosen.update(
            select_context(
                w2c,
                first,
                points,
                memory_latents=config.memory_latents,
                first_latents=config.first_latents,
                recent_latents=config.recent_latents,
                chunk_latents=_SELECTION_CHUNK,
            )
        )
    return sorted(index for index in chosen if index < start)


def _denoising_steps(
    model: BidirectionalTransformer, span: _Span, config: RolloutConfig
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield the steps that denoise a chunk beside its clean context: latents [1, C, n, h, w] to latents.

    Every step runs the chunk and its context through the whole network.
    """
    num_past = len(span.past)
    cameras = model.prepare_cameras(
        torch.from_numpy(span.w2c).float()[None], torch.from_numpy(span.intrinsics)[None]
    )
    actions = torch.from_numpy(span.labels).to(model.device)[None]
    cond = condition_channels(span.image_latent, len(span.labels), first=span.is_first)

    def step(latents: Tensor, timestep: float, sigma: float, sigma_next: float) -> Tensor:
        times = torch.full((1, len(span.labels)), timestep, device=model.device)
        times[:, :num_past] = config.context_timestep
        text_times = torch.full((1,), timestep, device=model.device)
        together = torch.cat([*span.past, latents], dim=2)
        velocities = [
            model(together, cond, cameras, actions, times, prompt, text_times) for prompt in span.prompts
        ]
        velocity = guide(velocities, config.guidance)
        return euler_step(latents, velocity[:, :, num_past:], sigma, sigma_next)

    for timestep, sigma, sigma_next in denoising_levels(config.steps, config.shift):
        yield partial(step, timestep=timestep, sigma=sigma, sigma_next=sigma_next)
