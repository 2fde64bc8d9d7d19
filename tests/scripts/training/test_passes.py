"""The batch's cache: what the served one gives, for every sample of a batch, and with gradients."""

import torch

from support.tiny import make_cache, make_latents, make_model, make_text
from training.passes import BatchCache


@torch.inference_mode()
def test_the_served_cache_and_the_batchs_give_the_same_velocity() -> None:
    model = make_model()
    context, chunk = make_latents(model, 8), make_latents(model, 4, seed=3)
    velocities = []
    for cache in (make_cache(model), BatchCache(make_text(model), torch.tensor([0]))):
        model.encode_context(*context.arguments(), cache)
        model.denoise(*chunk.arguments(), 1000.0, cache)
        velocities.append(model.denoise(*chunk.arguments(), 625.0, cache))
    torch.testing.assert_close(velocities[0], velocities[1], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_batch_equals_its_samples_alone() -> None:
    model = make_model()
    batch, text = make_latents(model, 4, batch=2), make_text(model, batch=2)
    together = model.denoise(*batch.arguments(), 625.0, BatchCache(text, torch.tensor([1, 0])))
    for index in range(2):
        one = slice(index, index + 1)
        arguments = batch.latents[one], batch.cond[one], batch.cameras.sample(index), batch.actions[index]
        alone = model.denoise(*arguments, 625.0, BatchCache(text, torch.tensor([1 - index])))
        torch.testing.assert_close(alone, together[one], atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_context_latents() -> None:
    model = make_model()
    cache = BatchCache(make_text(model, batch=2), torch.tensor([0, 1]))
    context, chunk = make_latents(model, 4, batch=2), make_latents(model, 4, batch=2, seed=3)
    context.latents.requires_grad_()
    model.encode_context(*context.arguments(), cache)
    model.denoise(*chunk.arguments(), 625.0, cache).square().sum().backward()
    assert context.latents.grad is not None
    assert context.latents.grad.abs().amax(dim=(1, 2, 3, 4)).min() > 0
