import pytest
import torch

from support.tiny import make_cache, make_latents, make_model, make_text
from worldplay.model.prope import Cameras
from worldplay.model.tokens import ImageKV, Placement


@torch.inference_mode()
def test_cache_never_reallocates() -> None:
    model = make_model()
    cache = make_cache(model)
    cache.commit_context(1)
    buffers = [tensor.data_ptr() for block in range(2) for tensor in cache.context(block)]
    for num_context in (4, 8):
        context, chunk = make_latents(model, num_context), make_latents(model, 4)
        model.encode_context(*context.arguments(), cache)
        model.denoise(*chunk.arguments(), 1000.0, cache)
        assert [tensor.data_ptr() for block in range(2) for tensor in cache.context(block)] == buffers


@torch.inference_mode()
def test_attended_keys_are_a_slice_of_the_buffer() -> None:
    cache = make_cache(make_model())
    part, twice = torch.ones(1, 1, 24, 2, 16), 2 * torch.eye(16)[None, None]
    unturned = Placement(torch.ones(1, 24, 8, dtype=torch.complex64), Cameras(twice, twice, twice))
    keys, values = cache.extend(0, ImageKV(part, 3 * part, unturned))
    assert keys.shape == (2, 2, 5 + 24, 16)
    assert keys.untyped_storage().data_ptr() == cache.context(0)[0].untyped_storage().data_ptr()
    assert [keys[0, 0, -1, 0], keys[1, 0, -1, 0], values[0, 0, -1, 0], values[1, 0, -1, 0]] == [1, 2, 3, 6]


@torch.inference_mode()
def test_denoising_leaves_the_context_alone() -> None:
    model = make_model()
    cache = make_cache(model)
    model.encode_context(*make_latents(model, 4).arguments(), cache)
    before = [tensor.clone() for tensor in cache.context(1)]
    model.denoise(*make_latents(model, 4, seed=3).arguments(), 1000.0, cache)
    assert all(torch.equal(a, b) for a, b in zip(before, cache.context(1), strict=True))


@torch.inference_mode()
def test_new_context_replaces_the_old() -> None:
    model = make_model()
    chunk = make_latents(model, 4, seed=3).arguments()
    used, fresh = make_cache(model), make_cache(model)
    model.encode_context(*make_latents(model, 8, seed=4).arguments(), used)
    for cache in (used, fresh):
        model.encode_context(*make_latents(model, 4).arguments(), cache)
    assert torch.equal(model.denoise(*chunk, 625.0, used), model.denoise(*chunk, 625.0, fresh))


def test_set_text_drops_the_context_it_was_attended_from() -> None:
    cache = make_cache(make_model())
    cache.commit_context(4)
    cache.set_text(make_text(make_model()))
    assert cache.num_context == 0


def test_set_text_refuses_a_text_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="expected at most 4 text tokens, got 5"):
        make_cache(make_model(), max_text=4)
