"""Compiles a loaded world's transformer, and runs every shape once so that no walk waits for it."""

import logging
from time import perf_counter

import torch

from worldplay.model.conditioning import condition_channels
from worldplay.model.regions import compile_regions
from worldplay.world.device import synchronize
from worldplay.world.world import World

logger = logging.getLogger(__name__)


COMPILER = "inductor"


def compile_world(world: World, compiler: str = COMPILER) -> World:
    """Compile the parts of blocks by a backend of torch.compile, and log how long that takes.

    Bidirectional transformers have other shapes in every chunk, so they are left as they are.
    """
    if world.can_walk:
        began = perf_counter()
        world.rollout.transformer.use_regions(compile_regions(compiler))
        warm_up(world)
        synchronize(world.device)
        logger.info("compiled the transformer in %.1f s", perf_counter() - began)
    return world


@torch.inference_mode()
def warm_up(world: World) -> None:
    """Run a context pass of every length and a denoising step after each. The caches' contents are lost."""
    config, cache = world.rollout.config, world.rollout.caches[0]
    cache.holds = None
    cache.clear_context()
    _run(world, config.chunk_latents, context=False)
    for latents in range(config.chunk_latents, config.memory_latents + 1, config.chunk_latents):
        _run(world, latents, context=True)
        _run(world, config.chunk_latents, context=False)


def _run(world: World, num_latents: int, *, context: bool) -> None:
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    side = world.vae.config.pixels_per_latent
    size = world.height // side, world.width // side
    latents = torch.zeros(1, model.config.latent_channels, num_latents, *size, device=world.device)
    latents = latents.to(model.dtype)
    cond = condition_channels(latents[:, :, :1], num_latents, first=False)
    cameras = model.prepare_cameras(
        torch.eye(4).repeat(1, num_latents, 1, 1), torch.eye(3).repeat(1, num_latents, 1, 1)
    )
    labels = torch.zeros(num_latents, dtype=torch.long, device=world.device)
    if context:
        model.encode_context(latents, cond, cameras, labels, cache, world.rollout.config.context_timestep)
    else:
        model.denoise(latents.float(), cond.float(), cameras, labels, 1000.0, cache)
