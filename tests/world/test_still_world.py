"""In a world in which nothing moves by itself, the picture comes to rest while the view stays."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from support.rollouts import ROLLOUT, latents_of, make_rollout_model, new_walk
from support.tiny_world import ROLLOUT as OF_WORLD
from support.tiny_world import make_world
from support.walks import cut, go_on, open_walk
from support.walks import latents_of as latents_of_live
from worldplay.world.camera import DEFAULT_INTRINSICS, Motion
from worldplay.world.courtyard.ground import WalkGround
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.live_walk import LiveWalk
from worldplay.world.rollout import ChunkRollout
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import PosedCamera, TrajectorySteering
from worldplay.world.walk import LIGHT_CHANGES, MOST_STOOD, Walk
from worldplay.world.world import World

COUNT = ROLLOUT.chunk_latents
STAND, TURN = Motion(), Motion(yaw=0.1)


def make_model(*, is_still: bool) -> RolloutModel:
    return replace(make_rollout_model(), config=replace(ROLLOUT, is_still=is_still))


def play(model: RolloutModel, walk: Walk, moves: Sequence[Motion | PosedCamera]) -> list[int]:
    """Make the chunks of these moves. Returns: for each latent since when nothing has changed."""
    steering, stood = TrajectorySteering(list(moves)), list[int]()
    end = walk.num_latents + len(moves) + (walk.num_latents == 0)
    while walk.num_latents < end:
        stood += ChunkRollout(model, walk).begin(steering).finish().stood
    return stood


def test_latents_count_since_when_nothing_has_changed() -> None:
    model = make_model(is_still=True)
    walk = new_walk(model)
    moves = [STAND, STAND, TURN, *[STAND] * 4, TURN, TURN, STAND, STAND]
    assert play(model, walk, moves) == [0, 1, 2, 0, 1, 2, 3, 4, 0, 0, 1, 2]
    assert play(model, walk, [STAND] * MOST_STOOD)[-4:] == [63, 64, 64, 64]


def test_worlds_that_may_move_are_left_alone() -> None:
    model = make_model(is_still=False)
    assert play(model, new_walk(model), [STAND] * 7) == [0] * 8


def test_another_zoom_is_another_view() -> None:
    model = make_model(is_still=True)
    nearer = DEFAULT_INTRINSICS * [[1.5], [1.5], [1.0]]
    same, other = PosedCamera(np.eye(4)), PosedCamera(np.eye(4), intrinsics=nearer)
    assert play(model, new_walk(model), [same] * 3 + [same, other, other, other]) == [0, 1, 2, 3, 4, 0, 1, 2]


def test_light_may_change_after_another_prompt() -> None:
    model = make_model(is_still=True)
    walk = new_walk(model)
    walk.log.change_prompt(0, "by day")
    assert play(model, walk, [STAND] * 7) == [*range(8)]
    walk.log.change_prompt(8, "at night")
    assert play(model, walk, [STAND] * (LIGHT_CHANGES + 4)) == [*[0] * LIGHT_CHANGES, 1, 2, 3, 4]


def test_latents_are_the_means_of_those_since_the_last_change() -> None:
    """The first chunk has no context, so it does not depend on what was shown before."""
    still, moving = (make_model(is_still=is_still) for is_still in (True, False))
    settled, made = new_walk(still), new_walk(moving)
    play(still, settled, [TURN, STAND, STAND])
    play(moving, made, [TURN, STAND, STAND])
    expected, found = latents_of(made).clone(), latents_of(settled)
    expected[:, :, 3] = expected[:, :, 2:4].mean(dim=2)
    torch.testing.assert_close(found, expected)
    assert (latents_of(made)[:, :, 3] - found[:, :, 3]).abs().max() > 0.1


def test_walk_that_goes_on_after_a_rewind_makes_the_same() -> None:
    model = make_model(is_still=True)
    walk = new_walk(model)
    play(model, walk, [STAND] * (4 * COUNT - 1))
    before = latents_of(walk)
    walk.truncate(2 * COUNT)
    play(model, walk, [STAND] * (2 * COUNT))
    assert torch.equal(latents_of(walk), before)


def test_cut_that_is_steered_as_before_changes_nothing() -> None:
    model = make_model(is_still=True)
    walk = new_walk(model)
    play(model, walk, [STAND] * (2 * COUNT - 1))
    rollout = ChunkRollout(model, walk)
    rollout.begin(TrajectorySteering([STAND, TURN, STAND, STAND])).finish()
    before = latents_of(walk)
    rollout.cut(3, TrajectorySteering([STAND])).finish()
    assert torch.equal(latents_of(walk), before)


def make_tiny_world(*, is_still: bool) -> World:
    shared = make_world()
    return replace(shared, rollout=replace(shared.rollout, config=replace(OF_WORLD, is_still=is_still)))


@pytest.mark.parametrize("is_still", [True, False])
def test_a_latent_that_stands_is_one_picture(is_still: bool) -> None:
    """Of the chunk's latents the second turns; a cut makes the third turn, and the fourth stand."""
    walk = open_walk(make_tiny_world(is_still=is_still))
    list(walk.decode(go_on(walk, [TURN])))
    frames = list(walk.decode(go_on(walk, [STAND, TURN, STAND, STAND])))
    assert [is_one_picture(each) for each in frames] == [is_still, False, is_still, is_still]
    rest = list(walk.decode(cut(walk, 2, [TURN, STAND])))
    assert [is_one_picture(each) for each in rest] == [False, is_still]


def is_one_picture(frames: NDArray[np.uint8]) -> bool:
    return bool((frames == frames[0]).all())


def test_the_one_picture_is_the_mean_of_the_frames() -> None:
    still, moving = (show_a_stand(make_tiny_world(is_still=is_still)) for is_still in (True, False))
    assert np.abs(still - moving.mean(axis=0)).max() <= 1
    assert (moving != moving[0]).any()


def show_a_stand(world: World) -> NDArray[np.int64]:
    walk = open_walk(world)
    list(walk.decode(go_on(walk, [TURN])))
    return next(walk.decode(go_on(walk, [STAND]))).astype(np.int64)


def test_walk_that_is_resumed_while_it_stands_shows_the_same() -> None:
    world = make_tiny_world(is_still=True)
    walk = open_walk(world)
    for moves in ([TURN], [STAND], [STAND]):
        shown = list(walk.decode(go_on(walk, moves)))
    resumed = open_walk(world, snapshot=walk.snapshot(), seed=None)
    last = resumed.show_last()
    assert last is not None
    assert np.array_equal(next(resumed.decode(last)), shown[-1])
    for moves in ([STAND], [TURN]):
        assert np.array_equal(show(walk, moves), show(resumed, moves))
    assert torch.equal(latents_of_live(walk), latents_of_live(resumed))


def show(walk: LiveWalk, moves: Sequence[Motion]) -> NDArray[np.uint8]:
    return np.concatenate(list(walk.decode(go_on(walk, moves))))


def test_a_step_that_is_refused_keeps_the_view() -> None:
    """In the ground's axes, and back: rounding moves the camera by less than is seen."""
    model = make_model(is_still=True)
    walk = new_walk(model)
    walk.ground = WalkGround(VIEWPOINTS[1].c2w)
    assert play(model, walk, [Motion(yaw=0.3), STAND, Motion(yaw=1e-4)]) == [0, 0, 1, 0]


def test_the_shipped_world_comes_to_rest(world: World) -> None:
    walk = open_walk(world, view="gate", prompt="")
    for _ in range(8):
        frames = show(walk, [STAND]).astype(np.int64)
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 0.15
