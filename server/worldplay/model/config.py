"""Sizes of the networks. This module needs no torch."""

from dataclasses import dataclass, fields
from math import inf

CONTEXT_TIMESTEP = 14.0  # of context latents, as if a little noisy: stabilisation level 15, minus 1
MAX_CONTEXT = 20
CHUNK_LATENTS = 4
FRAMES_PER_LATENT = 4  # but 1 for a walk's first latent
PAST_FRAMES = 2  # seen by a causal convolution of the autoencoder, whose kernel has 3


def require_positive(**values: float) -> None:
    """Raises: ValueError naming the first that is not above 0 and finite."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise ValueError(f"expected a positive {name}, got {value}")


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """The shape of a transformer.

    A token covers patch_size, (height, width), positions of a latent: one in the released models, more in the
    embedded one, to have fewer tokens.
    """

    hidden: int
    heads: int
    rope_dims: tuple[int, int, int]
    blocks: int
    latent_channels: int
    patch_size: tuple[int, int]
    mlp_ratio: float
    text_dim: int
    vision_dim: int
    byt5_dim: int
    byt5_hidden: int
    refiner_blocks: int
    rope_theta: float

    def __post_init__(self) -> None:
        sizes = {field.name: getattr(self, field.name) for field in fields(self)}
        del sizes["rope_dims"], sizes["patch_size"]
        require_positive(**sizes, patch_height=self.patch_size[0], patch_width=self.patch_size[1])
        if self.hidden % self.heads:
            raise ValueError(f"expected hidden to be a multiple of heads, got {self.hidden} and {self.heads}")
        if sum(self.rope_dims) != self.head_dim or any(dim < 0 or dim % 2 for dim in self.rope_dims):
            raise ValueError(f"expected three even rope_dims of sum {self.head_dim}, got {self.rope_dims}")
        if self.head_dim % 4:
            raise ValueError(f"expected a head size that is a multiple of 4, got {self.head_dim}")

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def patch_area(self) -> int:
        """Return how many positions of a latent make one token."""
        return self.patch_size[0] * self.patch_size[1]


RELEASED_TRANSFORMER = TransformerConfig(
    hidden=2048,
    heads=16,
    rope_dims=(16, 56, 56),
    blocks=54,
    latent_channels=32,
    patch_size=(1, 1),
    mlp_ratio=4.0,
    text_dim=3584,
    vision_dim=1152,
    byt5_dim=1472,
    byt5_hidden=2048,
    refiner_blocks=2,
    rope_theta=256.0,
)


@dataclass(frozen=True, slots=True)
class VAEConfig:
    """The shape of an autoencoder."""

    pixel_patch: int  # side of the pixel squares that are folded into channels; 1: none
    latent_channels: int
    encoder_channels: tuple[int, ...]  # per level, finest first
    encoder_layers: int  # residual blocks per level
    decoder_channels: tuple[int, ...]  # per level, coarsest first
    decoder_layers: int
    spatial_compression: int  # of the network, without pixel_patch
    temporal_compression: int
    scaling_factor: float
    still: bool = False  # from its first upsampling on, the decoder convolves each frame by itself
    shrink: int = 1  # the encoder sees pictures so many times smaller; the decoder has more levels instead
    sharpen: bool = False  # shown frames pass a shock filter

    def __post_init__(self) -> None:
        require_positive(
            pixel_patch=self.pixel_patch,
            shrink=self.shrink,
            latent_channels=self.latent_channels,
            encoder_layers=self.encoder_layers,
            decoder_layers=self.decoder_layers,
            spatial_compression=self.spatial_compression,
            scaling_factor=self.scaling_factor,
            channels=min((*self.encoder_channels, *self.decoder_channels), default=0),
        )
        if self.temporal_compression != 4:
            raise ValueError(f"expected temporal_compression 4, got {self.temporal_compression}")
        if self.shrink.bit_count() != 1:
            raise ValueError(f"expected shrink to be a power of 2, got {self.shrink}")
        for channels, compression in (
            (self.encoder_channels, self.spatial_compression),
            (self.decoder_channels, self.decoder_compression),
        ):
            levels = compression.bit_length()  # each halves the sides, except one
            if len(channels) != levels:
                raise ValueError(f"expected channels of {levels} levels, got {channels}")

    @property
    def pixels_per_latent(self) -> int:
        return self.pixel_patch * self.decoder_compression

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of a latent. Args: size: height and width in pixels."""
        height, width = size
        return height // self.pixels_per_latent, width // self.pixels_per_latent

    @property
    def decoder_compression(self) -> int:
        """Return spatial_compression of the decoder."""
        return self.spatial_compression * self.shrink


RELEASED_VAE = VAEConfig(
    pixel_patch=1,
    latent_channels=32,
    encoder_channels=(128, 256, 512, 1024, 1024),
    encoder_layers=2,
    decoder_channels=(1024, 1024, 512, 256, 128),
    decoder_layers=3,
    spatial_compression=16,
    temporal_compression=4,
    scaling_factor=1.03682,
)
