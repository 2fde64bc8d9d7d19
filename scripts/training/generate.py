"""Generates many walks in one batch, each exactly as the server would."""

import numpy as np
import torch
from torch import Tensor

from training.chunks import CHUNK
from training.passes import BatchCache, encode_conditions, make_cameras, predict_velocity, run_context
from training.samples import Batch, Condition, LatentWalks, Moment, choose_context, collate
from worldplay.model.scheduler import euler_step, sigmas, timesteps
from worldplay.model.transformer import WorldPlayTransformer

STEPS, SHIFT = 4, 5.0


@torch.inference_mode()
def generate(
    model: WorldPlayTransformer,
    walks: LatentWalks,
    rows: list[int],
    num_chunks: int,
    noise: torch.Generator,
    prompts: Tensor,
) -> Tensor:
    """Generate the walks `rows`, all of which begin at a start view, along their poses and lights.

    Args:
        prompts: [lights, words, D], one for each light.
    Returns: [len(rows), 4 * num_chunks, C, h, w] float32.
    """
    conditions = {
        (view, light): Condition(view, light, prompt)
        for view in range(len(walks.images))
        for light, prompt in enumerate(prompts)
    }
    latents = torch.zeros_like(walks.latents[rows, : CHUNK * num_chunks])
    for start in range(0, CHUNK * num_chunks, CHUNK):
        asked = walks.lights[rows, start + CHUNK - 1]
        moments = [
            _moment(walks, row, made, start, conditions[int(walks.views[row]), int(light)])
            for row, made, light in zip(rows, latents, asked, strict=True)
        ]
        batch = collate(moments, walks.images, len(moments[0].labels) - CHUNK).to(model.device)
        cache = BatchCache(encode_conditions(model, batch.text_images, batch.text_states), batch.conditions)
        latents[:, start : start + CHUNK] = _denoise(model, batch, cache, noise).transpose(1, 2).cpu()
    return latents


def _moment(walks: LatentWalks, row: int, made: Tensor, start: int, condition: Condition) -> Moment:
    context = choose_context(walks.c2w[row, : start + CHUNK], start)
    frames = np.array([*context, *range(start, start + CHUNK)])
    c2w, labels = walks.c2w[row, frames], walks.labels[row, frames]
    return Moment(made[frames], c2w, labels, frames == 0, condition)


def _denoise(model: WorldPlayTransformer, batch: Batch, cache: BatchCache, noise: torch.Generator) -> Tensor:
    context_cameras, cameras = make_cameras(model, batch)
    run_context(model, batch, batch.latents[:, :, : batch.num_context], context_cameras, cache)
    latents = torch.randn(batch.latents[:, :, -CHUNK:].shape, generator=noise).to(model.device)
    levels = sigmas(STEPS, SHIFT)
    for step, timestep in enumerate(timesteps(levels)):
        velocity = predict_velocity(
            model, batch, latents, timestep.to(model.device).expand(len(latents)), cameras, cache
        )
        latents = euler_step(latents, velocity, float(levels[step]), float(levels[step + 1]))
    return latents
