"""How many visitors this machine can keep in real time: found out by walking for a moment."""

import logging
from time import perf_counter

from worldplay.stroll import Stroll
from worldplay.world.device import synchronize
from worldplay.world.request import WalkRequest
from worldplay.world.rollout import finish
from worldplay.world.world import LiveWalk, World

logger = logging.getLogger(__name__)

BUSY = 0.9  # share of the time that chunks may take: the rest is for encoding, prompts and other programs
TIMED_CHUNKS = 3
MEASURING_S = 1.5


def count_in_time(world: World, most: int) -> int:
    """Count the walks that this machine can go on with at once, each as fast as it is watched: 1 to `most`.

    It takes as long as some chunks, at most a chunk longer than MEASURING_S, and warms the machine up.
    """
    config = world.rollout.config
    walk = world.open_walk(WalkRequest(seed=0))
    full = 1 + config.memory_latents // config.chunk_latents  # chunks until every chunk has all its context
    times_s: list[float] = []
    while len(times_s) < full + TIMED_CHUNKS and sum(times_s) < MEASURING_S:
        times_s.append(_make_chunk(world, walk))
    # The least: what else runs while the server starts says nothing about the machine. A machine that is too
    # slow to come so far in time keeps one visitor or two, which the last chunk tells well enough.
    made_s, watched_s = min(times_s[full:] or times_s[-1:]), _seconds_watched(world)
    if made_s > watched_s:
        logger.warning(
            "walks will stall: a chunk takes %.1f s for what is watched in %.1f s", made_s, watched_s
        )
    return max(1, min(most, int(BUSY * watched_s / made_s)))


def _seconds_watched(world: World) -> float:
    return 4 * world.rollout.config.chunk_latents / world.fps


def _make_chunk(world: World, walk: LiveWalk) -> float:
    """Make and decode a chunk. Returns: seconds."""
    began = perf_counter()
    for _ in walk.decode(finish(walk.generate(Stroll()))):
        synchronize(world.device)
    return perf_counter() - began
