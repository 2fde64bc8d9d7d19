"""Whole clips; the arithmetic itself is in the goldens."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.tiny import TINY
from worldplay.model.bidirectional import BidirectionalTransformer, Prompt
from worldplay.world.bidirectional_rollout import Clip, bidirectional_rollout, choose_context
from worldplay.world.camera import DEFAULT_INTRINSICS, Motion, build_trajectory, invert_pose
from worldplay.world.memory import sample_points
from worldplay.world.rollout import RolloutConfig

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


def make_clip(num_latents: int) -> Clip:
    random = torch.Generator().manual_seed(0)
    prompts = [
        Prompt(
            torch.randn(1, 2, TINY.text_dim, generator=random),
            torch.ones(1, 2),
            torch.zeros(1, 1, TINY.byt5_dim),
            torch.zeros(1, 1),
            None,
        )
        for _ in range(2)
    ]
    return Clip(
        prompts,
        image_latent=torch.randn(1, 4, 1, 2, 2, generator=random),
        noise=torch.randn(1, 4, num_latents, 2, 2, generator=random),
        w2c=straight_walk(num_latents),
        intrinsics=np.tile(DEFAULT_INTRINSICS, (num_latents, 1, 1)),
        labels=np.full(num_latents, 9),
    )


def straight_walk(num_latents: int) -> np.ndarray:
    return invert_pose(build_trajectory([Motion(forward=0.08)] * (num_latents - 1)))


def make_model() -> BidirectionalTransformer:
    torch.manual_seed(0)
    return BidirectionalTransformer(TINY).eval()


def test_first_chunk_has_no_context():
    assert choose_context(straight_walk(16), 0, POINTS, CONFIG) == []


def test_second_chunk_sees_everything_before_it():
    assert choose_context(straight_walk(32), 16, POINTS, CONFIG) == list(range(16))


def test_later_chunks_join_the_choices_of_their_fours():
    context = choose_context(straight_walk(80), 64, POINTS, CONFIG)
    assert context == sorted(set(context))
    assert set(context) >= {0, 1, 2, 3, *range(52, 64)}
    assert 20 <= len(context) <= 32


def test_prompts_are_told_apart_by_guidance():
    model, clip = make_model(), make_clip(16)
    alone = replace(clip, prompts=clip.prompts[1:])
    (guided,), (unguided,) = (list(bidirectional_rollout(model, c, POINTS, CONFIG)) for c in (clip, alone))
    one = replace(CONFIG, guidance=1.0)
    (neutral,) = bidirectional_rollout(model, clip, POINTS, one)
    torch.testing.assert_close(neutral.latents, unguided.latents, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(guided.latents, unguided.latents, atol=1e-2)


def test_earlier_chunks_do_not_know_later_ones():
    model = make_model()
    (alone,) = bidirectional_rollout(model, make_clip(16), POINTS, CONFIG)
    longer = replace(make_clip(32), noise=torch.cat([make_clip(16).noise] * 2, dim=2))
    first, second = bidirectional_rollout(model, longer, POINTS, CONFIG)
    assert torch.equal(first.latents, alone.latents)
    assert second.first_latent == 16
    assert not torch.allclose(second.latents, first.latents, atol=1e-2)


def test_clip_of_a_broken_chunk_is_refused():
    with pytest.raises(ValueError, match="expected a multiple of 16 latents, got 20"):
        next(bidirectional_rollout(make_model(), make_clip(20), POINTS, CONFIG))
