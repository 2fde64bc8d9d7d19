"""Records a loaded world's passes and its decoder, as CUDA graphs, and logs how long that takes."""

import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Protocol

import torch

from worldplay.model.graphs import MOST, CudaRecorder, Graphs, Recorder
from worldplay.model.vae import DecoderState
from worldplay.world.device import synchronize
from worldplay.world.warm_up import warm_up, warm_up_decoder
from worldplay.world.world import World

logger = logging.getLogger(__name__)

# Recordings for each set of caches; a prompt's length needs 2 for each length of context, and 6 for cuts.
FOR_CACHES = 36


class MemoryProbe(Protocol):
    """Watches the memory that computing takes."""

    def start(self) -> None:
        """Forget what was taken so far."""

    def has_room(self, kept: int) -> bool:
        """Return whether as much as was taken since the start is free again, and `kept` bytes beside it."""
        ...


class CudaMemory:
    """A GPU's memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def start(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)

    def has_room(self, kept: int) -> bool:
        allocated = torch.cuda.memory_allocated(self._device)
        taken = torch.cuda.max_memory_allocated(self._device) - allocated
        unused = torch.cuda.memory_reserved(self._device) - allocated
        return torch.cuda.mem_get_info(self._device)[0] + unused >= 2 * taken + kept


def check_recording(choice: str, device: torch.device) -> None:
    """Raises: ValueError if there is no GPU, but recordings are wanted."""
    if choice == "on" and device.type != "cuda":
        raise ValueError(f"expected a GPU for --graphs on, got {device.type}; take --graphs auto")


def record_world(world: World, choice: str) -> World:
    """Record passes: choice "on", "off", or "auto", which records on a GPU if there is memory for it.

    Raises: ValueError if there is no GPU, but recordings are wanted.
    """
    check_recording(choice, world.device)
    if choice == "off" or world.device.type != "cuda":
        return world
    memory = CudaMemory(world.device) if choice == "auto" else None
    return use_recordings(world, partial(CudaRecorder, world.device), memory)


def use_recordings(
    world: World,
    make_recorder: Callable[[], Recorder],
    memory: MemoryProbe | None,
) -> World:
    """Record what makes a chunk after every length of context, and the decoder of a latent.

    Other shapes, like those of another text's length, are recorded when they come for the second time.
    Bidirectional transformers have other shapes in every chunk, so only their decoder is recorded.

    Args:
        memory: nothing is recorded if it has no room for recordings; None: there is enough.
    """
    most = max(MOST, FOR_CACHES * len(world.rollout.cache_sets))
    began, recorded = perf_counter(), [Graphs(make_recorder(), most), Graphs(make_recorder())]
    if memory is not None:
        memory.start()
    _use(world, *recorded)
    state = _run_all(world)
    if memory is not None and not memory.has_room(_count_walks(world) * state.num_bytes):
        _use(world, None, None)
        logger.info("operations are launched one by one, because there is no memory for recordings")
        return world
    _run_all(world)
    synchronize(world.device)
    count = sum(graphs.count for graphs in recorded)
    logger.info("recorded %d passes in %.1f s", count, perf_counter() - began)
    return world


def _use(world: World, passes: Graphs | None, decoding: Graphs | None) -> None:
    if world.can_walk:
        world.rollout.transformer.use_graphs(passes)
    world.vae.use_graphs(decoding)


def _run_all(world: World) -> DecoderState:
    """Run all that is recorded, the first time plainly. Returns: the state of a decoder."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True  # times the convolutions, and keeps the fastest
    try:
        state = warm_up_decoder(world)
    finally:
        torch.backends.cudnn.benchmark = before
    if world.can_walk:
        warm_up(world)
    return state


def _count_walks(world: World) -> int:
    return world.max_sessions or 1
