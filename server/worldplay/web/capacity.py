"""How many visitors this machine can keep in real time: found out by walking for a moment."""

import logging
from time import perf_counter

from worldplay.world.device import synchronize
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import LiveWalk, World

logger = logging.getLogger(__name__)

BUSY = 0.9  # share of the time that chunks may take: the rest is for encoding, prompts and other programs
TIMED_CHUNKS = 3


def count_in_time(world: World, most: int) -> int:
    """So many walks this machine can go on with at once, each as fast as it is watched: 1 to `most`.

    It takes as long as some chunks, a second for the embedded world, and leaves the machine warmed up.
    """
    config = world.rollout.config
    walk = world.open_walk(WalkRequest(seed=0))
    full = 1 + config.memory_latents // config.chunk_latents  # chunks until every chunk has all its context
    times_s = [_make_chunk(world, walk) for _ in range(full + TIMED_CHUNKS)]
    # The least: what else runs while the server starts says nothing about the machine.
    made_s, watched_s = min(times_s[full:]), _seconds_watched(world)
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
    for _ in walk.decode(walk.begin_chunk(CircleSteering()).finish()):
        synchronize(world.device)
    return perf_counter() - began
