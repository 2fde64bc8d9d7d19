"""Lists which kernels take the time of a denoising step, a context pass and a decoded latent."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from gpu.setup import Row, Setup, make_arguments, make_timestep
from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.attention import set_attention
from worldplay.world.pace import AUTO

TOP = 12


@torch.inference_mode()
def measure_kernels(setup: Setup) -> Iterator[Row]:
    """Profile each pass of a few blocks, which take the same share as in all."""
    world = setup.build(replace(setup.scale.transformer, blocks=setup.scale.profiled_blocks))
    set_attention(world, AUTO)
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    chunk, timestep = make_arguments(setup, world, CHUNK_LATENTS), make_timestep(setup)
    context = make_arguments(setup, world, setup.most_context)
    state, latents = world.vae.new_decoder_state(), chunk[0]
    for latent in torch.split(latents[:, :, :2], 1, dim=2):
        world.vae.decode_latent(latent, state)
    passes: dict[str, Callable[[], object]] = {
        "context": partial(model.encode_context, *context, cache),
        "step": partial(model.denoise, *chunk, timestep, cache),
        "decode": partial(world.vae.decode_latent, latents[:, :, 2:3], state),
    }
    for name, function in passes.items():
        yield from _profile(setup, name, function)


def _profile(setup: Setup, name: str, function: Callable[[], object]) -> Iterator[Row]:
    setup.median_ms(function)
    on_gpu = setup.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as seen:
        whole_ms = setup.time_ms(function)
    times = {
        event.key: ((event.self_device_time_total if on_gpu else event.self_cpu_time_total), event.count)
        for event in seen.key_averages()
        if (event.self_device_time_total if on_gpu else event.self_cpu_time_total) > 0
    }
    total = sum(time for time, _ in times.values()) or 1.0
    yield {"pass": name, "kernel": "all", "calls": sum(n for _, n in times.values()), "ms": total / 1000}
    yield {"pass": name, "kernel": "from first launch to last, profiled", "ms": whole_ms}
    for kernel, (time, calls) in sorted(times.items(), key=lambda item: -item[1][0])[:TOP]:
        share = f"{100 * time / total:.1f} %"
        shown = kernel.replace("|", "/")[:110]
        yield {"pass": name, "kernel": shown, "calls": calls, "ms": time / 1000, "share": share}
