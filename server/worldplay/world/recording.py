"""Records a loaded world's passes and its decoder, as CUDA graphs, and logs how long that takes."""

import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch

from worldplay.model.graphs import CudaRecorder, Graphs, Recorder
from worldplay.world.device import synchronize
from worldplay.world.warm_up import warm_up, warm_up_decoder
from worldplay.world.world import World

logger = logging.getLogger(__name__)

_PLAIN_AND_RECORDED = 2


def record_world(world: World, choice: str) -> World:
    """Record passes: choice "on", "off", or "auto", which records on a GPU.

    Raises: ValueError if there is no GPU, but recordings are wanted.
    """
    has_gpu = world.device.type == "cuda"
    if choice == "on" and not has_gpu:
        raise ValueError(f"expected a GPU for --graphs on, got {world.device.type}; take --graphs auto")
    if choice == "off" or not has_gpu:
        return world
    return use_recordings(world, partial(CudaRecorder, world.device))


def use_recordings(world: World, make_recorder: Callable[[], Recorder]) -> World:
    """Record what makes a chunk after every length of context, and the decoder of a latent.

    Other shapes, like those of another text's length, are recorded when they come for the second time.
    Bidirectional transformers have other shapes in every chunk, so only their decoder is recorded.
    """
    began = perf_counter()
    decoding = Graphs(make_recorder())
    world.vae.use_graphs(decoding)
    _warm_up_decoder_fast(world)
    count = decoding.count
    if world.can_walk:
        passes = Graphs(make_recorder())
        world.rollout.transformer.use_graphs(passes)
        warm_up(world, _PLAIN_AND_RECORDED)
        count += passes.count
    synchronize(world.device)
    logger.info("recorded %d passes in %.1f s", count, perf_counter() - began)
    return world


def _warm_up_decoder_fast(world: World) -> None:
    """Let cuDNN time its convolutions, and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        warm_up_decoder(world)
    finally:
        torch.backends.cudnn.benchmark = before
