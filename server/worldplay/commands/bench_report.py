"""The result of a benchmark, as numbers and as a table: each stage's time beside its floor."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worldplay.model import flops
from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.world import World

Times = Mapping[str, Sequence[float]]  # ms by stage


@dataclass(frozen=True, slots=True)
class Row:
    """One stage; the floor is the time its operations take at the rate of a large matrix product."""

    stage: str
    median_ms: float
    p95_ms: float
    tflop: float | None  # None for stages that are not arithmetic, such as copying or searching
    tflop_per_s: float | None
    floor_ms: float | None
    times_floor: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """A measurement, with everything needed to repeat it."""

    world: str
    width: int
    height: int
    blocks: int
    model_blocks: int  # of the whole model; only `blocks` of them were built
    context_latents: int
    text_tokens: int
    device: str
    ranks: int
    dtype: str
    gemm_tflop_per_s: float
    load_s: float
    peak_memory_gb: float
    chunks: int
    frames_per_chunk: int
    fps: float
    times_real_time: float
    tier: str
    levers: tuple[str, ...]  # what the tier did; the floors are those of the exact model with as many steps
    rows: tuple[Row, ...]


def count_work(world: World, grid: tuple[int, int], context: int, text_tokens: int) -> dict[str, float]:
    """Count the operations of each stage.

    Args:
        grid: (h, w) of a latent.
        context: latents of context.
    """
    model, config = world.rollout.transformer.config, world.rollout.config
    passes = len(world.rollout.caches)
    steps, to_planes = passes * config.steps, world.vae.makes_planes
    work = flops.chunk(model, world.vae.config, grid, context, text_tokens, steps, to_planes=to_planes)
    context_work, denoise = passes * work.context, work.denoise
    if config.guides_by_history and context == config.memory_latents:  # not the whole walk
        latest = flops.chunk(model, world.vae.config, grid, config.recent_latents, text_tokens, 1)
        denoise += latest.denoise
    return {
        "text": passes * flops.text_pass(model, text_tokens).total,
        "context": context_work,
        "step": denoise / config.steps,
        "denoise": denoise,
        "latent": work.decode / CHUNK_LATENTS,
        "decode": work.decode,
        "chunk": context_work + denoise + work.decode,
    }


def make_rows(times: Times, work: Mapping[str, float], gemm_rate: float) -> tuple[Row, ...]:
    """Make the table: medians and 95th percentiles beside the floors.

    Args:
        gemm_rate: operations per second of a large matrix product.
    """
    return tuple(_make_row(stage, values, work.get(stage), gemm_rate) for stage, values in times.items())


def _make_row(stage: str, values: Sequence[float], work: float | None, gemm_rate: float) -> Row:
    median = statistics.median(values)
    p95 = statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else median
    if not work:
        return Row(stage, median, p95, None, None, None, None)
    floor_ms = 1000.0 * work / gemm_rate
    return Row(stage, median, p95, work / 1e12, work / median / 1e9, floor_ms, median / floor_ms)


def render(report: Report) -> str:
    """Format the table for people."""
    part = "" if report.blocks == report.model_blocks else f"of {report.model_blocks} "
    devices = f"{report.ranks} ranks of {report.device}" if report.ranks > 1 else report.device
    lines = [
        f"{report.world} at {report.height}x{report.width}, {report.blocks} {part}blocks, "
        f"{report.context_latents} context latents, {report.text_tokens} text tokens",
        f"{devices}, {report.dtype}, {report.gemm_tflop_per_s:.3g} TFLOP/s in a large matrix product; "
        f"loaded in {report.load_s:.1f} s, peak memory {report.peak_memory_gb:.2f} GB",
        *(f"tier {report.tier}: {lever}" for lever in report.levers),
        "",
        f"{'stage':8} {'median':>10} {'p95':>10} {'floor':>10} {'x floor':>8} {'TFLOP':>9} {'TFLOP/s':>9}",
        *(_render_row(row) for row in report.rows),
        "",
        f"{report.chunks} chunks of {report.frames_per_chunk} frames: {report.fps:.3g} frames/s, "
        f"{report.times_real_time:.3g} times real time",
    ]
    return "\n".join(lines) + "\n"


def _render_row(row: Row) -> str:
    measured = f"{row.stage:8} {row.median_ms:10.2f} {row.p95_ms:10.2f}"
    if row.floor_ms is None:
        return measured
    return f"{measured} {row.floor_ms:10.2f} {row.times_floor:8.2f} {row.tflop:9.3g} {row.tflop_per_s:9.3g}"
