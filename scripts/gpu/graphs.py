"""Measures what CUDA graphs gain, with one graph per context size."""

from collections.abc import Callable
from functools import partial

import torch

from gpu.setup import Row, Setup, make_arguments, make_timestep
from worldplay.model.config import CHUNK_LATENTS


@torch.inference_mode()
def measure_graphs(setup: Setup) -> list[Row]:
    """Time denoising step and context pass, launched kernel by kernel and as one graph."""
    setup.need_cuda()
    world = setup.build()
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    chunk, timestep = make_arguments(setup, world, CHUNK_LATENTS), make_timestep(setup)
    rows: list[Row] = []
    for count in setup.scale.contexts:
        row: Row = {"context": count}
        cache.clear_context()
        if count:
            context = make_arguments(setup, world, count)
            row |= _compare(setup, "context", partial(model.encode_context, *context, cache))
        row |= _compare(setup, "step", partial(model.denoise, *chunk, timestep, cache))
        rows.append(row)
    return rows


def _compare(setup: Setup, name: str, function: Callable[[], object]) -> Row:
    launched = setup.median_ms(function)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    replayed = setup.median_ms(graph.replay)
    del graph
    torch.cuda.empty_cache()  # each graph has memory of its own
    return {f"{name} ms": launched, f"{name} graph ms": replayed}
