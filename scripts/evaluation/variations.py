"""Worlds that differ from the served one in how they remember, compute or denoise."""

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from worldplay.model.config import CONTEXT_TIMESTEP
from worldplay.model.kv_cache import Cache, KVCache
from worldplay.model.prope import Cameras
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.context import POINTS_SEED, sample_points
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

LONG_PROMPT = "word " * 800  # fills what a cache keeps for text, be it counted in words or letters


@dataclass(frozen=True, slots=True)
class Variation:
    """What differs; None is as served."""

    name: str
    memory_latents: int | None = None
    newest: int | None = None  # of the context latents, only so many of the newest are seen
    steps: int | None = None
    dtype: torch.dtype | None = None
    num_points: int | None = None  # of the memory selection
    raw_cache: bool = False


SERVED = Variation("as served")
NO_CONTEXT = Variation("no context", newest=0)


def without_retrieval(world: World) -> Variation:
    """The first chunk and the newest latents are all the context there is."""
    config = world.rollout.config
    return Variation("no retrieval", memory_latents=config.chunk_latents + config.recent_latents)


def recent_only(world: World) -> Variation:
    """Neither retrieval nor the first chunk."""
    return Variation("recent only", newest=world.rollout.config.recent_latents)


def vary(world: World, variation: Variation) -> World:
    """A world of the same weights; the given one stays as it is."""
    if variation.dtype is not None:
        world = _in_dtype(world, variation.dtype)
    rollout = world.rollout
    config = replace(
        rollout.config,
        memory_latents=variation.memory_latents or rollout.config.memory_latents,
        steps=variation.steps or rollout.config.steps,
    )
    rollout = replace(rollout, config=config)
    if variation.num_points is not None:
        rollout = replace(rollout, points=sample_points(variation.num_points, POINTS_SEED))
    if variation.memory_latents or variation.raw_cache or variation.dtype:
        caches = [_new_cache(world, config.memory_latents, variation.raw_cache) for _ in rollout.caches]
        rollout = replace(rollout, caches=caches)
    if variation.newest is not None:
        rollout = replace(rollout, transformer=Forgetful(rollout.transformer, variation.newest))
    return replace(world, rollout=rollout)


class Forgetful(WorldPlayTransformer):
    """The same network, of whose context all but the newest latents are withheld."""

    def __init__(self, network: WorldPlayTransformer, newest: int) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(network.__dict__)  # shares every weight
        self._newest = newest

    def encode_context(
        self,
        latents: Tensor,
        cond: Tensor,
        cameras: Cameras,
        actions: Tensor,
        cache: Cache,
        timestep: float | Tensor = CONTEXT_TIMESTEP,
    ) -> None:
        """As the network's, of [1, C, T, h, w] only the newest; with none it sees the text alone."""
        count = min(self._newest, latents.shape[2])
        if count == 0:
            cache.clear_context()
            return
        kept = slice(latents.shape[2] - count, None)
        newest = Cameras(cameras.query[:, kept], cameras.key_value[:, kept], cameras.output[:, kept])
        super().encode_context(latents[:, :, kept], cond[:, :, kept], newest, actions[kept], cache, timestep)


def _in_dtype(world: World, dtype: torch.dtype) -> World:
    transformer, vae = deepcopy(world.rollout.transformer).to(dtype), deepcopy(world.vae).to(dtype)
    return replace(world, vae=vae, rollout=replace(world.rollout, transformer=transformer))


def _new_cache(world: World, memory_latents: int, raw: bool) -> KVCache:
    side = world.vae.config.pixels_per_latent
    grid = (world.height // side, world.width // side)
    return world.rollout.transformer.new_cache(grid, _text_tokens(world), memory_latents, unrotated=raw)


def _text_tokens(world: World) -> int:
    """The most that a prompt becomes."""
    return max(text.length for text in world.open_walk(WalkRequest(prompt=LONG_PROMPT)).walk.text)
