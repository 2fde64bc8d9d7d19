"""In a world in which nothing moves by itself, the picture stays while the view does."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from support.rollouts import ROLLOUT, Script, latents_of, make_rollout_model, new_walk
from support.tiny_world import ROLLOUT as OF_WORLD
from support.tiny_world import make_world
from support.walks import cut, go_on, open_walk
from worldplay.world.camera import DEFAULT_INTRINSICS, Motion, motion_between
from worldplay.world.courtyard.ground import WalkGround
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.rollout import ChunkRollout, begin_chunk
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import PosedCamera, TrajectorySteering
from worldplay.world.walk import Walk
from worldplay.world.world import World

COUNT = ROLLOUT.chunk_latents
STAND, TURN = Motion(), Motion(yaw=0.1)


def make_model(*, is_still: bool) -> RolloutModel:
    return replace(make_rollout_model(), config=replace(ROLLOUT, is_still=is_still))


def note_noise(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note from which latent's counter each noise was drawn."""
    drawn = list[int]()
    draw = Walk.draw_noise

    def note(self: Walk, start: int, num_latents: int) -> Tensor:
        drawn.append(start // COUNT)
        return draw(self, start, num_latents)

    monkeypatch.setattr(Walk, "draw_noise", note)
    return drawn


@pytest.mark.parametrize(
    ("is_still", "expected"),
    [(True, [0, 0, 2, 3, 3, 3, 3, 7]), (False, [0, 1, 2, 3, 4, 5, 6, 7])],
)
def test_noise_is_held_after_a_chunk_in_which_the_view_stayed(
    is_still: bool, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks 0, 3 and 4 stand, chunk 2 in its second half, chunk 5 after a turn at its first latent."""
    model, drawn = make_model(is_still=is_still), note_noise(monkeypatch)
    walk = new_walk(model)
    motions = [STAND] * 4 + [TURN] * 4 + [TURN, TURN, STAND, STAND] + [STAND] * 8 + [TURN] + [STAND] * 3
    motions += [TURN] * 8
    play(model, walk, motions[1:])
    assert drawn == expected


def play(model: RolloutModel, walk: Walk, moves: Sequence[Motion | PosedCamera]) -> None:
    steering = TrajectorySteering(list(moves))
    for _ in range((1 + len(moves)) // COUNT):
        begin_chunk(model, walk, steering).finish()


def test_another_zoom_is_another_view(monkeypatch: pytest.MonkeyPatch) -> None:
    model, drawn = make_model(is_still=True), note_noise(monkeypatch)
    nearer = DEFAULT_INTRINSICS * [[1.5], [1.5], [1.0]]
    same, other = PosedCamera(np.eye(4)), PosedCamera(np.eye(4), intrinsics=nearer)
    play(model, new_walk(model), [same] * 3 + [same, same, other, other] + [other] * 8)
    assert drawn == [0, 0, 2, 2]


def test_walk_that_goes_on_after_a_rewind_has_the_same_noise() -> None:
    model = make_model(is_still=True)
    walk = new_walk(model)
    play(model, walk, [STAND] * (4 * COUNT - 1))
    before = latents_of(walk)
    walk.truncate(2 * COUNT)
    for _ in range(2):
        begin_chunk(model, walk, Script(lambda chunk: STAND)).finish()
    assert np.array_equal(latents_of(walk).numpy(), before.numpy())


def test_cut_has_the_noise_of_its_chunk() -> None:
    """The noise depends only on what came before the chunk, so a cut steered as before changes nothing."""
    model = make_model(is_still=True)
    walk = new_walk(model)
    play(model, walk, [STAND] * (2 * COUNT - 1))
    rollout = ChunkRollout(model, walk)
    rollout.begin(TrajectorySteering([STAND, TURN, TURN, TURN])).finish()
    before = latents_of(walk)
    rollout.cut(2, TrajectorySteering([TURN, TURN])).finish()
    assert np.array_equal(latents_of(walk).numpy(), before.numpy())


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


def test_a_step_that_is_refused_keeps_the_view() -> None:
    """In the ground's axes, and back: rounding moves the camera by less than is seen."""
    ground = WalkGround(VIEWPOINTS[1].c2w)
    pose = ground.move(np.eye(4), Motion(yaw=0.3))[0]
    again = ground.move(pose, STAND)[0]
    assert not motion_between(pose, again).is_visible
    assert motion_between(pose, ground.move(pose, Motion(yaw=1e-4))[0]).is_visible
