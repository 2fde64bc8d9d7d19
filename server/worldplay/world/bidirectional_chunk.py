"""The bidirectional model's chunks along a walk: generated like the autoregressive ones, but not live."""

from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.world.bidirectional_rollout import Span, choose_context, denoise
from worldplay.world.camera import invert_pose
from worldplay.world.rollout import Chunk, RolloutModel, Stage, Steering
from worldplay.world.stopwatch import Stopwatch
from worldplay.world.walk import Path, Walk


@torch.inference_mode()
def generate_clip_chunk(model: RolloutModel, walk: Walk, steering: Steering) -> Generator[Stage, None, Chunk]:
    """Generate the next chunk of a walk, pausing after every denoising step.

    Steering is latched at once, as nothing can be computed before. The walk changes at the very end: a
    generator that is closed before leaves no trace.
    """
    clock = Stopwatch(model.transformer.device)
    count, start = model.config.chunk_latents, walk.num_latents
    path = walk.follow(steering.latch(count if start else count - 1))
    context, span = _prepare(model, walk, path)
    clock.lap("select")
    latents = noise = walk.draw_noise(start, count).to(model.transformer.device)
    for denoised in denoise(_network(model), span, noise, model.config):
        latents = denoised
        clock.lap("denoise")
        yield Stage.STEP
        clock.restart()
    walk.append(latents.to(model.transformer.dtype), path)
    return _report(walk, latents, path, context, {"context": 0.0, **clock.laps_ms})


def _network(model: RolloutModel) -> BidirectionalTransformer:
    network = model.transformer
    assert isinstance(network, BidirectionalTransformer), type(network)
    return network


def _prepare(model: RolloutModel, walk: Walk, path: Path) -> tuple[list[int], Span]:
    """Choose the context for a path's latents and put what both are seen from in one row."""
    start = walk.num_latents
    w2c = invert_pose(np.concatenate([walk.c2w, path.c2w]))
    context = choose_context(w2c, start, model.points, model.config)
    return context, Span(
        prompts=walk.prompts,
        image_latent=walk.image_latent,
        past=[walk.latents.gather([index]) for index in context],
        w2c=np.concatenate([w2c[context], w2c[start:]]),
        intrinsics=np.concatenate([walk.intrinsics[context], path.intrinsics]),
        labels=np.concatenate([walk.labels[context], path.labels]),
        is_first=start == 0 or context[0] == 0,
    )


def _report(
    walk: Walk, latents: Tensor, path: Path, context: list[int], timings_ms: dict[str, float]
) -> Chunk:
    count = latents.shape[2]
    index = walk.num_latents // count - 1
    return Chunk(
        index=index,
        num_frames=4 * count if index else 4 * count - 3,
        latents=latents,
        poses=path.c2w,
        motions=path.motions(),
        labels=path.labels.tolist(),
        bumped=path.bumped,
        context=context,
        timings_ms=timings_ms,
    )
