"""Estimates the memory of a released model from its configuration, without building it."""

import functools
from dataclasses import dataclass
from math import prod

from worldplay.model.config import (
    CHUNK_LATENTS,
    PAST_FRAMES,
    RELEASED_TRANSFORMER,
    RELEASED_VAE,
    TransformerConfig,
    VAEConfig,
)
from worldplay.model.parameters import (
    is_encoder_parameter,
    is_text_parameter,
    transformer_parameters,
    vae_parameters,
)
from worldplay.world.frames import FRAMES_PER_LATENT, SIZE
from worldplay.world.released.variants import Variant
from worldplay.world.rollout_config import LATENTS_ON_DEVICE

BYTES = 2  # of a number: bfloat16, float16
VISION_TOKENS, GLYPH_TOKENS, PROMPT_TOKENS = 729, 256, 1000
MAX_TEXT_TOKENS = VISION_TOKENS + GLYPH_TOKENS + PROMPT_TOKENS

# Parameters of the published encoders.
_LANGUAGE, _GLYPH, _VISION = 7_070_000_000, 219_000_000, 428_000_000
ENCODER_BYTES = _LANGUAGE * BYTES + _GLYPH * 4 + _VISION * BYTES

# Large tensors that exist at once: of all tokens in a context pass, or in a bidirectional step; of a latent's
# full-size frames in the decoder, beside its next state; of a picture in the encoder. Counted on tensors
# without content.
_CONTEXT_TENSORS, _STEP_TENSORS, _FRAME_TENSORS, _PICTURE_TENSORS = 29, 21, 7, 20

# Of model/tiny_decoder.py: its parameters, and the numbers of its state for each place in a latent.
_TINY_PARAMETERS, _TINY_STATE = 9_886_668, 5376

# NCCL's buffers for each other rank, as measured in all-to-all of 8 H100s: 3.3 GB for seven
# (https://github.com/NVIDIA/nccl/issues/1685).
_EXCHANGE_BYTES = 470_000_000


@dataclass(frozen=True, slots=True)
class Shapes:
    """The networks' configurations; tests have smaller ones."""

    transformer: TransformerConfig
    vae: VAEConfig


RELEASED = Shapes(RELEASED_TRANSFORMER, RELEASED_VAE)


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes on the device, part by part."""

    image_stream: int  # of the transformer, with everything outside its blocks
    text_stream: int  # of the transformer
    text_is_idle: bool  # between prompts; the bidirectional model reads the text at every step
    autoencoder: int  # on rank 0
    decoder: int  # the part of it that other ranks have as well; 0 with a tiny decoder, which only rank 0 has
    encoders: int  # language model, quoted words, picture; idle between prompts
    caches: int  # keys and values of text, context and chunk, allocated once
    unrotated_caches: int  # the same in model/unrotated_kv_cache.py
    context_latent: int  # the part of `caches` for one latent of context
    kept_latent: int  # keys and values of one before rotation, where tiers keep context
    walk: int  # for each walk: decoder state, and keys and values of the text
    walk_latents: int  # the most of each walk that are on the device; on rank 0
    working: int  # an estimate of the activations while a chunk is generated
    encoding: int  # the same while a picture is encoded; on rank 0
    exchange: int  # an estimate of NCCL's buffers, on every rank


@functools.cache
def estimate_memory(
    variant: Variant,
    size: tuple[int, int] = SIZE,
    shapes: Shapes = RELEASED,
    ranks: int = 1,
    *,
    tiny_decoder: bool = False,
) -> MemoryEstimate:
    """Estimate what a variant needs for pictures of a size, (height, width).

    Args:
        ranks: compute it together. The estimate is for rank 0, which alone has encoders and text stream.
        tiny_decoder: it shows the latents, so the autoencoder's own decoder is not loaded.
    """
    config, side = shapes.transformer, shapes.vae.pixels_per_latent
    tokens = (size[0] // side) * (size[1] // side) // config.patch_area
    text, image = _transformer_bytes(config)
    context = variant.rollout().memory_latents
    latent = tokens * _token_bytes(config)
    text_kv = MAX_TEXT_TOKENS * _token_bytes(config)
    both = text_kv + (context + CHUNK_LATENTS) * latent
    block = both // config.blocks
    queries = block // 2  # of the last block, in a row like its keys
    unrotated = (context + CHUNK_LATENTS) * latent // 2 + block + queries
    branches = variant.num_branches if variant.is_live else 0  # the bidirectional model caches nothing
    # In a longer chunk every four latents select context of their own.
    recalled = context + variant.chunk_latents - CHUNK_LATENTS
    widest = tokens * (recalled + variant.chunk_latents) * config.hidden * BYTES
    picture = size[0] * size[1] * shapes.vae.encoder_channels[0] * BYTES
    frames = FRAMES_PER_LATENT * size[0] * size[1] * shapes.vae.decoder_channels[-1] * BYTES
    encoder, decoder = _autoencoder_bytes(shapes.vae)
    of_tokens = (_CONTEXT_TENSORS if variant.is_live else _STEP_TENSORS) * widest
    decoding = _FRAME_TENSORS * frames
    remembered = decoder_state_bytes(shapes.vae, size) // ranks
    places = (size[0] // side) * (size[1] // side)
    if tiny_decoder:  # it decodes on rank 0, and takes less than a denoising step there
        encoder, decoder, decoding = encoder + _TINY_PARAMETERS * BYTES, 0, 0
        remembered = places * _TINY_STATE * BYTES
    return MemoryEstimate(
        image_stream=image,
        text_stream=text,
        text_is_idle=variant.is_live,
        autoencoder=encoder + decoder,
        decoder=decoder,
        encoders=ENCODER_BYTES,
        caches=branches * (both + queries) // ranks,
        unrotated_caches=branches * unrotated // ranks,
        context_latent=latent // ranks,
        kept_latent=branches * latent // 2 // ranks,
        walk=remembered + branches * text_kv // 2 // ranks,
        walk_latents=LATENTS_ON_DEVICE * places * config.latent_channels * BYTES,
        working=max(of_tokens // ranks, decoding // ranks + remembered),
        encoding=_PICTURE_TENSORS * picture,
        exchange=_EXCHANGE_BYTES * (ranks - 1),
    )


def count_other_rank(needed: MemoryEstimate, walks: int, sets: int, *, unrotated: bool) -> int:
    """Count the bytes of another rank than 0, by the estimate for rank 0.

    Args:
        sets: of caches; every rank has its heads of each.
        unrotated: how they are stored.
    """
    caches = needed.unrotated_caches if unrotated else needed.caches
    kept = needed.image_stream + needed.decoder + sets * caches + needed.exchange
    return kept + walks * needed.walk + needed.working


def count_host_bytes(needed: MemoryEstimate, walks: int, number_bytes: int, ranks: int = 1) -> int:
    """Count the bytes of a variant without its encoders on a CPU, with `number_bytes` per number."""
    one = needed.image_stream + needed.decoder + needed.caches + walks * needed.walk + needed.working
    on_rank_0 = needed.text_stream + needed.autoencoder - needed.decoder
    return (on_rank_0 + ranks * one) // BYTES * number_bytes


def _token_bytes(config: TransformerConfig) -> int:
    """Count the bytes of one token's keys and values, in the rope and the prope branch of every block."""
    return 2 * 2 * config.blocks * config.hidden * BYTES


def _transformer_bytes(config: TransformerConfig) -> tuple[int, int]:
    """Count the bytes of the text stream, and of all other parameters."""
    sizes = {name: BYTES * prod(shape) for name, shape in transformer_parameters(config).items()}
    text = sum(size for name, size in sizes.items() if is_text_parameter(name))
    return text, sum(sizes.values()) - text


def _autoencoder_bytes(config: VAEConfig) -> tuple[int, int]:
    """Count the bytes of the encoder, and of the decoder."""
    sizes = {name: BYTES * prod(shape) for name, shape in vae_parameters(config).items()}
    encoder = sum(size for name, size in sizes.items() if is_encoder_parameter(name))
    return encoder, sum(sizes.values()) - encoder


def decoder_state_bytes(config: VAEConfig, size: tuple[int, int]) -> int:
    """Count the bytes of a decoder's state: the latest input frames of every causal convolution."""
    height, width = config.grid(size)
    coarsest = config.decoder_channels[0]
    numbers = config.latent_channels + 4 * coarsest  # into the network, and in its middle
    for level, channels in enumerate(config.decoder_channels):
        # Two in each residual block, and one that leads to the next level, or out of the network.
        convolutions = 2 * config.decoder_layers + 1
        numbers += convolutions * channels * 4**level
    return PAST_FRAMES * height * width * numbers * BYTES
