import pytest
import torch

from support.tiny import GRID, TINY, make_latents, make_model, make_text
from worldplay.model.kv_cache import KVCache
from worldplay.model.transformer import WorldPlayTransformer


def make_caches(model: WorldPlayTransformer) -> tuple[KVCache, KVCache]:
    caches = model.new_cache(GRID, 8), model.new_cache(GRID, 8, unrotated=True)
    for cache in caches:
        cache.set_text(make_text(model))
    return caches


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_copy_gives_the_same_to_the_last_bit(dtype: torch.dtype) -> None:
    model = make_model().to(dtype)
    both, unrotated = make_caches(model)
    for num_context in (0, 4, 8):
        context, chunk = make_latents(model, num_context or 4), make_latents(model, 4, seed=3)
        for level in (1000.0, 625.0):
            velocities = []
            for cache in (both, unrotated):
                if num_context:
                    model.encode_context(*context.arguments(), cache)
                velocities.append(model.denoise(*chunk.arguments(), level, cache))
            assert torch.equal(*velocities)
    assert all(torch.equal(a, b) for a, b in zip(both.context(1), unrotated.context(1), strict=True))


@torch.inference_mode()
def test_appended_context_gives_the_same_to_the_last_bit() -> None:
    model = make_model()
    velocities = []
    for cache in make_caches(model):
        model.encode_context(*make_latents(model, 8).arguments(), cache)
        for kept in (3, 2):  # the second time after the first is forgotten
            cache.truncate_context(8)
            model.extend_context(*make_latents(model, kept, seed=4).arguments(), cache)
            chunk = make_latents(model, 4 - kept, seed=3).arguments()
            velocities.append(model.denoise(*chunk, 625.0, cache))
    assert torch.equal(velocities[0], velocities[2])
    assert torch.equal(velocities[1], velocities[3])


@torch.inference_mode()
def test_new_text_is_attended_to() -> None:
    model = make_model()
    chunk = make_latents(model, 4)
    _, unrotated = make_caches(model)
    before = model.denoise(*chunk.arguments(), 500.0, unrotated)
    text = make_text(model)
    text.keys[1].mul_(2)
    unrotated.set_text(text)
    assert not torch.equal(before, model.denoise(*chunk.arguments(), 500.0, unrotated))


def test_memory_is_half_and_one_block_more() -> None:
    both, unrotated = make_caches(make_model())
    per_block = both.num_bytes // TINY.blocks
    text_bytes = 2 * 2 * TINY.hidden * 8 * 4  # keys and values, both branches
    assert unrotated.num_bytes == TINY.blocks * (per_block - text_bytes) // 2 + per_block
