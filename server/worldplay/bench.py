"""How long a chunk takes on this machine, stage by stage, encoding included."""

import statistics
import sys
import time
from collections import defaultdict

import torch

from worldplay.media.track import VideoTrack
from worldplay.settings import Settings
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.checkpoint import load_world
from worldplay.world.request import WalkRequest
from worldplay.world.rollout import finish
from worldplay.world.walk import Step
from worldplay.world.world import LiveWalk, World

WARM_UP_CHUNKS = 3


class Stroll:
    """Steering that walks on in a circle."""

    def predict(self, num_latents: int) -> list[Step]:
        return [Motion(forward=FORWARD_STEP, yaw=TURN_STEP)] * num_latents

    latch = predict


def run(settings: Settings, chunks: int) -> None:
    """Time chunks and print a table of medians and 95th percentiles."""
    began = time.perf_counter()
    world = load_world(settings.model, settings.device)
    load_s = time.perf_counter() - began
    times = measure(world, chunks)
    write = sys.stdout.write
    write(
        f"{world.name} at {world.width}x{world.height} on {world.device}, {torch.get_num_threads()} threads; "
    )
    write(f"loaded in {load_s:.1f} s; {chunks} chunks of {world.fps * 16 / 24:.0f} frames\n\n")
    write(f"{'stage':10} {'median':>9} {'p95':>9}   ms\n")
    for stage, values in times.items():
        p95 = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
        write(f"{stage:10} {statistics.median(values):9.1f} {p95:9.1f}\n")
    fps = 16_000.0 / statistics.median(times["chunk"])
    write(f"\n{fps:.0f} frames/s, {fps / world.fps:.1f} times real time\n")


def measure(world: World, chunks: int) -> dict[str, list[float]]:
    """Make chunks one after the other. Returns: ms by stage, and of the whole chunk."""
    walk = world.open_walk(WalkRequest(seed=0))
    track = VideoTrack(world.width, world.height, world.fps)
    times: dict[str, list[float]] = defaultdict(list)
    for index in range(WARM_UP_CHUNKS + chunks):
        laps = _time_chunk(walk, track)
        if index >= WARM_UP_CHUNKS:
            for stage, value in laps.items():
                times[stage].append(value)
    return times


def _time_chunk(walk: LiveWalk, track: VideoTrack) -> dict[str, float]:
    began = time.perf_counter()
    chunk = finish(walk.generate(Stroll()))
    made = time.perf_counter()
    encode_s = 0.0
    for frames in walk.decode(chunk):
        encoding = time.perf_counter()
        for number, frame in enumerate(frames):
            track.encode(frame, key=number == 0)
        encode_s += time.perf_counter() - encoding
    ended = time.perf_counter()
    decode_s = ended - made - encode_s
    return {
        **chunk.timings_ms,
        "decode": decode_s * 1000,
        "encode": encode_s * 1000,
        "chunk": (ended - began) * 1000,
    }
