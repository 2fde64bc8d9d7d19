"""A tiny transformer with seeded weights, and inputs for it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worldplay.model.config import TransformerConfig
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.modulators import Modulations
from worldplay.model.prope import Cameras
from worldplay.model.transformer import WorldPlayTransformer

TINY = TransformerConfig(
    hidden=32,
    heads=2,
    rope_dims=(4, 6, 6),
    blocks=2,
    latent_channels=4,
    patch_size=(1, 1),
    mlp_ratio=2.0,
    text_dim=6,
    vision_dim=5,
    byt5_dim=7,
    byt5_hidden=8,
    refiner_blocks=1,
    rope_theta=256.0,
)
GRID = (4, 6)


@dataclass(frozen=True, slots=True)
class Latents:
    """The arguments that encode_context and denoise have in common."""

    latents: Tensor
    cond: Tensor
    cameras: Cameras
    actions: Tensor

    def arguments(self) -> tuple[Tensor, Tensor, Cameras, Tensor]:
        return self.latents, self.cond, self.cameras, self.actions


def make_model(config: TransformerConfig = TINY) -> WorldPlayTransformer:
    torch.manual_seed(0)
    return WorldPlayTransformer(config).eval()


def make_text(model: WorldPlayTransformer, batch: int = 1) -> TextKV:
    config, random = model.config, torch.Generator().manual_seed(1)
    return model.encode_text(
        torch.randn(batch, 3, config.text_dim, generator=random),
        torch.tensor([[1, 1, 0]] * batch),
        torch.randn(batch, 2, config.byt5_dim, generator=random),
        torch.tensor([[1, 0]] * batch),
        torch.randn(batch, 2, config.vision_dim, generator=random),
    )


def make_cache(model: WorldPlayTransformer, max_text: int = 8) -> KVCache:
    cache = model.new_cache(GRID, max_text)
    cache.set_text(make_text(model))
    return cache


def make_latents(
    model: WorldPlayTransformer, num_latents: int, batch: int = 1, grid: tuple[int, int] = GRID, seed: int = 2
) -> Latents:
    random = torch.Generator().manual_seed(seed)
    channels = model.config.latent_channels
    viewmats = torch.eye(4).repeat(batch, num_latents, 1, 1)
    viewmats[..., :3, 3] = torch.randn(batch, num_latents, 3, generator=random)
    intrinsics = torch.tensor([0.5, 0.9, 1.0]).diag().repeat(batch, num_latents, 1, 1)
    return Latents(
        torch.randn(batch, channels, num_latents, *grid, generator=random),
        torch.randn(batch, channels + 1, num_latents, *grid, generator=random),
        model.prepare_cameras(viewmats, intrinsics),
        torch.randint(0, 81, (batch, num_latents), generator=random),
    )


def enter(
    model: WorldPlayTransformer, latents: Latents, timestep: float = 500.0
) -> tuple[Tensor, Modulations]:
    """Embed latents, and compute what modulates them."""
    timesteps = torch.full(latents.actions.shape[-1:], timestep)
    return model._enter(latents.latents, latents.cond), model._modulate(latents.actions, timesteps)
