"""Generates many walks in one batch, each exactly as the server would by export.TRAINED_ROLLOUT."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batch import Batch, Condition, Moment, collate
from training.chunks import CHUNK
from training.latent_walks import LatentWalks, WalkTable
from training.passes import BatchCache, encode_conditions, make_cameras, predict_velocity, run_context
from training.samples import choose_context
from worldplay.model.scheduler import euler_step, sigmas, timesteps
from worldplay.model.transformer import WorldPlayTransformer

STEPS, SHIFT = 4, 5.0

Contexts = list[list[int]]  # of one walk, by chunk


def choose_contexts(num_chunks: int, c2w: NDArray[np.float64]) -> Contexts:
    """Choose the contexts of a walk's first chunks, which depend on its poses [T, 4, 4] alone."""
    starts = range(0, CHUNK * num_chunks, CHUNK)
    return [choose_context(c2w[: start + CHUNK], start) for start in starts]


@torch.inference_mode()
def generate(
    model: WorldPlayTransformer,
    walks: LatentWalks,
    rows: list[int],
    contexts: list[Contexts],
    noise: torch.Generator,
    prompts: Tensor,
) -> Tensor:
    """Generate the walks `rows`, all of which begin at a start view, along their poses and lights.

    Args:
        contexts: for each of the rows, of equally many chunks.
        noise: on the model's device.
        prompts: [lights, words, D], one for each light.
    Returns: [len(rows), 4 * chunks, C, h, w] float32.
    """
    conditions = {
        (view, light): Condition(view, light, prompt.numpy())
        for view in range(len(walks.images))
        for light, prompt in enumerate(prompts)
    }
    latents = torch.zeros_like(walks.latents[rows, : CHUNK * len(contexts[0])])
    for start in range(0, latents.shape[1], CHUNK):
        asked = walks.plans.lights[rows, start + CHUNK - 1]
        keys = zip(walks.plans.views[rows].tolist(), asked.tolist(), strict=True)
        moments = [
            _moment(walks.plans, row, own[start // CHUNK], start, conditions[key])
            for row, own, key in zip(rows, contexts, keys, strict=True)
        ]
        places = torch.from_numpy(np.stack([moment.places[:, 1] for moment in moments])).to(latents.device)
        known = latents[torch.arange(len(rows), device=latents.device)[:, None], places]
        batch = collate(moments, known, walks.images, places.shape[1] - CHUNK)
        cache = BatchCache(encode_conditions(model, batch.text_images, batch.text_states), batch.conditions)
        latents[:, start : start + CHUNK] = _denoise(model, batch, cache, noise).transpose(1, 2)
    return latents


def _moment(walks: WalkTable, row: int, context: list[int], start: int, condition: Condition) -> Moment:
    frames = np.array([*context, *range(start, start + CHUNK)])
    places = np.stack([np.full_like(frames, row), frames], axis=1)
    return Moment(places, 0, walks.c2w[row, frames], walks.labels[row, frames], condition)


def _denoise(model: WorldPlayTransformer, batch: Batch, cache: BatchCache, noise: torch.Generator) -> Tensor:
    context_cameras, cameras = make_cameras(model, batch)
    run_context(model, batch, batch.latents[:, :, : batch.num_context], context_cameras, cache)
    latents = torch.randn(batch.latents[:, :, -CHUNK:].shape, generator=noise, device=noise.device)
    levels = sigmas(STEPS, SHIFT)
    for step, timestep in enumerate(timesteps(levels)):
        velocity = predict_velocity(
            model, batch, latents, timestep.to(latents.device).expand(len(latents)), cameras, cache
        )
        latents = euler_step(latents, velocity, float(levels[step]), float(levels[step + 1]))
    return latents
