"""Short walks in the tiny world, with cuts and prompts, and the steering that makes them."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from worldplay.world.camera import Motion
from worldplay.world.chunk import Chunk
from worldplay.world.live_walk import LiveWalk
from worldplay.world.steering import Move, PosedCamera, TrajectorySteering, WalkRequest
from worldplay.world.world import World

AHEAD = Motion(forward=0.08)
TURN = Motion(yaw=0.1)
LOOK_BACK = np.diag([-1.0, 1.0, -1.0, 1.0])


def go_on(walk: LiveWalk, moves: Sequence[Move]) -> Chunk:
    """Make a chunk with these moves, which are repeated."""
    return walk.begin_chunk(TrajectorySteering([*moves] * 4)).finish()


def cut(walk: LiveWalk, kept: int, moves: Sequence[Move]) -> Chunk:
    return walk.begin_cut(kept, TrajectorySteering([*moves] * 4)).finish()


def open_walk(world: World, **request: object) -> LiveWalk:
    return world.open_walk(WalkRequest(**{"seed": 5, **request}))  # type: ignore[arg-type]


def latents_of(live: LiveWalk) -> Tensor:
    return live.walk.latents.gather(range(live.walk.num_latents))


def walk_about(world: World, **request: object) -> LiveWalk:
    """Three chunks: the second is cut twice, the third has another prompt and given cameras."""
    walk = open_walk(world, **request)
    go_on(walk, [AHEAD])
    go_on(walk, [AHEAD])
    cut(walk, 1, [TURN])
    cut(walk, 3, [AHEAD])
    walk.set_prompt("at night")
    go_on(walk, [PosedCamera(LOOK_BACK, label=3)])
    return walk
