"""Makes worlds that differ from the served one in context, arithmetic or denoising."""

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from worldplay.model.attention import EIGHT_BITS
from worldplay.model.config import CONTEXT_TIMESTEP
from worldplay.model.kv_cache import Cache, KVCache
from worldplay.model.prope import Cameras
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.context import POINTS_SEED, sample_points
from worldplay.world.kept_rollout import Keeping
from worldplay.world.rollout_config import MOST_KEPT
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

LONG_PROMPT = "word " * 800  # has the most text tokens that a cache has room for


@dataclass(frozen=True, slots=True)
class Variation:
    """What differs from the served world; None: nothing."""

    name: str
    memory_latents: int | None = None
    newest: int | None = None  # only so many of the newest context latents are seen
    steps: int | None = None
    dtype: torch.dtype | None = None
    num_points: int | None = None  # of the memory selection
    unrotated: bool = False  # the cache stores keys and values unrotated
    encoded: int | None = None  # only so many of the newest context latents are encoded, the others read back
    eight_bit_linears: bool = False
    eight_bit_attention: bool = False


SERVED = Variation("as served")
NO_CONTEXT = Variation("no context", newest=0)


def without_retrieval(world: World) -> Variation:
    """Make a context of only the first and the newest latents."""
    config = world.rollout.config
    return Variation("no retrieval", memory_latents=config.first_latents + config.recent_latents)


def recent_only(world: World) -> Variation:
    """Make a context of only the newest latents."""
    return Variation("recent only", newest=world.rollout.config.recent_latents)


def vary(world: World, variation: Variation) -> World:
    """Return a world with the same weights that differs as described; the given one is unchanged."""
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
    if variation.memory_latents or variation.unrotated or variation.dtype:
        new_cache = partial(_new_cache, world, unrotated=variation.unrotated)
        branches = [new_cache(config.memory_latents) for _ in rollout.caches]
        rollout = replace(rollout, caches=branches)
    if variation.newest is not None:
        rollout = replace(rollout, transformer=RecentContextOnly(rollout.transformer, variation.newest))
    if variation.encoded is not None:
        rollout = replace(rollout, keeping=Keeping(variation.encoded, MOST_KEPT))
    if variation.eight_bit_linears or variation.eight_bit_attention:
        rollout = replace(rollout, transformer=_in_eight_bits(rollout.transformer, variation))
    return replace(world, rollout=rollout)


class RecentContextOnly(WorldPlayTransformer):
    """The same network, but it gets only the newest latents of its context."""

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
        """Encode only the newest context latents of [1, C, T, h, w]; if there are none, clear the context."""
        count = min(self._newest, latents.shape[2])
        if count == 0:
            cache.clear_context()
            return
        kept = slice(latents.shape[2] - count, None)
        newest = Cameras(cameras.query[:, kept], cameras.key_value[:, kept], cameras.output[:, kept])
        super().encode_context(latents[:, :, kept], cond[:, :, kept], newest, actions[kept], cache, timestep)


def _in_eight_bits(transformer: WorldPlayTransformer, variation: Variation) -> WorldPlayTransformer:
    rounded = deepcopy(transformer)
    if variation.eight_bit_linears:
        rounded.round_weights()
    if variation.eight_bit_attention:
        rounded.use_attention(EIGHT_BITS)
    return rounded


def _in_dtype(world: World, dtype: torch.dtype) -> World:
    transformer, vae = deepcopy(world.rollout.transformer).to(dtype), deepcopy(world.vae).to(dtype)
    return replace(world, vae=vae, rollout=replace(world.rollout, transformer=transformer))


def _new_cache(world: World, memory_latents: int, *, unrotated: bool) -> KVCache:
    tokens = _text_tokens(world)
    return world.rollout.transformer.new_cache(world.grid, tokens, memory_latents, unrotated=unrotated)


def _text_tokens(world: World) -> int:
    """Count the text tokens of a very long prompt."""
    return max(text.length for text in world.open_walk(WalkRequest(prompt=LONG_PROMPT)).walk.text)
