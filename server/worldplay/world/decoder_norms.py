"""Chooses how the decoder prepares its convolutions on a GPU: by one kernel, or by plain operations."""

import logging
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter

import torch
from torch import Tensor

from worldplay.model.vae_stream import Prepare
from worldplay.wording import describe_error
from worldplay.world.device import synchronize
from worldplay.world.world import World

logger = logging.getLogger(__name__)

_LATENTS = 5  # the first is a single frame; the second loads kernels
_LARGEST_ERROR = 5e-3  # rms, relative: more than rounding in float16 makes of it, far less than a wrong pixel


def fuse_norms(world: World) -> World:
    """Let the decoder use the kernel on a GPU if it works there and is faster; log which is used."""
    if world.device.type == "cuda" and find_spec("triton") is not None:
        choose_prepare(world, import_kernel)
    return world


def import_kernel() -> Prepare:
    from worldplay.model.fused_norm import fused_surround  # needs Triton

    return fused_surround


@torch.inference_mode()
def choose_prepare(world: World, load: Callable[[], Prepare]) -> None:
    """Load a way to prepare convolutions, and use it if it gives the same pictures, sooner."""
    plain, plain_ms = _decode(world)
    try:
        world.vae.use_prepare(load())
        fused, fused_ms = _decode(world)
    except Exception as error:  # noqa: BLE001  # Triton raises anything where it cannot compile
        problem = describe_error(error)
    else:
        off = ((fused - plain).norm() / plain.norm()).item()
        problem = "" if off <= _LARGEST_ERROR else f"differs by {100 * off:.2g} %"
        if not problem and fused_ms >= plain_ms:
            problem = f"{fused_ms:.1f} ms a latent instead of {plain_ms:.1f}"
    if problem:
        world.vae.use_prepare(None)
        logger.info("decoder without fused norms: %s", problem)
    else:
        logger.info("decoder with fused norms: %.1f ms a latent instead of %.1f", fused_ms, plain_ms)


def _decode(world: World) -> tuple[Tensor, float]:
    """Decode some latents. Returns: the last picture, and the median time in ms."""
    vae = world.vae
    shape = _LATENTS, 1, vae.config.latent_channels, 1, *world.grid
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(world.device)
    state, times = vae.new_decoder_state(), []
    for latent in latents:
        synchronize(world.device)
        began = perf_counter()
        pixels = vae.decode_latent(latent, state)
        synchronize(world.device)
        times.append((perf_counter() - began) * 1000.0)
    return pixels.float(), statistics.median(times[2:])
