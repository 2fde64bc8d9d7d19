"""Compiles a loaded world's transformer, and runs every shape once so that no walk waits for it."""

import logging
from time import perf_counter

import torch

from worldplay.model.regions import EAGER, compile_regions
from worldplay.world.device import synchronize
from worldplay.world.warm_up import warm_up
from worldplay.world.world import World

logger = logging.getLogger(__name__)

COMPILER = "inductor"
MOST_GRAPHS = 32  # of a function: one for every length of context, twice if some layers are in 8 bits


def compile_world(world: World, compiler: str = COMPILER, *, with_cuts: bool = False) -> World:
    """Compile the parts of blocks by a backend of torch.compile, and log how long that takes.

    Later no shape is compiled, because a walk would wait for it: what is new runs as it is. Nothing is
    compiled if that fails, for example without a C compiler. Bidirectional transformers have other shapes in
    every chunk, so they are left as they are.

    Args:
        with_cuts: the world's chunks are cut, so the shapes of cuts are run as well.
    """
    if not world.can_walk:
        return world
    began, transformer = perf_counter(), world.rollout.transformer
    torch._dynamo.config.recompile_limit = MOST_GRAPHS  # of all there are; by default 8
    transformer.use_regions(compile_regions(compiler))
    try:
        warm_up(world, with_cuts=with_cuts)
    except (RuntimeError, OSError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        logger.warning("blocks are not compiled: %s", " ".join(str(error).splitlines()[:2]))
        transformer.use_regions(EAGER)
        return world
    synchronize(world.device)
    torch.compiler.set_stance("eager_on_recompile")
    logger.info("compiled the transformer in %.1f s", perf_counter() - began)
    return world
