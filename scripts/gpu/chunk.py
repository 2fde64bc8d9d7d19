"""Measures a chunk with all its context, by stage as `worldplay bench` does."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

from gpu.setup import Row, Setup
from worldplay.commands.bench import RandomModel, Subject, build, measure
from worldplay.world.attention import set_attention
from worldplay.world.cuda_graphs import record_world
from worldplay.world.pace import AUTO


def measure_chunk(setup: Setup) -> Iterator[Row]:
    """Build the whole model, let the fastest attention be chosen, and time it."""
    random = RandomModel(
        setup.size, setup.most_context, transformer=setup.scale.transformer, vae=setup.scale.vae
    )
    subject = build(random, str(setup.device))
    model = subject.world.rollout.transformer
    yield {"stage": f"build {model.config.blocks} blocks", "median_ms": 1000 * subject.load_s}
    choose_ms = setup.time_ms(partial(set_attention, subject.world, AUTO))
    yield {"stage": f"choose attention: {model.blocks[0].backend}", "median_ms": choose_ms}
    yield from _time(setup, subject, "launched")
    if setup.device.type == "cuda":
        record_ms = setup.time_ms(partial(record_world, subject.world, "auto"))
        yield {"stage": "record CUDA graphs", "median_ms": record_ms}
        yield from _time(setup, subject, "recorded")


def _time(setup: Setup, subject: Subject, way: str) -> Iterator[Row]:
    report = measure(subject, setup.scale.chunks)
    for stage in report.rows:
        yield {"way": way} | {k: v for k, v in asdict(stage).items() if v is not None}
    stage_name = f"frames/s at {setup.most_context} context latents"
    yield {"way": way, "stage": stage_name, "median_ms": report.fps}
