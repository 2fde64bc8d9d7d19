"""Compiles a loaded world's transformer, and runs every shape once so that no walk waits for it."""

import logging
from time import perf_counter

from worldplay.model.regions import compile_regions
from worldplay.world.device import synchronize
from worldplay.world.warm_up import warm_up
from worldplay.world.world import World

logger = logging.getLogger(__name__)


COMPILER = "inductor"


def compile_world(world: World, compiler: str = COMPILER) -> World:
    """Compile the parts of blocks by a backend of torch.compile, and log how long that takes.

    Bidirectional transformers have other shapes in every chunk, so they are left as they are.
    """
    if world.can_walk:
        began = perf_counter()
        world.rollout.transformer.use_regions(compile_regions(compiler))
        warm_up(world)
        synchronize(world.device)
        logger.info("compiled the transformer in %.1f s", perf_counter() - began)
    return world
