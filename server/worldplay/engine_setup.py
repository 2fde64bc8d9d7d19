"""Sets up the engine that the settings ask for: its world, its slots and its threads."""

import logging
import math
from functools import partial

import torch

from worldplay.chunk_times import recall, remember
from worldplay.engine.activity import SlotLimits
from worldplay.engine.capacity import measure_pace
from worldplay.engine.engine import Engine
from worldplay.engine.pacing import LatchMode
from worldplay.loading import open_live_world
from worldplay.model.attention import KERNELS
from worldplay.model.ranks import ALONE, Ranks
from worldplay.settings import ModelSettings, Settings
from worldplay.world.pace import Pace
from worldplay.world.processor import count_usable_cores
from worldplay.world.released.files import is_released
from worldplay.world.warm_up import warm_up
from worldplay.world.world import World

logger = logging.getLogger(__name__)


def open_engine(settings: Settings, ranks: Ranks = ALONE) -> tuple[World, Engine]:
    """Load the world for visitors, and make its engine, which is not started.

    Raises: ValueError or OSError as `open_world`.
    """
    world = open_live_world(settings, ranks)
    return world, make_engine(settings, world, find_pace(settings, world))


def find_pace(settings: ModelSettings, world: World) -> Pace | None:
    """Measure what a chunk takes, or recall what was measured for the released model.

    Returns: None for what is not measured: worlds without walks, and the released model on a CPU, where a
        chunk takes minutes.
    """
    is_remembered = is_released(settings.model)
    if not world.can_walk or (is_remembered and world.device.type == "cpu"):
        return None
    size = (world.height, world.width)
    if is_remembered and (seconds := recall(settings, size)) is not None:
        return Pace(seconds, world.chunk_latents)
    logger.info("measuring how many visitors can walk at once in real time")
    pace = measure_pace(world)
    if is_remembered:
        remember(settings, size, pace.made_s)
    return pace


def make_engine(settings: Settings, world: World, pace: Pace | None = None) -> Engine:
    """Make an engine with as many slots as the operator allows and as there is memory for.

    If the operator sets no number, there are as many as this machine can serve in real time.

    Args:
        pace: what a chunk takes; None if it was not measured.
    """
    num_slots = settings.max_sessions
    if world.can_walk and world.max_sessions is not None:
        num_slots = min(num_slots, world.max_sessions)
    if pace is not None:
        if "max_sessions" not in settings.model_fields_set:
            num_slots = pace.limit(num_slots)
        _tell_pace(pace)
    slot_limits = SlotLimits(
        settings.idle_limit_s, settings.visit_limit_s or math.inf, settings.slots_per_address
    )
    timeout_s = _stage_timeout_s(settings, world)
    times = None if pace is None else pace.times_real_time
    return Engine(
        world,
        num_slots,
        settings.max_queued,
        _choose_latch(settings),
        timeout_s,
        slot_limits,
        times,
        decodes_beside=decodes_beside(settings, world),
        # cuDNN keeps its plans by thread.
        prepare=partial(warm_up, world) if world.can_walk and world.device.type == "cuda" else None,
    )


def decodes_beside(settings: ModelSettings, world: World) -> bool:
    """Return whether the decoder gets a thread of its own: if it finds an idle core there.

    PyTorch switches to one of its attention KERNELS for all threads, so the decoder's attention would change
    with the transformer's.
    """
    is_alone = world.device.type == "cpu" and settings.gpus == 1 and torch.get_num_threads() == 1
    return is_alone and world.rollout.transformer.attention not in KERNELS and count_usable_cores() > 1


def _tell_pace(pace: Pace) -> None:
    """Log what was measured, as a warning if not even one walk is in real time."""
    takes = f"a chunk takes {pace.made_s:.2f} s to make and is shown for {pace.shown_s:.2f} s"
    times = f"{pace.times_real_time:.2f}x real time"
    if pace.times_real_time < 1.0:
        logger.warning("walks are in slow motion, %s: %s", times, takes)
    else:
        visitors = max(1, pace.sessions)
        logger.info("visitors who can walk at once in real time: %d (%s, %s)", visitors, takes, times)


def _stage_timeout_s(settings: Settings, world: World) -> float:
    """Return how long a stage may take. Compiling, and the released model on a CPU, take minutes."""
    is_slow = settings.compile == "on" or (is_released(settings.model) and world.device.type == "cpu")
    return math.inf if is_slow else settings.stage_timeout_s


def _choose_latch(settings: Settings) -> LatchMode:
    """Return when controls are read. The cost of cuts was not measured with the released model."""
    if settings.latch is not None:
        return settings.latch
    return "chunk" if is_released(settings.model) else "latent"
