"""Whole clips; the arithmetic itself is in the goldens."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from goldens.world_cases import build_trajectory
from support.tiny import TINY
from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.conditioning import Conditioning
from worldplay.world.camera import Motion, invert_pose
from worldplay.world.chunk import Chunk
from worldplay.world.clip_rollout import begin_clip_chunk, choose_context
from worldplay.world.context import sample_points
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import Move
from worldplay.world.walk import OpenGround, Walk

CONFIG = RolloutConfig(
    chunk_latents=16,
    memory_latents=20,
    recent_latents=12,
    context_timestep=14.0,
    steps=2,
    shift=5.0,
    guidance=6.0,
)
POINTS = sample_points(512, seed=0)


class Straight:
    """Steering that knows one way."""

    def predict(self, num_latents: int) -> list[Move]:
        return [Motion(forward=0.08)] * num_latents

    latch = predict


def make_walk(num_prompts: int = 2) -> Walk:
    random = torch.Generator().manual_seed(0)
    prompts = [
        Conditioning(
            torch.randn(1, 2, TINY.text_dim, generator=random),
            torch.ones(1, 2),
            torch.zeros(1, 1, TINY.byt5_dim),
            torch.zeros(1, 1),
            None,
        )
        for _ in range(2)
    ]
    image_latent = torch.randn(1, 4, 1, 2, 2, generator=random)
    picture = Image.new("RGB", (1, 1))
    return Walk([], picture, image_latent, 0, OpenGround(), prompts[-num_prompts:])


def straight_walk(num_latents: int) -> np.ndarray:
    return invert_pose(build_trajectory([Motion(forward=0.08)] * (num_latents - 1)))


def make_model(config: RolloutConfig = CONFIG) -> RolloutModel:
    torch.manual_seed(0)
    return RolloutModel(BidirectionalTransformer(TINY).eval(), [], POINTS, config)


def make_chunk(model: RolloutModel, walk: Walk) -> Chunk:
    return begin_clip_chunk(model, walk, Straight()).finish()


def test_first_chunk_has_no_context() -> None:
    assert choose_context(straight_walk(16), 0, POINTS, CONFIG) == []


def test_second_chunk_sees_everything_before_it() -> None:
    assert choose_context(straight_walk(32), 16, POINTS, CONFIG) == list(range(16))


def test_later_chunks_join_the_choices_of_their_fours() -> None:
    context = choose_context(straight_walk(80), 64, POINTS, CONFIG)
    assert context == sorted(set(context))
    assert set(context) >= {0, 1, 2, 3, *range(52, 64)}
    assert 20 <= len(context) <= 32


def test_prompts_are_told_apart_by_guidance() -> None:
    guided, unguided = (make_chunk(make_model(), make_walk(count)) for count in (2, 1))
    neutral = make_chunk(make_model(replace(CONFIG, guidance=1.0)), make_walk())
    torch.testing.assert_close(neutral.latents, unguided.latents, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(guided.latents, unguided.latents, atol=1e-2)


def test_later_chunks_follow_the_earlier_ones() -> None:
    model, walk = make_model(), make_walk()
    first, second = (make_chunk(model, walk) for _ in range(2))
    assert (first.index, first.num_frames, first.context) == (0, 61, [])
    assert (second.index, second.num_frames, second.context) == (1, 64, list(range(16)))
    assert torch.equal(walk.latents.gather(range(32)), torch.cat([first.latents, second.latents], dim=2))
    other = make_walk()
    make_chunk(model, other)
    other.latents.truncate(0)
    other.latents.append(first.latents + 1)
    assert not torch.allclose(make_chunk(model, other).latents, second.latents, atol=1e-3)


def test_chunk_that_is_given_up_leaves_no_trace() -> None:
    walk = make_walk()
    making = begin_clip_chunk(make_model(), walk, Straight())
    assert making.advance() is None
    making.close()
    assert (walk.num_latents, len(walk.labels)) == (0, 0)
