"""Memory counted on paper against the published numbers, and against tensors that are really there."""

import torch

from world.published import TRANSFORMER, VAE
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.world.demand import (
    MAX_TEXT_TOKENS,
    Shapes,
    count_needs,
    decoder_state_bytes,
    is_text_parameter,
)
from worldplay.world.variants import find_variant

GB = 1e9


def test_released_model_at_its_size() -> None:
    needs = count_needs(find_variant("ar-distilled"))
    assert round((needs.image_stream + needs.text_stream) / GB, 1) == 17.1
    assert round(needs.context_latent / GB, 2) == 1.38
    assert round(20 * needs.context_latent / GB, 1) == 27.6
    assert round(needs.autoencoder / GB, 1) == 2.5
    assert needs.raw_caches < 0.52 * needs.caches


def test_guidance_needs_a_second_cache() -> None:
    single, double = (count_needs(find_variant(name)) for name in ("ar-distilled", "ar"))
    assert double.caches == 2 * single.caches


def test_bidirectional_model_needs_its_text_stream_at_every_step() -> None:
    variant = find_variant("bidirectional")
    needs = count_needs(variant)
    demand = needs.demand(variant)
    assert (needs.caches, demand.text_stream) == (0, 0)
    assert demand.always == needs.image_stream + needs.text_stream + needs.autoencoder + needs.session


def test_every_visitor_adds_the_same() -> None:
    variant = find_variant("ar-distilled")
    needs = count_needs(variant)
    assert needs.demand(variant, 3).always - needs.demand(variant, 1).always == 2 * needs.session


def test_decoder_state_as_counted() -> None:
    vae = StreamingVAE(VAE).to(torch.bfloat16)
    state = vae.new_decoder_state()
    with torch.inference_mode():
        for _ in range(3):
            vae.decode_latent(torch.zeros(1, 4, 1, 2, 4), state)
    real = sum(slot.numel() * slot.element_size() for slot in state.slots)
    assert decoder_state_bytes(VAE, (32, 64)) == real


def test_caches_as_counted() -> None:
    needs = count_needs(find_variant("ar-distilled"), (32, 64), Shapes(TRANSFORMER, VAE))
    model = WorldPlayTransformer(TRANSFORMER).to(torch.bfloat16)
    for raw, counted in ((False, needs.caches), (True, needs.raw_caches)):
        cache = model.new_cache((2, 4), MAX_TEXT_TOKENS, raw=raw)
        tensors = [tensor for value in vars(cache).values() if isinstance(value, list) for tensor in value]
        assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) == counted


def test_text_stream_is_what_the_vision_pass_never_touches() -> None:
    names = dict(WorldPlayTransformer(TRANSFORMER).named_parameters())
    idle = {name for name in names if is_text_parameter(name)}
    assert "double_blocks.0.txt_attn_q.weight" in idle
    assert "txt_in.input_embedder.weight" in idle
    assert not any(name.startswith(("img_in", "time_in", "action_in", "final_layer")) for name in idle)
    assert not any(".img_" in name for name in idle)
