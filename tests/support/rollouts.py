"""A tiny model, steering and walks for the tests of rollouts."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from support.tiny import TINY
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.chunk import Chunk
from worldplay.world.context import sample_points
from worldplay.world.rollout import ChunkRollout
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import Move, Steering
from worldplay.world.walk import OpenGround, Walk

SMALL = replace(TINY, text_dim=8, vision_dim=8, byt5_dim=8)
ROLLOUT = RolloutConfig(
    chunk_latents=4,
    memory_latents=12,
    recent_latents=4,
    context_timestep=14.0,
    steps=3,
    shift=5.0,
    guidance=1.0,
)


class Script:
    """Steering by a rule: what chunk number n does, and what is predicted for it."""

    def __init__(
        self, step: Callable[[int], Motion], predicted: Callable[[int], Motion] | None = None
    ) -> None:
        self.step = step
        self.predicted = predicted or step
        self.latched = 0

    def predict(self, num_latents: int) -> list[Move]:
        return [self.predicted(self.latched)] * num_latents

    def latch(self, num_latents: int) -> list[Move]:
        self.latched += 1
        return [self.step(self.latched - 1)] * num_latents


def spin(chunk: int) -> Motion:
    return Motion(yaw=np.radians(20))


def stroll(chunk: int) -> Motion:
    return Motion(forward=FORWARD_STEP, yaw=TURN_STEP if chunk % 2 else -TURN_STEP)


def rollout(model: RolloutModel, walk: Walk, steering: Steering) -> Iterator[Chunk]:
    """Generate chunks of a walk, for as long as the caller asks for more."""
    while True:
        yield ChunkRollout(model, walk).begin(steering).finish()


def make_rollout_model() -> RolloutModel:
    torch.manual_seed(0)
    transformer = WorldPlayTransformer(SMALL).requires_grad_(False).eval()
    cache = transformer.new_cache((2, 3), max_text=4, max_context=ROLLOUT.memory_latents)
    return RolloutModel(transformer, [cache], sample_points(1000, seed=0), ROLLOUT)


def new_walk(model: RolloutModel, seed: int = 1) -> Walk:
    generator = torch.Generator().manual_seed(3)
    text = model.transformer.encode_text(
        torch.randn(1, 4, 8, generator=generator),
        torch.ones(1, 4),
        torch.zeros(1, 2, 8),
        torch.zeros(1, 2),
        None,
    )
    latent = torch.randn(1, 4, 1, 2, 3, generator=generator)
    return Walk([text], Image.new("RGB", (48, 32)), latent, seed, OpenGround())


def latents_of(walk: Walk) -> torch.Tensor:
    return walk.latents.gather(range(walk.num_latents))
