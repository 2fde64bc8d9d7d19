"""Runs every shape of a loaded world once, so that no walk waits for kernels, compilers or recordings."""

import torch
from PIL import Image
from torch import Tensor

from worldplay.model.conditioning import condition_channels
from worldplay.model.kept_context import KeptLatent, encode_between
from worldplay.model.kv_cache import KVCache
from worldplay.model.prope import Cameras
from worldplay.model.vae import DecoderState
from worldplay.world.world import World


@torch.inference_mode()
def warm_up(world: World) -> None:
    """Run a context pass of every length and a denoising step after each, in every cache.

    The caches' contents are lost. They hold the text of an empty prompt. Cuts have no other shapes.
    """
    _set_texts(world)
    config = world.rollout.config
    for caches in world.rollout.cache_sets:
        for cache in caches:
            for latents in config.context_lengths:
                _encode_and_denoise(world, latents, cache)
            if config.guides_by_history:
                _denoise(world, config.chunk_latents, cache, config.recent_latents)
            _encode_behind_others(world, cache)


@torch.inference_mode()
def warm_up_decoder(world: World) -> DecoderState:
    """Decode the beginning of a stream, and return its state."""
    state = world.vae.new_decoder_state()
    decode = world.vae.decode_planes if world.vae.makes_planes else world.vae.decode_latent
    for _ in range(2):  # the first latent is a single frame
        decode(_make_latents(world, 1), state)
    return state


def _set_texts(world: World) -> None:
    texts = world.encode_text("", Image.new("RGB", (world.width, world.height)), _make_latents(world, 1))
    world.rollout.forget_contexts()
    for caches in world.rollout.cache_sets:
        for cache, text in zip(caches, texts, strict=True):
            cache.set_text(text)


def _encode_and_denoise(world: World, num_latents: int, cache: KVCache) -> None:
    cache.clear_context()
    if num_latents:
        _encode(world, num_latents, cache)
    _denoise(world, world.rollout.config.chunk_latents, cache)


def _encode(world: World, num_latents: int, cache: KVCache) -> None:
    model, latents = world.rollout.transformer, _make_latents(world, num_latents)
    timestep = world.rollout.config.context_timestep
    model.encode_context(latents.to(model.dtype), *_stand_still(world, latents), cache, timestep)


def _encode_behind_others(world: World, cache: KVCache) -> None:
    """Encode the newest latents behind each number of others, which a walk reads back, if context is kept."""
    keeping, config = world.rollout.keeping, world.rollout.config
    if keeping is None:
        return
    model, latents = world.rollout.transformer, _make_latents(world, keeping.newest)
    inputs = latents.to(model.dtype), *_stand_still(world, latents)
    for others in (length - keeping.newest for length in config.context_lengths if length > keeping.newest):
        cache.clear_context()
        _encode(world, others, cache)
        positions = list(range(others, others + keeping.newest))
        kept = [KeptLatent() for _ in positions]
        encode_between(model, *inputs, cache, config.context_timestep, positions, kept)


def _denoise(world: World, num_latents: int, cache: KVCache, latest: int | None = None) -> None:
    latents = _make_latents(world, num_latents)
    world.rollout.transformer.denoise(latents, *_stand_still(world, latents), 1000.0, cache, latest)


def _make_latents(world: World, num_latents: int) -> Tensor:
    return torch.zeros(1, world.vae.config.latent_channels, num_latents, *world.grid, device=world.device)


def _stand_still(world: World, latents: Tensor) -> tuple[Tensor, Cameras, Tensor]:
    """Make condition, cameras and actions of latents."""
    count = latents.shape[2]
    cond = condition_channels(latents[:, :, :1], count, first=False)
    views, intrinsics = (torch.eye(side).repeat(1, count, 1, 1) for side in (4, 3))
    cameras = world.rollout.transformer.prepare_cameras(views, intrinsics)
    return cond, cameras, torch.zeros(count, dtype=torch.long, device=world.device)
