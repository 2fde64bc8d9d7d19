"""Measures a chunk on 1, 2, 4 and 8 GPUs: its passes, its decoding by rows, and what the ranks exchange.

The parts are launched one by one, in the same way on each number of GPUs. A chunk as served is measured
beside them: a single GPU also compiles, fuses and records.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from time import perf_counter

import torch
import torch.distributed as dist
from torch import Tensor

from gpu.setup import Outcome, Row, Setup, make_arguments, make_timestep
from worldplay.commands.hardware import peak_memory
from worldplay.engine.capacity import measure_pace
from worldplay.loading import start_ranks, tune
from worldplay.model.config import CHUNK_LATENTS
from worldplay.model.ranks import ALONE, Ranks
from worldplay.settings import ModelSettings, load_model_settings
from worldplay.world.attention import set_attention
from worldplay.world.device import synchronize
from worldplay.world.frames import FPS, FRAMES_PER_LATENT
from worldplay.world.pace import AUTO
from worldplay.world.released.random_weights import build_networks, build_random_world, open_random_walk
from worldplay.world.released.variants import DEFAULT_VARIANT, MODEL, VARIANTS
from worldplay.world.tier import TierName
from worldplay.world.world import World

NUM_RANKS = (1, 2, 4, 8)
EXCHANGES = ("all_to_all_single", "all_gather")  # of torch.distributed, that passes and decoder use

SERVED = "chunk, as served"

Parts = dict[str, Callable[[], object]]


class TooFewGpusError(Exception):
    """The machine has not as many GPUs."""


def measure_ranks(count: int, setup: Setup) -> Iterator[Row]:
    """Time the parts of a chunk on so many ranks, and a chunk as served. Raises: TooFewGpusError."""
    if setup.device.type == "cuda" and torch.cuda.device_count() < count:
        raise TooFewGpusError
    if setup.device.type == "cpu":
        torch.set_num_threads(1)  # as every other rank has
    transformer, vae = setup.scale.transformer, setup.scale.vae
    settings = load_model_settings(model=MODEL, gpus=count, device=setup.device.type)
    make = partial(build_networks, transformer, vae)
    with start_ranks(settings, transformer.heads, make) as ranks, torch.inference_mode():
        config = VARIANTS[DEFAULT_VARIANT].rollout()
        world = build_random_world(transformer, vae, config, setup.size, setup.device, ranks)
        set_attention(world, AUTO)
        yield from _time_chunk(setup, world, ranks, config.steps)
        if count > 1:  # before the tiers, which may leave a tiny decoder behind
            yield {"ranks": count, "part": "latent, on rank 0 alone", "ms": _time_decoder_alone(setup, world)}
        served: Row = {"ranks": count, "part": SERVED}
        yield served | _time_served(settings, world)
        if count > 1:
            yield from _time_tiers(settings, world)


def _time_chunk(setup: Setup, world: World, ranks: Ranks, steps: int) -> Iterator[Row]:
    times: dict[str, float] = {}
    exchanged_ms: dict[str, float] = {}
    each = {"context": 1, "step": steps, "latent": CHUNK_LATENTS}  # in a chunk
    for name, function in _make_parts(setup, world).items():
        times[name] = setup.median_ms(function)
        row: Row = {"ranks": ranks.size, "part": name, "ms": times[name]}
        with timed_exchanges(setup.device) as exchanges:
            instrumented_ms = setup.time_ms(function)
        exchanged_ms[name] = exchanges.ms
        row |= {"exchanges": exchanges.count, "MB sent": exchanges.sent / 1e6, "exchange ms": exchanges.ms}
        yield row | {"share of exchange": exchanges.ms / instrumented_ms}
    chunk_ms = sum(times[name] * count for name, count in each.items())
    chunk: Row = {"ranks": ranks.size, "part": "chunk", "ms": chunk_ms}
    chunk |= {"exchange ms": sum(exchanged_ms[name] * count for name, count in each.items())}
    chunk |= {"frames/s": 1000 * CHUNK_LATENTS * FRAMES_PER_LATENT / chunk_ms}
    yield chunk | {"times real time": float(chunk["frames/s"]) / FPS, "GB of rank 0": _peak_gb(setup)}


def _time_decoder_alone(setup: Setup, world: World) -> float:
    ranks = world.rollout.transformer.ranks
    world.vae.use_ranks(ALONE)
    ms = setup.median_ms(_make_parts(setup, world)["latent"])
    world.vae.use_ranks(ranks)
    return ms


def _time_served(settings: ModelSettings, world: World) -> Row:
    """Time a chunk behind a full context, computed as the server does on this number of GPUs."""
    began, is_recorded = perf_counter(), settings.gpus == 1 and world.device.type == "cuda"
    world = tune(settings, world)
    prepared_s = perf_counter() - began
    pace = measure_pace(world, open_random_walk(world, world.rollout.config.memory_latents))
    row: Row = {"computed": "compiled and recorded" if is_recorded else "launched one by one"}
    row |= {"prepared s": prepared_s, "ms": 1000 * pace.made_s, "frames/s": pace.frames_per_s}
    return row | {"times real time": pace.times_real_time}


def _time_tiers(settings: ModelSettings, world: World) -> Iterator[Row]:
    """Time a chunk in the tiers. Nothing is compiled on several GPUs, so layers are not in 8 bits."""
    tiers: tuple[TierName, ...] = ("balanced", "fast")
    for tier in tiers:
        row: Row = {"ranks": settings.gpus, "part": f"{SERVED}, tier {tier}"}
        yield row | _time_served(settings.model_copy(update={"tier": tier}), world)


def list_speed_ups(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Compare chunks as served with those of a single GPU, at each size."""
    found: dict[str, dict[int, float]] = {}
    for outcome in outcomes:
        for row in outcome.rows:
            if row.get("part") == SERVED:
                found.setdefault(outcome.size, {})[int(row["ranks"])] = float(row["ms"])
    return [
        Outcome(
            "speed-up", size, "ok", 0.0, [_compare(ranks, ms, by_ranks[1]) for ranks, ms in by_ranks.items()]
        )
        for size, by_ranks in found.items()
        if 1 in by_ranks
    ]


def _compare(ranks: int, ms: float, alone_ms: float) -> Row:
    times = alone_ms / ms
    row: Row = {"ranks": ranks, "chunk ms, as served": ms, "times as fast as one": times}
    return row | {"efficiency": times / ranks}


def _make_parts(setup: Setup, world: World) -> Parts:
    """Return what a chunk consists of: with all context, and a decoder in the middle of a walk."""
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    context = make_arguments(setup, world, setup.most_context)
    chunk, timestep = make_arguments(setup, world, CHUNK_LATENTS), make_timestep(setup)
    latent, state = chunk[0][:, :, :1], world.vae.new_decoder_state()
    return {
        "context": partial(model.encode_context, *context, cache),
        "step": partial(model.denoise, *chunk, timestep, cache),
        "latent": partial(world.vae.decode_latent, latent, state),
    }


def _peak_gb(setup: Setup) -> float:
    return peak_memory(setup.device) / 1e9


@dataclass(slots=True)
class Exchanges:
    """What rank 0 exchanged."""

    count: int = 0
    ms: float = 0.0  # with waiting for the other ranks
    sent: int = 0  # bytes, with the part that it keeps


@contextmanager
def timed_exchanges(device: torch.device) -> Iterator[Exchanges]:
    """Time every exchange of this rank. The device is waited for before and after each."""
    found, before = Exchanges(), {name: getattr(dist, name) for name in EXCHANGES}

    def timed(function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def run(got: object, sent: Tensor, *rest: object) -> object:
            synchronize(device)
            began = perf_counter()
            result = function(got, sent, *rest)
            synchronize(device)
            found.ms += (perf_counter() - began) * 1000.0
            found.count += 1
            found.sent += sent.nbytes
            return result

        return run

    try:
        for name, function in before.items():
            setattr(dist, name, timed(function))
        yield found
    finally:
        for name, function in before.items():
            setattr(dist, name, function)
