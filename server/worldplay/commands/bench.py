"""`worldplay bench`: times a chunk on this machine, stage by stage, including encoding."""

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

from worldplay.commands.bench_report import Report, count_work, make_rows, render
from worldplay.commands.hardware import gemm_rate, name_of, peak_memory, reset_peak_memory
from worldplay.loading import open_ranks, open_world, start_ranks, tune
from worldplay.media.track import VideoTrack
from worldplay.model.config import RELEASED_TRANSFORMER, RELEASED_VAE, TransformerConfig, VAEConfig
from worldplay.model.ranks import ALONE, Ranks
from worldplay.settings import ModelSettings
from worldplay.world.chunk import Chunk
from worldplay.world.device import choose_device, choose_dtype, synchronize
from worldplay.world.live_walk import LiveWalk
from worldplay.world.memory import available_memory
from worldplay.world.released.files import is_released
from worldplay.world.released.memory_estimate import Shapes, count_host_bytes, estimate_memory
from worldplay.world.released.random_weights import (
    build_networks,
    build_random_world,
    check_context,
    open_random_walk,
)
from worldplay.world.released.variants import DEFAULT_VARIANT, VARIANTS, find_variant
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World

DISTILLED = VARIANTS[DEFAULT_VARIANT].rollout()
RANDOM_WARM_UP = 1
CPU_BLOCKS = 2  # with one, nothing between blocks would be timed; more add no information
TEXT_PASSES = 3


@dataclass(frozen=True, slots=True)
class RandomModel:
    """A model to build with random weights."""

    size: tuple[int, int]  # height, width
    context: int  # latents
    blocks: int | None = None  # how many to build; None: all, or what a CPU can hold
    transformer: TransformerConfig = RELEASED_TRANSFORMER
    vae: VAEConfig = RELEASED_VAE


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a world and a walk in it."""

    world: World
    walk: LiveWalk
    load_s: float
    model_blocks: int  # of the whole model; fewer may be measured
    warm_up: int  # chunks that are not timed
    stays: bool  # every chunk follows the same latents; otherwise the walk goes on
    ranks: int = 1


def run(settings: ModelSettings, chunks: int, random: RandomModel | None, json_file: Path | None) -> None:
    """Measure, print a table and, if a file is given, write the numbers to it."""
    with _opened(settings, random) as subject:
        report = measure(subject, chunks)
    sys.stdout.write(render(report))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=1) + "\n")


@contextmanager
def _opened(settings: ModelSettings, random: RandomModel | None) -> Iterator[Subject]:
    if random is None:
        with open_ranks(settings) as ranks:
            yield load(settings, ranks)
        return
    check_context(random.context)
    blocks = _choose_blocks(random, choose_device(settings.device), settings.gpus)
    built = replace(random.transformer, blocks=blocks)
    make = partial(build_networks, built, random.vae)
    with start_ranks(settings, built.heads, make) as ranks:
        subject = build(replace(random, blocks=blocks), settings.device, ranks)
        world = tune(settings, subject.world)
        yield replace(subject, world=world, walk=open_random_walk(world, random.context))


def load(settings: ModelSettings, ranks: Ranks = ALONE) -> Subject:
    """Load a world and open a walk. Chunks made before its context is full are not timed.

    Raises: ValueError for a variant that only makes clips; otherwise as `open_world`.
    """
    if is_released(settings.model) and not find_variant(settings.variant).is_live:
        raise ValueError(
            f"expected a --variant that makes live walks, got {settings.variant}, which makes clips only"
        )
    began = perf_counter()
    world = open_world(settings, sessions=1, clips=0, ranks=ranks)
    load_s = perf_counter() - began
    warm_up = len(world.rollout.config.context_lengths)
    blocks = world.rollout.transformer.config.blocks
    return Subject(world, world.open_walk(WalkRequest(seed=0)), load_s, blocks, warm_up, False, ranks.size)


def build(random: RandomModel, device: str, ranks: Ranks = ALONE) -> Subject:
    """Build a world with random weights, and a walk whose past fills the wanted context."""
    check_context(random.context)
    place = choose_device(device)
    whole = random.transformer
    transformer = replace(whole, blocks=_choose_blocks(random, place, ranks.size))
    began = perf_counter()
    world = build_random_world(transformer, random.vae, DISTILLED, random.size, place, ranks)
    synchronize(place)
    load_s = perf_counter() - began
    walk = open_random_walk(world, random.context)
    return Subject(world, walk, load_s, whole.blocks, RANDOM_WARM_UP, True, ranks.size)


def _choose_blocks(random: RandomModel, place: torch.device, ranks: int = 1) -> int:
    """Choose how many blocks to build.

    Raises: ValueError if more are asked for than there are; OSError if not even the fewest fit into a CPU's
        memory.
    """
    most = random.transformer.blocks
    if random.blocks is not None and random.blocks > most:
        raise ValueError(f"expected at most {most} blocks, got {random.blocks}")
    if place.type != "cpu":
        return random.blocks or most
    available = available_memory()
    depths = range(min(CPU_BLOCKS, most), 0, -1) if random.blocks is None else [random.blocks]
    for blocks in depths:
        needed = _count_bytes(random, blocks, place, ranks)
        if needed <= available:
            return blocks
    fewer = "fewer --blocks, " if blocks > 1 else ""
    raise OSError(
        f"random weights of {blocks} of {most} blocks need about {needed / 1e9:.1f} GB of memory on a CPU, "
        f"{available / 1e9:.1f} GB are available; take {fewer}a smaller --size or a GPU"
    )


def _count_bytes(random: RandomModel, blocks: int, place: torch.device, ranks: int) -> int:
    shapes = Shapes(replace(random.transformer, blocks=blocks), random.vae)
    needed = estimate_memory(VARIANTS[DEFAULT_VARIANT], random.size, shapes, ranks)
    return count_host_bytes(needed, 1, choose_dtype(place).itemsize, ranks)


def measure(subject: Subject, chunks: int) -> Report:
    """Time chunks one after the other, then some text passes."""
    world, walk = subject.world, subject.walk
    reset_peak_memory(world.device)
    track = VideoTrack(world.width, world.height, world.fps)
    times: dict[str, list[float]] = defaultdict(list, text=[])
    past = walk.walk.num_latents
    for index in range(subject.warm_up + chunks):
        chunk, laps = _time_chunk(world, walk, track)
        if subject.stays:
            walk.walk.truncate(past)
            world.rollout.forget_contexts()
        if index >= subject.warm_up:
            for stage, value in laps.items():
                times[stage].append(value)
    times["text"] = _time_text(world, walk)
    return _report(subject, chunk, chunks, times)


def _report(subject: Subject, chunk: Chunk, chunks: int, times: dict[str, list[float]]) -> Report:
    world, walk = subject.world, subject.walk.walk
    transformer, text_tokens = world.rollout.transformer, walk.text[-1].length
    height, width = walk.image_latent.shape[-2:]
    rate = gemm_rate(world.device, transformer.dtype)
    work = count_work(world, (height, width), len(chunk.context), text_tokens)
    fps = 1000.0 * chunk.num_frames / statistics.median(times["chunk"])
    return Report(
        world=world.name,
        width=world.width,
        height=world.height,
        blocks=transformer.config.blocks,
        model_blocks=subject.model_blocks,
        context_latents=len(chunk.context),
        text_tokens=text_tokens,
        device=name_of(world.device),
        ranks=subject.ranks,
        dtype=str(transformer.dtype).removeprefix("torch."),
        gemm_tflop_per_s=rate / 1e12,
        load_s=subject.load_s,
        peak_memory_gb=peak_memory(world.device) / 1e9,
        chunks=chunks,
        frames_per_chunk=chunk.num_frames,
        fps=fps,
        times_real_time=fps / world.fps,
        tier=world.tier,
        levers=world.levers,
        rows=make_rows(times, work, rate),
    )


def _time_chunk(world: World, walk: LiveWalk, track: VideoTrack) -> tuple[Chunk, dict[str, float]]:
    """Make, decode and encode a chunk. Returns: the chunk, and ms by stage, each with the device's work."""
    lap = _start_laps(world)
    chunk, passes = _generate(walk, lap)
    # The context is selected once, before its pass, as this steering predicts rightly.
    select, denoise = chunk.timings_ms["select"], sum(passes[1:])
    laps = {"select": select, "context": passes[0] - select}
    laps |= {"step": denoise / world.rollout.config.steps, "denoise": denoise}
    decode, encode, num_latents = 0.0, 0.0, 0
    for frames in walk.decode_for_encoder(chunk):
        decode += lap()
        for number, frame in enumerate(frames):
            track.encode(frame, key=num_latents == number == 0)
        num_latents += 1
        encode += lap()
    laps |= {"latent": decode / num_latents, "decode": decode, "encode": encode}
    return chunk, {**laps, "chunk": sum(passes) + decode + encode}


def _generate(walk: LiveWalk, lap: Callable[[], float]) -> tuple[Chunk, list[float]]:
    """Make a chunk. Returns: the chunk, and ms of the context pass and of each denoising step."""
    pending = walk.begin_chunk(CircleSteering())
    passes: list[float] = []
    chunk = None
    while chunk is None:
        chunk = pending.advance()
        passes.append(lap())
    return chunk, passes


def _time_text(world: World, walk: LiveWalk) -> list[float]:
    """Time some text passes, including the encoders, in ms: each with a prompt of its own."""
    lap = _start_laps(world)
    times = []
    for number in range(TEXT_PASSES):
        walk.set_prompt(f"A walk, take {number}")
        times.append(lap())
    return times


def _start_laps(world: World) -> Callable[[], float]:
    """Return a function that gives the milliseconds since its previous call, or first since now."""
    since = perf_counter()

    def lap() -> float:
        nonlocal since
        synchronize(world.device)
        before, since = since, perf_counter()
        return (since - before) * 1000.0

    return lap
