"""The bidirectional rollout: a clip along a known trajectory, in chunks of 16 latents, with guidance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldplay.model.bidirectional import BidirectionalTransformer, Prompt
from worldplay.model.scheduler import euler_step, sigmas, timesteps
from worldplay.world.images import condition_channels
from worldplay.world.memory import select_context
from worldplay.world.rollout import RolloutConfig

_SELECTION_CHUNK = 4  # latents whose views the memory selection compares, however long a chunk is


@dataclass(frozen=True, slots=True)
class Clip:
    """What a clip of T latents is generated from, on the model's device; T is a multiple of the chunk's."""

    prompts: list[Prompt]  # one per guidance branch, batch 1, the prompt's own last
    image_latent: Tensor  # [1, C, 1, h, w]
    noise: Tensor  # [1, C, T, h, w]
    w2c: NDArray[np.float64]  # [T, 4, 4]
    intrinsics: NDArray[np.float64]  # [T, 3, 3], normalised
    labels: NDArray[np.int64]  # [T]


@dataclass(frozen=True, slots=True)
class Span:
    """Context latents and, after them, those of a chunk: what they show is given for all, N in number."""

    prompts: list[Prompt]  # as in Clip
    image_latent: Tensor
    past: Sequence[Tensor]  # the context, [1, C, 1, h, w] each
    w2c: NDArray[np.float64]  # [N, 4, 4]
    intrinsics: NDArray[np.float64]  # [N, 3, 3], normalised
    labels: NDArray[np.int64]  # [N]
    is_first: bool  # whether it begins with the clip's first latent


@dataclass(frozen=True, slots=True)
class ClipChunk:
    """A finished chunk: latents [1, C, n, h, w] and the earlier latents it was made to fit."""

    first_latent: int
    latents: Tensor
    context: list[int]


def bidirectional_rollout(
    model: BidirectionalTransformer, clip: Clip, points: NDArray[np.float32], config: RolloutConfig
) -> Iterator[ClipChunk]:
    """Generate a clip chunk by chunk.

    Raises: ValueError if the clip's length is no multiple of the chunk's.
    """
    num_latents = clip.noise.shape[2]
    if num_latents % config.chunk_latents:
        raise ValueError(f"expected a multiple of {config.chunk_latents} latents, got {num_latents}")
    done: list[Tensor] = []  # [1, C, 1, h, w] each
    for start in range(0, num_latents, config.chunk_latents):
        context = choose_context(clip.w2c, start, points, config)
        *_, latents = denoise(
            model,
            _span_of(clip, context, done, start, config),
            clip.noise[:, :, start : start + config.chunk_latents],
            config,
        )
        done += torch.split(latents, 1, dim=2)
        yield ClipChunk(start, latents, context)


def _span_of(clip: Clip, context: list[int], done: list[Tensor], start: int, config: RolloutConfig) -> Span:
    frames = [*context, *range(start, start + config.chunk_latents)]
    return Span(
        prompts=clip.prompts,
        image_latent=clip.image_latent,
        past=[done[index] for index in context],
        w2c=clip.w2c[frames],
        intrinsics=clip.intrinsics[frames],
        labels=clip.labels[frames],
        is_first=frames[0] == 0,
    )


def choose_context(
    w2c: NDArray[np.float64], start: int, points: NDArray[np.float32], config: RolloutConfig
) -> list[int]:
    """Sorted past latents for the chunk at `start`: what any four of its latents would choose."""
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
                recent_latents=config.recent_latents,
                chunk_latents=_SELECTION_CHUNK,
            )
        )
    return sorted(index for index in chosen if index < start)


@torch.inference_mode()
def denoise(
    model: BidirectionalTransformer, span: Span, latents: Tensor, config: RolloutConfig
) -> Iterator[Tensor]:
    """Denoise a chunk beside its clean context; every step runs both through the whole network.

    Args:
        latents: [1, C, n, h, w], the chunk's noise.
    Yields: the chunk's latents after each step; the last are the result.
    """
    num_latents, num_past = len(span.labels), len(span.past)
    cameras = model.prepare_cameras(
        torch.from_numpy(span.w2c).float()[None], torch.from_numpy(span.intrinsics)[None]
    )
    actions = torch.from_numpy(span.labels).to(model.device)[None]
    cond = condition_channels(span.image_latent, num_latents, first=span.is_first)
    levels = sigmas(config.steps, config.shift)
    for timestep, (sigma, sigma_next) in zip(
        timesteps(levels).tolist(), pairwise(levels.tolist()), strict=True
    ):
        times = torch.full((1, num_latents), timestep, device=model.device)
        times[:, :num_past] = config.context_timestep
        text_times = torch.full((1,), timestep, device=model.device)
        velocities = [
            model(torch.cat([*span.past, latents], dim=2), cond, cameras, actions, times, prompt, text_times)
            for prompt in span.prompts
        ]
        velocity = velocities[0]
        for other in velocities[1:]:
            velocity = velocity + config.guidance * (other - velocity)
        latents = euler_step(latents, velocity[:, :, num_past:], sigma, sigma_next)
        yield latents
