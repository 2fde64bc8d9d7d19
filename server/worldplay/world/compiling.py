"""Compiles a loaded world's transformer, and runs every shape once so that no walk waits for it."""

import logging
from dataclasses import replace
from time import perf_counter

import torch

from worldplay.model.attention_choice import FAILURES
from worldplay.model.compiling import compile_blocks, stop_compiling
from worldplay.model.regions import EAGER
from worldplay.world.device import synchronize
from worldplay.world.warm_up import warm_up
from worldplay.world.world import World

logger = logging.getLogger(__name__)

COMPILER = "inductor"
UNCOMPILED = "nothing is compiled, so linear layers in 8 bits, if there are, take longer than in 16"


def can_compile(device: torch.device, compiler: str = COMPILER) -> bool:
    """Try a compiler on a small function; if it fails, for example without a C compiler, log why."""
    try:
        torch.compile(_add_square, backend=compiler, dynamic=False)(torch.ones(2, device=device))
    except FAILURES as error:
        _say_why_not(error)
        return False
    return True


def _add_square(x: torch.Tensor) -> torch.Tensor:
    return x + x * x


def compile_world(world: World, compiler: str = COMPILER) -> World:
    """Compile the parts of blocks by a backend of torch.compile, and log how long that takes.

    Shapes that come later are not compiled. Nothing is compiled if that fails, for example without a C
    compiler. Bidirectional transformers have other shapes in every chunk, so they are left as they are.
    """
    if not world.can_walk:
        return world
    began, transformer = perf_counter(), world.rollout.transformer
    compile_blocks(transformer, compiler)
    try:
        warm_up(world)
    except (RuntimeError, OSError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        _say_why_not(error)
        transformer.use_regions(EAGER)
        return world if world.tier == "exact" else replace(world, levers=(*world.levers, UNCOMPILED))
    synchronize(world.device)
    stop_compiling(transformer)
    logger.info("compiled the transformer in %.1f s", perf_counter() - began)
    return world


def _say_why_not(error: Exception) -> None:
    logger.warning("blocks are not compiled: %s", " ".join(str(error).splitlines()[:2]))
