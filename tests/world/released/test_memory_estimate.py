"""Memory counted on paper against the published numbers, and against tensors that are really there."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from support.published import TRANSFORMER, VAE
from worldplay.model import transformer
from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.conditioning import Conditioning
from worldplay.model.config import RELEASED_TRANSFORMER, RELEASED_VAE
from worldplay.model.kv_cache import TextKV
from worldplay.model.tiny_decoder import TinyDecoder
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.model.vae_stream import FeatureCache
from worldplay.world.frames import SIZE
from worldplay.world.released.memory_estimate import (
    MAX_TEXT_TOKENS,
    RELEASED,
    Shapes,
    count_other_rank,
    decoder_state_bytes,
    estimate_memory,
)
from worldplay.world.released.offload_plan import OffloadMode, plan_offload
from worldplay.world.released.variants import VARIANTS, find_variant
from worldplay.world.rollout_config import LATENTS_ON_DEVICE

GB = 1e9


def test_released_model_at_its_size() -> None:
    needed = estimate_memory(find_variant("ar-distilled"))
    assert round((needed.image_stream + needed.text_stream) / GB, 1) == 17.1
    assert round(needed.context_latent / GB, 2) == 1.38
    assert round(20 * needed.context_latent / GB, 1) == 27.6
    assert round(needed.autoencoder / GB, 1) == 2.5
    assert needed.unrotated_caches < 0.52 * needed.caches


def test_latents_of_a_walk_as_counted() -> None:
    """100 KB each at the largest size; only the latest are on the device."""
    needed = estimate_memory(find_variant("ar-distilled"))
    assert needed.walk_latents == LATENTS_ON_DEVICE * 32 * 30 * 52 * 2
    assert needed.kept_latent == needed.context_latent // 2
    assert estimate_memory(find_variant("ar")).kept_latent == needed.context_latent


def test_guidance_needs_a_second_cache() -> None:
    single, double = (estimate_memory(find_variant(name)) for name in ("ar-distilled", "ar"))
    assert double.caches == 2 * single.caches


def test_bidirectional_model_needs_its_text_stream_at_every_step() -> None:
    variant = find_variant("bidirectional")
    needed = estimate_memory(variant)
    assert (needed.caches, needed.text_is_idle) == (0, False)
    assert plan_offload(needed, 1, 0).text_stream is OffloadMode.ON_DEVICE


def test_every_visitor_adds_the_same() -> None:
    variant = find_variant("ar-distilled")
    needed = estimate_memory(variant)
    assert plan_offload(needed, 3, None).peak - plan_offload(needed, 1, None).peak == 2 * (
        needed.walk + needed.walk_latents
    )


def test_decoder_state_as_counted() -> None:
    vae = StreamingVAE(VAE).to(torch.bfloat16)
    state = vae.new_decoder_state()
    with torch.inference_mode():
        for _ in range(3):
            vae.decode_latent(torch.zeros(1, 4, 1, 2, 4), state)
    real = sum(slot.numel() * slot.element_size() for slot in state.slots)
    assert decoder_state_bytes(VAE, (32, 64)) == real


def test_caches_as_counted() -> None:
    needed = estimate_memory(find_variant("ar-distilled"), (32, 64), Shapes(TRANSFORMER, VAE))
    with torch.device("meta"):
        model = WorldPlayTransformer(TRANSFORMER).to(torch.bfloat16)
    for unrotated, counted in ((False, needed.caches), (True, needed.unrotated_caches)):
        assert model.new_cache((2, 4), MAX_TEXT_TOKENS, unrotated=unrotated).num_bytes == counted


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shapes", [RELEASED, Shapes(TRANSFORMER, VAE)])
def test_networks_as_built(variant: str, shapes: Shapes) -> None:
    needed = estimate_memory(find_variant(variant), SIZE, shapes)
    with torch.device("meta"):
        transformer, vae = WorldPlayTransformer(shapes.transformer), StreamingVAE(shapes.vae)
    assert needed.image_stream + needed.text_stream == 2 * sum(p.numel() for p in transformer.parameters())
    assert needed.autoencoder == 2 * sum(p.numel() for p in vae.parameters())


@pytest.mark.parametrize("shapes", [RELEASED, Shapes(TRANSFORMER, VAE)])
def test_other_ranks_have_no_encoder(shapes: Shapes) -> None:
    needed = estimate_memory(find_variant("ar-distilled"), SIZE, shapes, ranks=2)
    with torch.device("meta"):
        vae = StreamingVAE(shapes.vae)
    assert needed.decoder == 2 * sum(p.numel() for p in vae.decoder.parameters())
    assert needed.autoencoder - needed.decoder == 2 * sum(p.numel() for p in vae.encoder.parameters())


@torch.no_grad()
def test_tiny_decoder_takes_the_place_of_the_models_own() -> None:
    own, tiny = (estimate_memory(find_variant("ar-distilled"), tiny_decoder=tiny) for tiny in (False, True))
    with torch.device("meta"):
        decoder, state = TinyDecoder().to(torch.bfloat16), FeatureCache()
        for _ in range(2):
            decoder.decode(torch.empty(1, 32, 1, 30, 52), state)
    taken = 2 * sum(p.numel() for p in decoder.parameters())
    assert (tiny.decoder, tiny.autoencoder) == (0, own.autoencoder - own.decoder + taken)
    assert tiny.walk == own.walk - decoder_state_bytes(RELEASED_VAE, SIZE) + state.num_bytes
    other = partial(count_other_rank, walks=2, sets=1, unrotated=False)
    assert other(own) - other(tiny) > own.decoder + 2 * (own.walk - tiny.walk)


@torch.no_grad()
@pytest.mark.parametrize("size", [SIZE, (240, 416)])
def test_decoder_state_of_the_released_model(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        vae = StreamingVAE(RELEASED_VAE).to(torch.bfloat16)
        latent = torch.empty(1, 32, 1, size[0] // 16, size[1] // 16)
        state = vae.new_decoder_state()
        for _ in range(2):
            vae.decode_raw(latent, state)
    assert decoder_state_bytes(RELEASED_VAE, size) == 2 * sum(slot.numel() for slot in state.slots)


class Meter(TorchDispatchMode):
    """Counts the bytes of all storages that operations make, as long as they are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.bytes = 0
        self.peak = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._alive:
            self._alive.add(key)
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.bytes -= size


def peak_of(work: Callable[[], object]) -> int:
    meter = Meter()
    with torch.inference_mode(), meter:
        work()
    return meter.peak


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(*shape, device="meta", dtype=dtype)


def latents_of(model: WorldPlayTransformer | BidirectionalTransformer, count: int) -> tuple[Any, ...]:
    cameras = model.prepare_cameras(empty(1, count, 4, 4), empty(1, count, 3, 3))
    labels = empty(1, count, dtype=torch.long)
    return empty(1, 32, count, 30, 52), empty(1, 33, count, 30, 52), cameras, labels


def assert_covers(working: int, peak: int) -> None:
    """An estimate is no less than what is taken, and no more than half as much again."""
    assert peak <= working < 1.5 * peak, (peak / GB, working / GB)


def test_decoding_takes_no_more_than_is_planned() -> None:
    with torch.device("meta"):
        vae = StreamingVAE(RELEASED_VAE).to(torch.bfloat16).requires_grad_(False)
    state, latent = vae.new_decoder_state(), empty(1, 32, 1, 30, 52, dtype=torch.bfloat16)
    for _ in range(2):
        vae.decode_latent(latent, state)
    peak = peak_of(lambda: vae.decode_latent(latent, state))
    assert_covers(estimate_memory(find_variant("ar-distilled")).working, peak)


@pytest.mark.parametrize("size", [SIZE, (240, 416)])
def test_encoding_a_picture_takes_no_more_than_is_planned(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        vae = StreamingVAE(RELEASED_VAE).to(torch.bfloat16).requires_grad_(False)
    peak = peak_of(lambda: vae.encode_image(empty(1, 3, 1, *size)))
    assert_covers(estimate_memory(find_variant("ar-distilled"), size).encoding, peak)


def test_a_tiny_decoder_takes_less_than_a_step_on_all_ranks() -> None:
    with torch.device("meta"):
        decoder, state = TinyDecoder().to(torch.bfloat16).requires_grad_(False), FeatureCache()
    latent = empty(1, 32, 1, 30, 52, dtype=torch.bfloat16)
    decoder.decode(latent, state)
    peak = peak_of(lambda: decoder.decode(latent, state))
    assert peak <= estimate_memory(find_variant("ar-distilled"), ranks=16, tiny_decoder=True).working


def test_a_context_pass_takes_no_more_than_is_planned() -> None:
    with torch.device("meta"):
        model = WorldPlayTransformer(replace(RELEASED_TRANSFORMER, blocks=2)).to(torch.bfloat16).eval()
    model.requires_grad_(False).pack()
    model.use_attention("sdpa")
    cache, keys = (
        model.new_cache((30, 52), MAX_TEXT_TOKENS),
        [empty(1, 16, 880, 128, dtype=torch.bfloat16)] * 2,
    )
    cache.set_text(TextKV(keys, keys))
    latents, cond, cameras, actions = latents_of(model, 20)
    peak = peak_of(lambda: model.encode_context(latents, cond, cameras, actions, cache, 15.0))
    assert_covers(estimate_memory(find_variant("ar-distilled"), tiny_decoder=True).working, peak)


def test_a_bidirectional_step_takes_no_more_than_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    # Which text is valid would be asked of a mask's content, which there is none of.
    monkeypatch.setattr(transformer, "_valid", lambda tokens, mask: tokens)
    with torch.device("meta"):
        model = BidirectionalTransformer(replace(RELEASED_TRANSFORMER, blocks=2)).to(torch.bfloat16)
    # As much past as four selections of 12 recent, 4 first and 4 recalled latents can name, and the chunk.
    arguments, count = latents_of(model, 32 + 16), 32 + 16
    prompt = Conditioning(
        empty(1, 150, 3584), empty(1, 150), empty(1, 1, 1472), empty(1, 1), empty(1, 729, 1152)
    )
    peak = peak_of(lambda: model(*arguments, empty(1, count), prompt, empty(1)))
    assert_covers(estimate_memory(find_variant("bidirectional")).working, peak)
