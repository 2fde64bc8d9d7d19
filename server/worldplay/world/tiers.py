"""Applies a tier: levers that make chunks faster and change the result, where this machine gains by them."""

from dataclasses import replace
from math import prod
from pathlib import Path

import torch

from worldplay.model.attention import is_in_eight_bits
from worldplay.model.attention_choice import FAILURES
from worldplay.model.eight_bit_linears import emulated_product, round_rows, round_weight, scaled_product
from worldplay.model.unrotated_kv_cache import UnrotatedKVCache
from worldplay.wording import first_line
from worldplay.world.kept_rollout import Keeping
from worldplay.world.memory import available_memory
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.rollout_config import MOST_KEPT, count_kept_latents
from worldplay.world.tier import TIERS, TierName, check_tier
from worldplay.world.tiny_decoder_file import load_tiny_decoder
from worldplay.world.world import World

_UNITS_FOR_FP8 = (8, 9)  # CUDA's compute capability of Ada; Hopper has 9, 0
_LARGEST_DIFFERENCE = 0.01  # relative, between units for 8 bits and their emulation
_SHARE_KEPT = 0.5  # of the free memory; the rest is for recordings and for what passes need


def apply_tier(
    world: World, name: TierName, *, compiles: bool, walks: int, tiny_decoder: Path | None
) -> World:
    """Return a world that uses a tier's levers as far as this machine gains by them, and says so.

    With several ranks, all use them. Attention is chosen later: see `describe_attention`.

    Args:
        compiles: the transformer will be compiled.
        walks: at once, those of clips included; they share the memory.
        tiny_decoder: the file with its weights, which may be missing; None: there is none for this model.
    Raises: ValueError if the model cannot walk, because its context is never encoded apart; or naming what
        is wrong with the tiny decoder's file.
    """
    tier = TIERS[name]
    if name == "exact":
        return world
    check_tier(name, can_walk=world.can_walk)
    levers: list[str] = []
    if tier.newest is not None:
        world = _keep_context(world, tier.newest, walks, levers)
    if tier.eight_bits:
        _round_linears(world, compiles, levers)
    if tier.halved_steps:
        world = _halve_steps(world, levers)
    if tier.tiny_decoder:
        _decode_tiny(world, tiny_decoder, levers)
    return replace(world, tier=name, levers=tuple(levers))


def _keep_context(world: World, newest: int, walks: int, levers: list[str]) -> World:
    rollout, context = world.rollout, world.rollout.config.memory_latents
    if any(isinstance(cache, UnrotatedKVCache) for cache in rollout.caches):
        levers.append("context is not kept: memory is short, so the cache has another form")
        return world
    most = _count_kept(world, walks)
    if most < context:
        levers.append(
            f"context is not kept: there is memory for {most} latents of a walk, not {context}; "
            "take fewer --max-sessions"
        )
        return world
    levers.append(
        f"the newest {newest} of {context} context latents are encoded, the others are read back; "
        f"the latest {most} of a walk are kept"
    )
    return replace(world, rollout=replace(rollout, keeping=Keeping(newest, most)))


def _count_kept(world: World, walks: int) -> int:
    """Return how many latents of each walk may be kept between chunks. Each rank keeps those of its heads."""
    spare: float | None = world.spare_bytes
    if spare is None:  # nothing was planned for this world
        spare = _SHARE_KEPT * _free_bytes(world)
    context = world.rollout.config.memory_latents
    most = count_kept_latents(spare, count_kept_bytes(world), walks, context)
    return most if world.device.type == "cuda" else min(MOST_KEPT, most)


def _free_bytes(world: World) -> int:
    """Return the bytes that each rank may use."""
    ranks = world.rollout.transformer.ranks
    if world.device.type == "cpu":
        return available_memory() // ranks.size
    return min([torch.cuda.mem_get_info(world.device)[0], *ranks.free.values()])


def count_kept_bytes(world: World) -> int:
    """Return the bytes that a kept latent takes on a rank, of all guidance branches."""
    transformer = world.rollout.transformer
    config = transformer.config
    tokens = prod(world.grid) // config.patch_area
    width = transformer.ranks.count_heads(config.heads) * config.head_dim
    branches = len(world.rollout.caches)
    return 2 * config.blocks * tokens * width * branches * transformer.dtype.itemsize


def _round_linears(world: World, compiles: bool, levers: list[str]) -> None:
    problem = find_rounding_problem(world.device)
    if problem is None and not compiles:
        problem = "without torch.compile rounding costs more than they gain; WORLDPLAY_COMPILE=on compiles"
    if problem is not None:
        levers.append(f"linear layers are not in 8 bits: {problem}")
        return
    world.rollout.transformer.round_weights()
    levers.append("linear layers are in 8 bits, but not those of the first and the last block")


def find_rounding_problem(device: torch.device) -> str | None:
    """Find out why a device cannot multiply in 8 bits; None if it can."""
    if device.type != "cuda":
        return f"a {device.type} would only emulate them"
    if torch.cuda.get_device_capability(device) < _UNITS_FOR_FP8:
        return "this GPU has no units for them"
    random = torch.Generator().manual_seed(0)
    rows, weight = (torch.randn(64, 64, generator=random).to(device, torch.bfloat16) for _ in range(2))
    inputs = *round_rows(rows), round_weight(weight), torch.zeros(64, device=device, dtype=torch.bfloat16)
    try:
        got, expected = scaled_product(*inputs).float(), emulated_product(*inputs)
    except FAILURES as error:
        return f"they fail here ({first_line(error)})"
    difference = ((got - expected).norm() / expected.norm()).item()
    return None if difference <= _LARGEST_DIFFERENCE else f"they are off by {100 * difference:.2g} % here"


def _halve_steps(world: World, levers: list[str]) -> World:
    config = world.rollout.config
    steps = max(1, config.steps // 2)
    levers.append(f"{steps} denoising steps instead of {config.steps}")
    return replace(world, rollout=replace(world.rollout, config=replace(config, steps=steps)))


def _decode_tiny(world: World, path: Path | None, levers: list[str]) -> None:
    """Use a tiny decoder. Levers are public, so they do not say where the file is."""
    if path is None:
        levers.append("the model's own decoder is used: no tiny one is published for its latents")
    elif not path.is_file():
        levers.append(f"the model's own decoder is used: the file {TINY_DECODER} is missing")
    else:
        dtype = next(world.vae.parameters()).dtype
        world.vae.use_tiny_decoder(load_tiny_decoder(path, world.device, dtype))
        levers.append("a tiny decoder shows the latents; they stay as they are")


def describe_attention(world: World) -> World:
    """Say whether attention, which has been chosen, is in 8 bits, if the tier wants it so."""
    if not TIERS[world.tier].eight_bits:
        return world
    backend = world.rollout.transformer.attention
    if is_in_eight_bits(backend):
        said = f"attention is in 8 bits, by {backend}"
    else:
        said = f"attention is not in 8 bits: no kernel for it is installed that is faster here than {backend}"
    return replace(world, levers=(*world.levers, said))
