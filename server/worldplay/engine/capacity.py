"""Measures how many visitors this machine can serve in real time, by walking for a moment."""

import logging
from time import perf_counter

from worldplay.world.device import synchronize
from worldplay.world.live_walk import LiveWalk
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World

logger = logging.getLogger(__name__)

BUSY = 0.9  # share of the time that chunks may take; the rest is for encoding, prompts and other programs
TIMED_CHUNKS = 3
MEASURING_S = 1.5


def count_in_time(world: World, most: int) -> int:
    """Count the walks that this machine can generate at once in real time: 1 to `most`.

    This makes a few chunks, until MEASURING_S have passed, and so also warms the machine up.
    """
    walk = _open_long_walk(world)
    times_s: list[float] = []
    while len(times_s) < 1 + TIMED_CHUNKS and sum(times_s) < MEASURING_S:
        times_s.append(_make_chunk(world, walk))
    # The first chunk is only for warming up. Of the others the fastest is used, because other programs may
    # slow down some of them while the server starts.
    made_s, shown_s = min(times_s[1:] or times_s), _count_seconds_shown(world)
    if made_s > shown_s:
        logger.warning(
            "walks will stall: a chunk takes %.1f s to make, but is shown for %.1f s", made_s, shown_s
        )
    return max(1, min(most, int(BUSY * shown_s / made_s)))


def _open_long_walk(world: World) -> LiveWalk:
    """Open a walk whose context is full. Its past is noise, which does not change the time of a chunk."""
    walk, num_latents = world.open_walk(WalkRequest(seed=0)), world.rollout.config.memory_latents
    path = walk.walk.follow(CircleSteering().predict(num_latents - 1))
    noise = walk.walk.draw_noise(0, num_latents)
    walk.walk.append(noise.to(world.device, world.rollout.transformer.dtype), path)
    return walk


def _count_seconds_shown(world: World) -> float:
    """Return how long a chunk is on screen."""
    return 4 * world.rollout.config.chunk_latents / world.fps


def _make_chunk(world: World, walk: LiveWalk) -> float:
    """Make and decode a chunk. Returns: seconds."""
    began = perf_counter()
    for _ in walk.decode_for_encoder(walk.begin_chunk(CircleSteering()).finish()):
        synchronize(world.device)
    return perf_counter() - began
