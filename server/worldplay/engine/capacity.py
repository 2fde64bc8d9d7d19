"""Measures how fast this machine makes chunks, by walking for a moment."""

from time import perf_counter

from worldplay.world.device import synchronize
from worldplay.world.live_walk import LiveWalk
from worldplay.world.noise_past import append_noise
from worldplay.world.pace import Pace
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World

TIMED_CHUNKS = 3
MEASURING_S = 1.5


def measure_pace(world: World, walk: LiveWalk | None = None) -> Pace:
    """Measure what a chunk takes.

    This makes a few chunks, until MEASURING_S have passed, and so also warms the machine up.

    Args:
        walk: one whose context is full; by default one is opened.
    """
    walk = walk or _open_long_walk(world)
    times_s: list[float] = []
    least = 1 if world.rollout.keeping is None else 2  # the first one has nothing to read back
    while len(times_s) < least or (len(times_s) < 1 + TIMED_CHUNKS and sum(times_s) < MEASURING_S):
        times_s.append(_make_chunk(world, walk))
    # The first chunk is only for warming up. Of the others the fastest is used, because other programs may
    # slow down some of them while the server starts.
    return Pace(min(times_s[1:] or times_s), world.chunk_latents)


def _open_long_walk(world: World) -> LiveWalk:
    """Open a walk whose context is full."""
    walk = world.open_walk(WalkRequest(seed=0))
    append_noise(walk.walk, world.rollout.config.full_after, world.rollout)
    return walk


def _make_chunk(world: World, walk: LiveWalk) -> float:
    """Make and decode a chunk. Returns: seconds."""
    began = perf_counter()
    for _ in walk.decode_for_encoder(walk.begin_chunk(CircleSteering()).finish()):
        synchronize(world.device)
    return perf_counter() - began
