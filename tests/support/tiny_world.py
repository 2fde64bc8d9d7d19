"""A world of random weights so small that a walk in it takes a tenth of a second, and a scale to match."""

from dataclasses import dataclass, replace
from functools import cache

import torch
from PIL.Image import Image
from torch import Tensor

from evaluation.scale import QUICK
from support import rollouts
from support.ranks import share
from support.tiny import TINY
from worldplay.model.conditioning import Conditioning
from worldplay.model.config import VAEConfig
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.world.context import sample_points
from worldplay.world.courtyard.ground import WalkGround
from worldplay.world.courtyard.views import render_views
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.world import StartView, World

HEIGHT, WIDTH = 32, 48
TEXT_TOKENS, VISION_TOKENS = 16, 6
VAE = VAEConfig(
    pixel_patch=4,
    latent_channels=TINY.latent_channels,
    encoder_channels=(8, 8, 8),
    encoder_layers=1,
    decoder_channels=(8, 8, 8),
    decoder_layers=1,
    spatial_compression=4,
    temporal_compression=4,
    scaling_factor=1.0,
)
ROLLOUT = replace(rollouts.ROLLOUT, steps=2)
SCALE = replace(
    QUICK,
    vae_frames=17,
    rollout_walks=1,
    rollout_chunks=2,
    more_walks=1,
    more_chunks=2,
    light_walks=1,
    baseline_chunks=2,
    action_stride=27,
    action_chunks=1,
    changes=1,
    step_chunks=1,
    precision_chunks=1,
    approximation_chunks=2,
    cut_walks=1,
    cut_chunks=2,
    lever_walks=0,
    lever_views=1,
)


@dataclass(frozen=True, slots=True)
class ByteConditioner:
    """A prompt is its bytes, cut at TEXT_TOKENS; the picture is nothing."""

    def encode(self, prompt: str, image: Image, image_latent: Tensor) -> Conditioning:
        letters = list(prompt.encode()[:TEXT_TOKENS]) or [0]
        return Conditioning(
            text_states=torch.tensor(letters)[None, :, None].expand(1, -1, TINY.text_dim) / 128,
            text_mask=torch.ones(1, len(letters), dtype=torch.long),
            byt5_states=torch.zeros(1, 1, TINY.byt5_dim),
            byt5_mask=torch.zeros(1, 1, dtype=torch.long),
            vision_states=torch.zeros(1, VISION_TOKENS, TINY.vision_dim),
        )

    def taken_as(self, prompt: str) -> str | None:
        return None


def make_world(ranks: Ranks = ALONE, *, packs: bool = False, dtype: torch.dtype = torch.float32) -> World:
    torch.manual_seed(0)
    transformer, vae = WorldPlayTransformer(TINY).eval(), StreamingVAE(VAE).eval().requires_grad_(False)
    if packs:
        transformer.requires_grad_(False).pack()
    transformer.to(dtype)
    vae.to(dtype)
    share(ranks, transformer, vae)
    grid = (HEIGHT // VAE.pixels_per_latent, WIDTH // VAE.pixels_per_latent)
    cache = transformer.new_cache(grid, TEXT_TOKENS + VISION_TOKENS, ROLLOUT.memory_latents)
    return World(
        name="tiny",
        title="Tiny",
        width=WIDTH,
        height=HEIGHT,
        views=_render_views(),
        rollout=RolloutModel(transformer, [cache], sample_points(256, 0), ROLLOUT),
        vae=vae,
        conditioner=ByteConditioner(),
        weights="tiny weights",
    )


@cache
def _render_views() -> tuple[StartView, ...]:
    """Render them once: they take most of the time of making a world."""
    return render_views(HEIGHT, WIDTH, lambda view: WalkGround(view.c2w))


def with_sets(world: World, count: int) -> World:
    """Give a world so many sets of caches."""
    grid = HEIGHT // VAE.pixels_per_latent, WIDTH // VAE.pixels_per_latent
    rollout = world.rollout
    sets = tuple(
        [
            rollout.transformer.new_cache(grid, TEXT_TOKENS + VISION_TOKENS, rollout.config.memory_latents)
            for _ in rollout.caches
        ]
        for _ in range(count)
    )
    return replace(world, rollout=replace(world.rollout, caches=sets[0], more_caches=sets[1:]))
