"""How much memory a released model needs, counted from its configuration without building it."""

import functools
from dataclasses import dataclass

import torch

from worldplay.model.config import (
    CHUNK_LATENTS,
    RELEASED_TRANSFORMER,
    RELEASED_VAE,
    TransformerConfig,
    VAEConfig,
)
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.world.frames import SIZE
from worldplay.world.released.offload import Demand
from worldplay.world.released.variants import Variant
from worldplay.world.weights import build_empty

BYTES = 2  # of a number: bfloat16, float16
VISION_TOKENS, GLYPH_TOKENS, PROMPT_TOKENS = 729, 256, 1000
MAX_TEXT_TOKENS = VISION_TOKENS + GLYPH_TOKENS + PROMPT_TOKENS

# Parameters of the published encoders.
_LANGUAGE, _GLYPH, _VISION = 7_070_000_000, 219_000_000, 428_000_000
ENCODER_BYTES = _LANGUAGE * BYTES + _GLYPH * 4 + _VISION * BYTES

# Wide tensors that are alive at once: of the tokens of a pass, and of a latent's frames at full size in the
# decoder, beside what it will remember next. Counted by running both on tensors without content.
_TOKEN_TENSORS, _FRAME_TENSORS = 21, 7


@dataclass(frozen=True, slots=True)
class Shapes:
    """The networks' configurations; tests have smaller ones."""

    transformer: TransformerConfig
    vae: VAEConfig


RELEASED = Shapes(RELEASED_TRANSFORMER, RELEASED_VAE)


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes on the device, part by part."""

    image_stream: int  # of the transformer, with everything outside its blocks
    text_stream: int  # idle after the text pass, except in the bidirectional model
    autoencoder: int
    encoders: int
    caches: int  # keys and values of text, context and chunk, allocated once
    raw_caches: int  # the same in model/unrotated_kv_cache.py
    context_latent: int  # of these: what one latent of context takes
    session: int  # what each visitor adds: decoder state, keys and values of the text
    working: int  # an estimate of the activations

    def demand(self, variant: Variant, sessions: int = 1) -> Demand:
        idle = self.text_stream if variant.is_live else 0
        busy = self.image_stream + self.text_stream - idle
        return Demand(
            always=busy + self.autoencoder + sessions * self.session,
            caches=self.caches,
            raw_caches=self.raw_caches,
            working=self.working,
            encoders=self.encoders,
            text_stream=idle,
        )


@functools.cache
def count_needs(variant: Variant, size: tuple[int, int] = SIZE, shapes: Shapes = RELEASED) -> Needs:
    """Count what a variant needs for pictures of a size, (height, width)."""
    config, side = shapes.transformer, shapes.vae.pixels_per_latent
    tokens = (size[0] // side) * (size[1] // side) // config.patch_area
    text, image = _transformer_bytes(config)
    context = variant.rollout().memory_latents
    latent = tokens * _token_bytes(config)
    text_kv = MAX_TEXT_TOKENS * _token_bytes(config)
    both = text_kv + (context + CHUNK_LATENTS) * latent
    raw = (context + CHUNK_LATENTS) * latent // 2 + both // config.blocks
    branches = variant.num_branches if variant.is_live else 0  # the bidirectional model caches nothing
    # Every four latents of a longer chunk recall some of their own.
    recalled = context + variant.chunk_latents - CHUNK_LATENTS
    widest = tokens * (recalled + variant.chunk_latents) * config.hidden * BYTES
    frames = 4 * size[0] * size[1] * shapes.vae.decoder_channels[-1] * BYTES
    remembered = decoder_state_bytes(shapes.vae, size)
    return Needs(
        image_stream=image,
        text_stream=text,
        autoencoder=_autoencoder_bytes(shapes.vae),
        encoders=ENCODER_BYTES,
        caches=branches * both,
        raw_caches=branches * raw,
        context_latent=latent,
        session=remembered + branches * text_kv // 2,
        working=max(_TOKEN_TENSORS * widest, _FRAME_TENSORS * frames + remembered),
    )


def count_host_bytes(
    variant: Variant, size: tuple[int, int], shapes: Shapes, walks: int, number_bytes: int
) -> int:
    """What a variant without its encoders takes on a CPU, where a number may take more."""
    demand = count_needs(variant, size, shapes).demand(variant, walks)
    numbers = (demand.always + demand.text_stream + demand.caches + demand.working) // BYTES
    return numbers * number_bytes


def _token_bytes(config: TransformerConfig) -> int:
    """Keys and values of one token, for the rope and the prope branch, in every block."""
    return 2 * 2 * config.blocks * config.hidden * BYTES


def is_text_parameter(name: str) -> bool:
    """Whether only the text pass uses it."""
    return name.startswith(("txt_in.", "byt5_in.", "vision_in.")) or ".txt_" in name


def _transformer_bytes(config: TransformerConfig) -> tuple[int, int]:
    """Of the text stream, and of the rest."""
    model = build_empty(lambda: WorldPlayTransformer(config))
    sizes = {name: BYTES * parameter.numel() for name, parameter in model.named_parameters()}
    text = sum(size for name, size in sizes.items() if is_text_parameter(name))
    return text, sum(sizes.values()) - text


def _autoencoder_bytes(config: VAEConfig) -> int:
    vae = build_empty(lambda: StreamingVAE(config))
    return BYTES * sum(parameter.numel() for parameter in vae.parameters())


@torch.no_grad()
def decoder_state_bytes(config: VAEConfig, size: tuple[int, int]) -> int:
    """What a decoder remembers of one stream, found by decoding two latents that have shapes only."""
    vae = build_empty(lambda: StreamingVAE(config)).to(torch.bfloat16)
    height, width = (side // config.pixels_per_latent for side in size)
    state = vae.new_decoder_state()
    latent = torch.empty(1, config.latent_channels, 1, height, width, device="meta")
    for _ in range(2):
        vae.decode_raw(latent, state)
    return sum(slot.numel() * BYTES for slot in state.slots)
