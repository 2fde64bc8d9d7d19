"""Measures the levers of tiers: context that is kept and 8-bit linears, both compiled; the tiny decoder."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from gpu.linears import name_failure
from gpu.setup import Row, Setup, make_arguments, make_timestep
from worldplay.model.attention_choice import FAILURES
from worldplay.model.config import CHUNK_LATENTS, CONTEXT_TIMESTEP
from worldplay.model.kept_context import KeptLatent, encode_between, restore_context
from worldplay.model.regions import compile_regions
from worldplay.model.tiny_decoder import LATENT_CHANNELS, TinyDecoder
from worldplay.model.vae import lay_out_channels_last
from worldplay.model.vae_stream import FeatureCache
from worldplay.world.attention import set_attention
from worldplay.world.device import choose_vae_dtype
from worldplay.world.pace import AUTO
from worldplay.world.world import World

NEWEST = 8


@torch.inference_mode()
def measure_tiers(setup: Setup) -> Iterator[Row]:
    """Time a context pass and a denoising step: in bf16, with context kept, and then in 8 bits.

    In the end, a latent of the tiny decoder.
    """
    world = set_attention(setup.build(), AUTO)
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    model.use_regions(compile_regions(setup.scale.compiler))
    context = make_arguments(setup, world, setup.most_context)
    chunk, timestep = make_arguments(setup, world, CHUNK_LATENTS), make_timestep(setup)
    encode = partial(model.encode_context, *context, cache)
    step = partial(model.denoise, *chunk, timestep, cache)
    kept = _keep(setup, world)
    yield _time(setup, "exact", encode, step)
    yield _time(setup, f"context kept, newest {NEWEST} encoded", kept, step)
    model.round_weights()
    try:
        yield _time(setup, "8-bit linears", encode, step)
    except FAILURES as error:  # the device may lack units for it
        yield {"way": "8-bit linears", name_failure(setup.device): str(error).strip()[:300]}
    yield {"way": "tiny decoder", "ms a latent": setup.median_ms(_decode_tiny(setup))}


def _decode_tiny(setup: Setup) -> Callable[[], Tensor]:
    """Build the tiny decoder with random weights. Returns: what decodes the next latent of a stream."""
    decoder = TinyDecoder().to(setup.device, choose_vae_dtype(setup.device)).eval()
    lay_out_channels_last(decoder)
    latent = torch.randn(1, LATENT_CHANNELS, 1, *setup.grid).to(setup.device)
    return partial(decoder.decode, latent, FeatureCache())


def _keep(setup: Setup, world: World) -> Callable[[], object]:
    """Keep the older latents of a context. Returns: what reads them back, and encodes the newest."""
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    num_old = max(1, setup.most_context - NEWEST)
    old, new = make_arguments(setup, world, num_old), make_arguments(setup, world, NEWEST)
    positions = list(range(num_old + NEWEST))
    kept, rest = [KeptLatent() for _ in range(num_old)], [KeptLatent() for _ in range(NEWEST)]
    cache.clear_context()
    encode_between(model, *old, cache, CONTEXT_TIMESTEP, positions[:num_old], kept)

    def read_and_encode() -> None:
        cache.clear_context()
        restore_context(model, kept, (num_old, *old[0].shape[3:]), old[2], cache, positions[:num_old])
        encode_between(model, *new, cache, CONTEXT_TIMESTEP, positions[num_old:], rest)

    return read_and_encode


def _time(setup: Setup, way: str, context: Callable[[], object], step: Callable[[], object]) -> Row:
    return {"way": way, "context ms": setup.median_ms(context), "step ms": setup.median_ms(step)}
