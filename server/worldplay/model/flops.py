"""Counts floating-point operations of every pass of the networks, two per multiply-add.

Only the matrix products and convolutions that the result needs are counted. Modulation is once per latent,
and the 4x4 camera products are sparse; both are negligible (docs/worldplay-model.md 22).
"""

from dataclasses import dataclass

from worldplay.model.config import CHUNK_LATENTS, TransformerConfig, VAEConfig

_CONV_TAPS = 27  # of a causal 3x3x3 kernel


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of a pass of the transformer."""

    linears: float
    attention: float

    @property
    def total(self) -> float:
        return self.linears + self.attention

    def times(self, number: float) -> "Work":
        return Work(number * self.linears, number * self.attention)

    def plus(self, other: "Work") -> "Work":
        return Work(self.linears + other.linears, self.attention + other.attention)


@dataclass(frozen=True, slots=True)
class ChunkWork:
    """Operations of one chunk, by stage."""

    context: float
    denoise: float
    decode: float

    @property
    def total(self) -> float:
        return self.context + self.denoise + self.decode


def image_pass(config: TransformerConfig, queries: int, keys: int) -> Work:
    """Take `queries` image tokens through all blocks, each attending to `keys` in two branches."""
    hidden = config.hidden
    # q, k, v; one output projection per branch; the MLP's two layers.
    linears = (6 + 4 + 4 * config.mlp_ratio) * hidden**2
    attention = 2 * 4 * keys * hidden
    return Work(linears, attention).times(queries * config.blocks)


def context_pass(config: TransformerConfig, tokens: int, text_tokens: int) -> Work:
    """Encode context latents with `tokens` in total; the last block stops at its keys and values."""
    whole = image_pass(config, tokens, text_tokens + tokens)
    last = Work(4.0 * config.hidden**2 * tokens, 0.0)
    return whole.times((config.blocks - 1) / config.blocks).plus(last)


def denoise_step(config: TransformerConfig, tokens_per_latent: int, context: int, text_tokens: int) -> Work:
    """One denoising step of a chunk after `context` latents."""
    queries = CHUNK_LATENTS * tokens_per_latent
    return image_pass(config, queries, text_tokens + context * tokens_per_latent + queries)


def text_pass(config: TransformerConfig, tokens: int) -> Work:
    """Take text tokens through the text stream, each attending to all; the last block stops early, too."""
    hidden = config.hidden
    linears = (6 + 2 + 4 * config.mlp_ratio) * hidden**2
    block = Work(linears, 4 * tokens * hidden).times(tokens)
    return block.times(config.blocks - 1).plus(Work(6.0 * hidden**2 * tokens, 0.0))


def decode_latent(config: VAEConfig, grid: tuple[int, int], *, to_planes: bool = False) -> float:
    """Decode one latent of a grid, (h, w), but not a video's first, which gives one frame instead of four.

    Args: to_planes: as `StreamingVAE.decode_planes` does.
    """
    frames, positions = 1, grid[0] * grid[1]
    channels = config.decoder_channels
    late = 1 / 3 if config.still else 1.0  # of the taps, from the first upsampling on
    work = _conv(config.latent_channels, channels[0]) * positions
    work += 2 * _residual(channels[0]) * positions + _attention(channels[0], positions)
    for level, (here, following) in enumerate(zip(channels, (*channels[1:], None), strict=True)):
        work += config.decoder_layers * _residual(here) * frames * positions * (late if level else 1.0)
        if following is None:
            continue
        doubles_time = 2**level < config.temporal_compression
        work += late * _conv(here, following * (8 if doubles_time else 4)) * frames * positions
        frames *= 2 if doubles_time else 1
        positions *= 4
    last = 3 * config.pixel_patch**2 // (2 if to_planes else 1)
    return work + late * _conv(channels[-1], last) * frames * positions


def chunk(
    transformer: TransformerConfig,
    vae: VAEConfig,
    grid: tuple[int, int],
    context: int,
    text_tokens: int,
    steps: int,
    *,
    to_planes: bool = False,
) -> ChunkWork:
    """One chunk, but not a walk's first; grid is (h, w) of a latent, before the transformer's patches."""
    tokens = grid[0] * grid[1] // transformer.patch_area
    return ChunkWork(
        context=context_pass(transformer, context * tokens, text_tokens).total,
        denoise=denoise_step(transformer, tokens, context, text_tokens).times(steps).total,
        decode=CHUNK_LATENTS * decode_latent(vae, grid, to_planes=to_planes),
    )


def _residual(channels: int) -> float:
    return 2 * _conv(channels, channels)


def _conv(inputs: int, outputs: int) -> float:
    """Per output position."""
    return 2.0 * _CONV_TAPS * inputs * outputs


def _attention(channels: int, positions: int) -> float:
    """The middle block's: four 1x1x1 convolutions, and a single head over a latent's positions."""
    return 8.0 * channels**2 * positions + 4.0 * channels * positions**2
