"""Measures the cost of storing keys and values unrotated, once instead of once per branch."""

import statistics
from functools import partial

import torch

from gpu.setup import TEXT_TOKENS, Row, Setup, make_arguments, make_text, make_timestep
from worldplay.model.config import CHUNK_LATENTS
from worldplay.model.kv_cache import KVCache
from worldplay.model.unrotated_kv_cache import UnrotatedKVCache
from worldplay.world.world import World

NAMES = {KVCache: "both branches", UnrotatedKVCache: "unrotated"}


@torch.inference_mode()
def measure_storage(setup: Setup) -> list[Row]:
    """Time context pass and denoising step, alternating between both caches for a fair comparison."""
    world = setup.build()
    model = world.rollout.transformer
    world.rollout.caches.clear()  # frees its memory for the two that are compared
    caches = [
        model.new_cache(setup.grid, TEXT_TOKENS, setup.most_context, unrotated=unrotated)
        for unrotated in (False, True)
    ]
    text = make_text(setup, model, TEXT_TOKENS)
    for cache in caches:
        cache.set_text(text)
    rows: list[Row] = []
    for count in setup.scale.contexts[1:]:
        times = _time_in_turns(setup, world, caches, count)
        for cache, (context_ms, step_ms) in zip(caches, times, strict=True):
            row: Row = {"keeps": NAMES[type(cache)], "GB": cache.num_bytes / 1e9, "context": count}
            row |= {"context ms": context_ms, "step ms": step_ms}
            rows.append(row | {"context and 4 steps ms": context_ms + 4 * step_ms})
    return rows


def _time_in_turns(
    setup: Setup, world: World, caches: list[KVCache], count: int
) -> list[tuple[float, float]]:
    model = world.rollout.transformer
    context, chunk = make_arguments(setup, world, count), make_arguments(setup, world, CHUNK_LATENTS)
    timestep = make_timestep(setup)
    laps: list[list[tuple[float, float]]] = [[] for _ in caches]
    for _ in range(1 + setup.scale.repeats):
        for cache, times in zip(caches, laps, strict=True):
            context_ms = setup.time_ms(partial(model.encode_context, *context, cache))
            step_ms = setup.time_ms(partial(model.denoise, *chunk, timestep, cache))
            times.append((context_ms, step_ms))
    medians = [[statistics.median(column) for column in zip(*times[1:], strict=True)] for times in laps]
    return [(context_ms, step_ms) for context_ms, step_ms in medians]
