"""Measures each way to run a denoising step and a context pass: launched, compiled, as a CUDA graph."""

from collections.abc import Callable, Iterator
from functools import partial

import torch

from gpu.setup import Row, Setup, make_arguments, make_timestep
from worldplay.commands.hardware import gemm_rate
from worldplay.model import flops
from worldplay.model.attention_choice import FAILURES
from worldplay.model.config import CHUNK_LATENTS
from worldplay.model.regions import EAGER, Regions, compile_regions
from worldplay.world.attention import set_attention
from worldplay.world.pace import AUTO
from worldplay.world.world import World

Passes = dict[str, Callable[[], object]]


@torch.inference_mode()
def measure_passes(setup: Setup) -> Iterator[Row]:
    """Time both, with all context: launched or compiled, then each of them as a CUDA graph."""
    world = set_attention(setup.build(), AUTO)
    passes, work = make_passes(setup, world), _count_work(setup, world)
    rate = gemm_rate(setup.device, setup.dtype, setup.scale.gemm_side)
    regions = {"launched": EAGER, "compiled": compile_regions(setup.scale.compiler)}
    ways: list[tuple[str, Regions, Callable[[Passes], Passes]]] = [(n, r, dict) for n, r in regions.items()]
    if setup.device.type == "cuda":
        ways += [(f"{n}, as a graph", r, _capture) for n, r in reversed(regions.items())]
    for name, functions, prepare in ways:
        world.rollout.transformer.use_regions(functions)
        row: Row = {"way": name}
        try:
            yield row | _time(setup, passes, prepare, work, rate)
        except FAILURES as error:  # another way may still work
            yield {"way": name, "failed": str(error).strip()[:300]}


def make_passes(setup: Setup, world: World) -> Passes:
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    context = make_arguments(setup, world, setup.most_context)
    chunk, timestep = make_arguments(setup, world, CHUNK_LATENTS), make_timestep(setup)
    return {
        "context": partial(model.encode_context, *context, cache),
        "step": partial(model.denoise, *chunk, timestep, cache),
    }


def _count_work(setup: Setup, world: World) -> dict[str, float]:
    """Count operations; the cache holds no text."""
    config = world.rollout.transformer.config
    return {
        "context": flops.context_pass(config, setup.most_context * setup.tokens, 0).total,
        "step": flops.denoise_step(config, setup.tokens, setup.most_context, 0).total,
    }


def _capture(passes: Passes) -> Passes:
    """Record each pass, once it has run, as a CUDA graph."""
    graphs: Passes = {}
    for name, function in passes.items():
        function()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            function()
        graphs[name] = graph.replay
    return graphs


def _time(
    setup: Setup, passes: Passes, prepare: Callable[[Passes], Passes], work: dict[str, float], rate: float
) -> Row:
    first_ms = sum(setup.time_ms(function) for function in passes.values())
    row: Row = {"first run s": first_ms / 1000}
    for name, function in prepare(passes).items():
        ms = setup.median_ms(function)
        per_s = work[name] / ms * 1000
        row |= {f"{name} ms": ms, f"{name} TFLOP/s": per_s / 1e12, f"{name} of matmul": per_s / rate}
    return row
