import sys

import pytest
import torch

from support.paths import run_python
from support.tiny import enter, make_cache, make_latents, make_model, make_text
from worldplay.model.heads import Heads, rotate
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.prope import Cameras
from worldplay.model.rope import Rotation
from worldplay.model.token_positions import prepare_positions


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
@pytest.mark.parametrize("tokens_first", [False, True])
def test_attended_keys_are_a_slice_of_the_buffer(tokens_first: bool) -> None:
    cache = KVCache(2, 2, 16, 24, 5, 4, torch.device("cpu"), torch.float32, tokens_first=tokens_first)
    cache.set_text(make_text(make_model()))
    buffer = cache.context(0)[0].untyped_storage().data_ptr()
    twice = 2 * torch.eye(16)[None, None]
    unrotated = Rotation(torch.ones(1, 24, 1, 16), torch.zeros(1, 24, 1, 16))
    positions = prepare_positions(unrotated, Cameras(3 * twice, twice, twice))
    parts = torch.tensor([1.0, 5.0, 3.0])[:, None].expand(1, 48, 3, 16)  # key, query, value
    norms = torch.tensor([[1.0], [10.0]]).expand(2, 16)
    queries, keys, values = cache.extend(
        0, Heads(parts, parts, norms, 2, positions, positions.with_norms(norms), rotate)
    )
    assert queries.shape == (1, 4, 24, 16)
    assert keys.shape == values.shape == (1, 4, 5 + 24, 16)
    assert keys.untyped_storage().data_ptr() == buffer
    assert (queries.untyped_storage().data_ptr() == buffer) == tokens_first
    assert [queries[0, :2, -1, 0].tolist(), keys[0, 2:, -1, 0].tolist()] == [[50, 300], [1, 2]]
    assert values[0, :, -1, 0].tolist() == [3, 6, 3, 6]


@torch.inference_mode()
@pytest.mark.parametrize("tokens_first", [False, True])
def test_only_text_latest_context_and_own_tokens_may_be_shown(tokens_first: bool) -> None:
    model = make_model()
    cache = KVCache(2, 2, 16, 24, 8, 8, torch.device("cpu"), torch.float32, tokens_first=tokens_first)
    text = make_text(model)
    cache.set_text(text)
    model.encode_context(*make_latents(model, 4).arguments(), cache)
    chunk = make_latents(model, 4, seed=1)
    x, mods = enter(model, chunk)
    positions = model.positions_of(chunk.cameras, chunk.latents.shape[2:], cache.num_context)
    block = model.blocks[0]
    weights = block.projections()
    heads = block.image_heads(x, mods.blocks[0], weights, positions, positions.with_norms(weights.norms))
    queries, *whole = cache.extend(0, heads)
    queries, whole = queries.clone(), [part.clone() for part in whole]
    shown_queries, *shown = cache.show_latest(1).extend(0, heads)
    assert torch.equal(shown_queries, queries)
    tokens = queries.shape[2] // 4  # of a latent
    for part, all_tokens in zip(shown, whole, strict=True):
        kept = [all_tokens[:, :, : text.length], all_tokens[:, :, text.length + 3 * tokens :]]
        assert torch.equal(part, torch.cat(kept, dim=2))
    for most in (4, 5):  # there are no more
        assert all(map(torch.equal, cache.show_latest(most).extend(0, heads), (queries, *whole)))


@torch.inference_mode()
@pytest.mark.parametrize("tokens_first", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_branches_are_the_same_written_or_returned(dtype: torch.dtype, tokens_first: bool) -> None:
    model = make_model().to(dtype)
    latents = make_latents(model, 4)
    cache = KVCache(2, 2, 16, 24, 8, 4, torch.device("cpu"), dtype, tokens_first=tokens_first)
    cache.set_text(make_text(model))
    x, mods = enter(model, latents)
    positions = model.positions_of(latents.cameras, latents.latents.shape[2:], 3)
    block = model.blocks[0]
    weights = block.projections()
    heads = block.image_heads(x, mods.blocks[0], weights, positions, positions.with_norms(weights.norms))
    for written, returned in zip(cache.extend(0, heads), heads.branches(), strict=True):
        assert torch.equal(written[:, :, -returned.shape[2] :], returned)


ALLOCATE = """
import resource, torch
from worldplay.model.kv_cache import KVCache
for _ in range(3):
    freed, behind = torch.ones(2**22), torch.ones(8)
    del freed  # what the allocator would give out again
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
cache = KVCache(4, 8, 64, 16, 0, 60, torch.device("cpu"), torch.float32, tokens_first=False)
taken = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
cache._keys.zero_()
written = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before - taken
print(taken < 1000, written * resource.getpagesize() > 0.9 * cache._keys.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which counts pages when they are touched")
def test_cache_takes_memory_once_it_is_written_to() -> None:
    assert run_python("-c", ALLOCATE).stdout.split() == ["True", "True"]


def test_text_that_is_held_is_not_copied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    cache = make_cache(model)
    stored: list[object] = []
    monkeypatch.setattr(cache, "_store_text", stored.append)
    text = make_text(model)
    for _ in range(2):
        cache.set_text(text)
    assert stored == [text]


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


def test_a_text_that_was_stored_in_part_is_stored_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    cache = model.new_cache((4, 6), 8)
    first, second = make_text(model), make_text(model)
    cache.set_text(first)
    store = cache._store_text
    stored: list[object] = []

    def fail(text: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(cache, "_store_text", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        cache.set_text(second)

    def note(text: TextKV) -> None:
        stored.append(text)
        store(text)

    monkeypatch.setattr(cache, "_store_text", note)
    cache.set_text(first)
    assert stored == [first]
