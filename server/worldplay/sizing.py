"""Measures a chunk at each published size of the released model, and chooses the largest in real time."""

import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from time import monotonic
from typing import TypeVar

import torch

from worldplay.chunk_times import recall, remember
from worldplay.engine.capacity import measure_pace
from worldplay.loading import describe_released, open_world, start_ranks, tune
from worldplay.model.ranks import Ranks
from worldplay.settings import ModelSettings
from worldplay.size_paces import list_paces
from worldplay.world.device import choose_device
from worldplay.world.frames import show_size
from worldplay.world.pace import AUTO, Pace
from worldplay.world.released.files import is_released
from worldplay.world.released.memory_estimate import RELEASED, Shapes
from worldplay.world.released.offload_plan import (
    RESERVE,
    OffloadPlan,
    count_spare,
    least_of_others,
)
from worldplay.world.released.random_weights import build_networks, build_random_world, open_random_walk
from worldplay.world.released.sizes import SIZES, SizePace, choose_size, render_sizes
from worldplay.world.released.variants import find_variant
from worldplay.world.tier import TierName

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"
_CLIPS = 1  # that `serve` has memory for
MOST_S = 300.0  # after which tiers that were not asked for are no longer measured
Size = tuple[int, int]  # height, width
Chosen = TypeVar("Chosen", bound=ModelSettings)


def fix_size(settings: Chosen) -> Chosen:
    """Replace the size "auto" by one: the largest published size that is in real time here.

    The embedded world has only one size. Variants that only make clips, and machines without a GPU, are not
    measured: the former get the largest size, the latter the smallest. Raises: as `choose_device`.
    """
    if settings.size != AUTO or not is_released(settings.model):
        return settings
    if not find_variant(settings.variant).is_live:
        return _with_size(settings, SIZES[0], "it makes clips only, which need not be in real time")
    if choose_device(settings.device).type == "cpu":
        return _with_size(settings, SIZES[-1], "there is no GPU, and it would be slow at any size")
    rows = measure_sizes(settings)
    for line in render_sizes(rows):
        logger.info(line)
    size = choose_size(rows)
    in_time = any(row.sessions for row in rows)
    reason = "the largest in real time" if in_time else "the fastest; none leaves time to spare"
    return _with_size(settings, size, reason)


def _with_size(settings: Chosen, size: Size, reason: str) -> Chosen:
    logger.info("size %s: %s", show_size(size), reason)
    return settings.model_copy(update={"size": show_size(size)})


def measure_sizes(settings: ModelSettings) -> list[SizePace]:
    """Measure, or recall, every published size that fits into the GPU's free memory; the largest first."""
    return list(list_paces(settings, find_free(settings.device) - RESERVE, partial(find_seconds, settings)))


def measure_tiers(settings: ModelSettings, tiers: Sequence[TierName]) -> list[SizePace]:
    """Measure the sizes in several tiers. After the first one, what takes too long is only recalled."""
    ends_s, rows = monotonic() + MOST_S, list[SizePace]()
    for tier in tiers:
        tiered = settings.model_copy(update={"tier": tier})
        is_first, budget = tier == tiers[0], find_free(settings.device) - RESERVE

        def find(size: Size, tiered: ModelSettings = tiered, is_first: bool = is_first) -> float | None:
            has_time = is_first or monotonic() < ends_s
            return find_seconds(tiered, size) if has_time else recall(tiered, size)

        rows += list_paces(tiered, budget, find)
    return rows


def find_free(device: str) -> int:
    """Return the free bytes of a GPU."""
    return torch.cuda.mem_get_info(choose_device(device))[0]


def find_seconds(settings: ModelSettings, size: Size) -> float | None:
    """Return what a chunk takes; None if it cannot be measured, for example because memory is short."""
    if (known := recall(settings, size)) is not None:
        return known
    logger.info("measuring a chunk at %s", show_size(size))
    try:
        seconds = time_apart(settings, size)
    except (RuntimeError, ValueError) as error:  # memory is short; PyTorch raises RuntimeErrors
        logger.warning("%s cannot be measured: %s", show_size(size), str(error).partition("\n")[0])
        return None
    remember(settings, size, seconds)
    return seconds


def time_apart(settings: ModelSettings, size: Size, shapes: Shapes = RELEASED) -> float:
    """Measure a chunk in a process of its own, which leaves no memory and no compiled code behind."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(time_random_chunk, settings, size, shapes).result()


def time_random_chunk(settings: ModelSettings, size: Size, shapes: Shapes) -> float:
    """Measure a chunk of this size with random weights and a full context, as the settings compute it.

    Memory is planned as for visitors and a clip, because what is left decides whether a tier keeps context.
    """
    settings = settings.model_copy(update={"size": show_size(size)})  # it may be "auto"
    device, rollout = choose_device(settings.device), find_variant(settings.variant).rollout()
    make = partial(build_networks, shapes.transformer, shapes.vae)
    with start_ranks(settings, shapes.transformer.heads, make) as ranks:
        plan, sessions, spare = _plan_service(settings, shapes, device, ranks)
        unrotated = plan.unrotated_caches
        world = build_random_world(
            shapes.transformer, shapes.vae, rollout, size, device, ranks, unrotated=unrotated
        )
        world = replace(world, spare_bytes=spare)
        world = tune(settings, world, sessions=sessions, clips=_CLIPS)
        return measure_pace(world, open_random_walk(world, rollout.memory_latents)).made_s


def _plan_service(
    settings: ModelSettings, shapes: Shapes, device: torch.device, ranks: Ranks
) -> tuple[OffloadPlan, int, int | None]:
    """Plan as for serving. Returns: the plan, how many visitors, and the bytes that are left, if limited."""
    from worldplay.world.released.load import choose_plan, free_bytes  # importing it takes seconds

    config, _ = describe_released(settings)
    config = replace(config, shapes=shapes, sessions=settings.max_sessions, clips=_CLIPS)
    budget, others, needed = free_bytes(device), least_of_others(ranks.free), config.estimate(ranks.size)
    plan, sessions = choose_plan(config, needed, budget, others)
    walks = sessions + _CLIPS
    return plan, sessions, None if budget is None else count_spare(needed, plan, walks, budget, others)


def measure_embedded(settings: ModelSettings) -> tuple[Size, Pace]:
    """Measure the embedded world, which has one size."""
    embedded = settings.model_copy(update={"model": EMBEDDED, "gpus": 1})
    world = open_world(embedded, sessions=1, clips=0)
    return (world.height, world.width), measure_pace(world)
