"""Cuts of a live walk: of its newest finished chunk, whatever was begun since and dropped."""

import pytest
import torch

from support.tiny_world import make_world, with_sets
from worldplay.world.camera import Motion
from worldplay.world.live_walk import LiveWalk
from worldplay.world.steering import CircleSteering, WalkRequest

ELSEWHERE = [Motion(forward=0.1)] * 2


@pytest.fixture
def walk() -> LiveWalk:
    walk = make_world().open_walk(WalkRequest(seed=1))
    walk.begin_chunk(CircleSteering()).finish()
    return walk


@pytest.mark.parametrize("num_stages", [0, 1, 2])
def test_chunk_can_be_cut_after_the_next_one_was_dropped(walk: LiveWalk, num_stages: int) -> None:
    following = walk.begin_chunk(CircleSteering())
    for _ in range(num_stages):
        following.advance()
    following.close()
    assert walk.differs(2, ELSEWHERE)
    chunk = walk.begin_cut(2, CircleSteering()).finish()
    assert (chunk.index, chunk.first_latent) == (0, 2)


def test_chunk_can_be_compared_while_the_next_one_waits_for_its_latch(walk: LiveWalk) -> None:
    following = walk.begin_chunk(CircleSteering())
    following.advance()
    assert walk.differs(2, ELSEWHERE)
    assert following.finish().index == 1
    assert walk.begin_cut(1, CircleSteering()).finish().index == 1


def test_context_is_held_until_another_chunk_uses_the_cache(walk: LiveWalk) -> None:
    walk.begin_chunk(CircleSteering()).finish()
    assert walk.holds_context
    walk.begin_cut(2, CircleSteering()).finish()
    assert walk.holds_context
    following = walk.begin_chunk(CircleSteering())
    assert walk.holds_context
    following.advance()
    assert not walk.holds_context
    following.close()
    walk.begin_cut(2, CircleSteering()).finish()
    assert walk.holds_context


@pytest.mark.parametrize("num_sets", [1, 2])
def test_walks_with_caches_of_their_own_keep_their_context_beside_each_other(num_sets: int) -> None:
    world = with_sets(make_world(), num_sets)
    walks = [world.open_walk(WalkRequest(seed=seed)) for seed in (1, 2)]
    for walk in walks:
        walk.begin_chunk(CircleSteering()).finish()
    assert [walk.holds_context for walk in walks] == [num_sets == 2, True]


def test_latents_do_not_depend_on_whose_the_caches_are() -> None:
    made = []
    for num_sets in (1, 2):
        world = with_sets(make_world(), num_sets)
        walks = [world.open_walk(WalkRequest(seed=seed)) for seed in (1, 2)]
        for _ in range(3):
            for walk in walks:
                walk.begin_chunk(CircleSteering()).finish()
        made.append(walks[0].begin_cut(2, CircleSteering()).finish().latents)
    assert torch.equal(made[0], made[1])


def test_dropping_the_next_chunk_changes_nothing_in_a_cut() -> None:
    made = []
    for drops in (False, True):
        walk = make_world().open_walk(WalkRequest(seed=1))
        walk.begin_chunk(CircleSteering()).finish()
        if drops:
            following = walk.begin_chunk(CircleSteering())
            following.advance()
            following.close()
        made.append(walk.begin_cut(2, CircleSteering()).finish().latents)
    torch.testing.assert_close(made[0], made[1])
