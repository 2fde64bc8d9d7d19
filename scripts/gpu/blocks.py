"""Measures what torch.compile gains per block, without the cache and the attention kernel."""

from dataclasses import replace

import torch
from torch import Tensor

from gpu.setup import Row, Setup, make_arguments, make_timestep
from worldplay.model.config import CHUNK_LATENTS
from worldplay.model.regions import EAGER, compile_regions


@torch.inference_mode()
def measure_compile(setup: Setup) -> list[Row]:
    """Time a few blocks, with and without compiling, in a denoising step and in the context pass."""
    world = setup.build(replace(setup.scale.transformer, blocks=setup.scale.compiled_blocks))
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    context = make_arguments(setup, world, setup.most_context)
    chunk, timestep = make_arguments(setup, world, CHUNK_LATENTS), make_timestep(setup)

    def encode() -> None:
        model.encode_context(*context, cache)

    def denoise() -> Tensor:
        return model.denoise(*chunk, timestep, cache)

    rows: list[Row] = []
    for way, regions in (("eager", EAGER), ("compiled", compile_regions(setup.scale.compiler))):
        model.use_regions(regions)
        first_ms = setup.time_ms(encode) + setup.time_ms(denoise)
        row: Row = {"way": way, "blocks": model.config.blocks, "first run s": first_ms / 1000}
        row |= {"step ms": setup.median_ms(denoise), "context ms": setup.median_ms(encode)}
        rows.append(row)
    return rows
