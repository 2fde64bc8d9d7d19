"""The transformer's loss: flow matching, at the noise levels and with the contexts of inference."""

import torch
from torch import Tensor, nn

from training.batch import Batch
from training.generate import SHIFT, STEPS
from training.passes import (
    BatchCache,
    chunks_as_batch,
    encode_conditions,
    make_cameras,
    predict_velocity,
    run_context,
)
from worldplay.model.scheduler import sigmas
from worldplay.model.transformer import WorldPlayTransformer

_LEVELS = sigmas(STEPS, SHIFT)[:-1]
# During a walk a noisy chunk contains only the model's own earlier estimate, so the first levels matter most.
_LEVEL_SHARES = torch.tensor([0.35, 0.25, 0.2, 0.2])
_OTHER_LEVELS = 0.05  # share of samples at a level between the four of inference
_CONTEXT_NOISE = 0.25  # the most noise on context latents; their timestep is always the same


def chunk_loss(model: WorldPlayTransformer, batch: Batch, noise: torch.Generator) -> Tensor:
    """Compute the flow-matching loss of a batch's chunks, each at its own noise level.

    Args:
        batch, noise: on the model's device.
    """
    cache = BatchCache(encode_conditions(model, batch.text_images, batch.text_states), batch.conditions)
    context_cameras, cameras = make_cameras(model, batch)
    context = _disturb(batch.latents[:, :, : batch.num_context], noise)
    run_context(model, batch, context, context_cameras, cache)
    cache.fan_out(batch.num_chunks)
    clean = chunks_as_batch(batch.latents.transpose(1, 2), batch).transpose(1, 2)
    start = torch.randn(clean.shape, generator=noise, device=noise.device)
    sigma = draw_levels(len(clean), noise)
    noisy = clean.lerp(start, sigma[:, None, None, None, None])
    velocity = predict_velocity(model, batch, noisy, 1000 * sigma, cameras, cache)
    return nn.functional.mse_loss(velocity, start - clean)


def _disturb(latents: Tensor, noise: torch.Generator) -> Tensor:
    """Add some noise to context latents [B, ...], as their own errors would."""
    device = noise.device
    amount = _CONTEXT_NOISE * torch.rand(len(latents), 1, 1, 1, 1, generator=noise, device=device)
    return latents + amount * torch.randn(latents.shape, generator=noise, device=device)


def draw_levels(count: int, noise: torch.Generator) -> Tensor:
    """Draw noise levels [count], mostly the four of inference."""
    device = noise.device
    shares = _LEVEL_SHARES.to(device)
    chosen = _LEVELS.to(device)[torch.multinomial(shares, count, replacement=True, generator=noise)]
    other = torch.rand(count, generator=noise, device=device)
    other = 5 * other / (1 + 4 * other)
    return torch.where(torch.rand(count, generator=noise, device=device) < _OTHER_LEVELS, other, chosen)
