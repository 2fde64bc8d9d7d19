"""Builds a world with the released model's sizes and random weights, for timing."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from worldplay.model.conditioning import Conditioning
from worldplay.model.config import CHUNK_LATENTS, MAX_CONTEXT, TransformerConfig, VAEConfig
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE, lay_out_channels_last
from worldplay.world.context import NUM_POINTS, POINTS_SEED, sample_points
from worldplay.world.device import choose_dtype, choose_vae_dtype
from worldplay.world.live_walk import LiveWalk
from worldplay.world.noise_past import append_noise
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.snapshot import Beginning
from worldplay.world.walk import OpenGround, Walk
from worldplay.world.world import World

TEXT_TOKENS = 151  # of a prompt of usual length, closing chat tokens included
VISION_TOKENS = 729
# A prime, so that the rows of a matrix do not repeat each other.
_PATTERN_LENGTH = 1_000_003

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class RandomConditioner:
    """Gives random states, as many as the released encoders for an image and a prompt without quotes."""

    text_dim: int
    byt5_dim: int
    vision_dim: int

    def encode(self, prompt: str, image: Image.Image, image_latent: Tensor) -> Conditioning:
        random, device = torch.Generator().manual_seed(0), image_latent.device
        return Conditioning(
            text_states=torch.randn(1, TEXT_TOKENS, self.text_dim, generator=random).to(device),
            text_mask=torch.ones(1, TEXT_TOKENS, dtype=torch.long, device=device),
            byt5_states=torch.zeros(1, 1, self.byt5_dim, device=device),
            byt5_mask=torch.zeros(1, 1, dtype=torch.long, device=device),
            vision_states=torch.randn(1, VISION_TOKENS, self.vision_dim, generator=random).to(device),
        )

    def taken_as(self, prompt: str) -> str | None:
        return None


def build_random_world(
    transformer: TransformerConfig,
    vae: VAEConfig,
    rollout: RolloutConfig,
    size: tuple[int, int],
    device: torch.device,
    ranks: Ranks = ALONE,
    *,
    unrotated: bool = False,
) -> World:
    """Build a world. The other ranks need only `build_networks`.

    Args:
        size: height and width in pixels.
        unrotated: how keys and values are stored, as `new_cache` takes it.
    Raises: ValueError if the size does not divide into tokens.
    """
    height, width = size
    rows, columns = (vae.pixels_per_latent * patch for patch in transformer.patch_size)
    if height <= 0 or width <= 0 or height % rows or width % columns:
        sides = f"multiples of {rows} and {columns}"
        raise ValueError(f"expected height and width in {sides}, got {height}x{width}")
    network, autoencoder = build_networks(transformer, vae, device)
    network.use_ranks(ranks)
    autoencoder.use_ranks(ranks)
    branches = range(1 if rollout.guidance == 1.0 else 2)
    lengths = VISION_TOKENS + TEXT_TOKENS, rollout.memory_latents
    caches = [network.new_cache(vae.grid(size), *lengths, unrotated=unrotated) for _ in branches]
    return World(
        name="hy-worldplay with random weights",
        title="Noise",
        width=width,
        height=height,
        views=(),
        rollout=RolloutModel(network, caches, sample_points(NUM_POINTS, POINTS_SEED), rollout),
        vae=autoencoder,
        conditioner=RandomConditioner(transformer.text_dim, transformer.byt5_dim, transformer.vision_dim),
    )


def build_networks(
    transformer: TransformerConfig, vae: VAEConfig, device: torch.device
) -> tuple[WorldPlayTransformer, StreamingVAE]:
    """Build the networks directly on the device, in the dtype of inference. The VAE has only its decoder."""
    with torch.device("meta"):
        network, autoencoder = WorldPlayTransformer(transformer), StreamingVAE(vae)
    fill_randomly(network, device, choose_dtype(device)).pack()
    lay_out_channels_last(fill_randomly(autoencoder.decoder, device, choose_vae_dtype(device)))
    return network, autoencoder


@torch.no_grad()
def fill_randomly(module: Module, device: torch.device, dtype: torch.dtype) -> Module:
    """Give a module on the meta device memory, and weights that keep signals in range."""
    module.to(dtype).to_empty(device=device).requires_grad_(False).eval()
    pattern = torch.randn(_PATTERN_LENGTH, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    for name, parameter in module.named_parameters():
        size = parameter.numel()
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.shape[0] == size:  # of a norm
            parameter.fill_(1.0)
        else:
            fan_in = size // parameter.shape[0]
            values = pattern.repeat(-(-size // _PATTERN_LENGTH))[:size]
            parameter.copy_(values.view(parameter.shape)).mul_(fan_in**-0.5)
    return module


def check_context(num_latents: int) -> None:
    """Check a number of context latents. Raises: ValueError if no walk has so many."""
    if not 0 <= num_latents <= MAX_CONTEXT:
        raise ValueError(f"expected 0 to {MAX_CONTEXT} context latents, got {num_latents}")
    if num_latents % CHUNK_LATENTS:
        raise ValueError(f"expected context latents in multiples of {CHUNK_LATENTS}, got {num_latents}")


@torch.inference_mode()
def open_random_walk(world: World, num_latents: int) -> LiveWalk:
    """Open a walk with a past of `num_latents`, in a wide circle. Raises: ValueError as `check_context`."""
    check_context(num_latents)
    model = world.rollout.transformer
    shape = (1, model.config.latent_channels, 1, *world.grid)
    image_latent = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(world.device)
    picture = Image.new("RGB", (world.width, world.height))
    walk = Walk(
        text=world.encode_text("", picture, image_latent),
        picture=picture,
        image_latent=image_latent,
        seed=0,
        ground=OpenGround(),
    )
    if num_latents:
        append_noise(walk, num_latents, world.rollout)
    beginning = Beginning(world.identity, "noise", walk.seed, None, walk.origin, model.attention)
    return LiveWalk(world, walk, world.rollout, beginning)
