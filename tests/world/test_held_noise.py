"""A chunk after one in which the view stayed has its noise, if the model asks for that."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from torch import Tensor

from support.rollouts import ROLLOUT, Script, latents_of, make_rollout_model, new_walk
from worldplay.world.camera import DEFAULT_INTRINSICS, Motion
from worldplay.world.rollout import ChunkRollout, begin_chunk
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import PosedCamera, TrajectorySteering
from worldplay.world.walk import Walk

COUNT = ROLLOUT.chunk_latents
STAND, TURN = Motion(), Motion(yaw=0.1)


def make_model(*, holds_noise: bool) -> RolloutModel:
    return replace(make_rollout_model(), config=replace(ROLLOUT, holds_noise=holds_noise))


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
    ("holds_noise", "expected"),
    [(True, [0, 0, 2, 3, 3, 3, 3, 7]), (False, [0, 1, 2, 3, 4, 5, 6, 7])],
)
def test_noise_is_held_after_a_chunk_in_which_the_view_stayed(
    holds_noise: bool, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks 0, 3 and 4 stand, chunk 2 in its second half, chunk 5 after a turn at its first latent."""
    model, drawn = make_model(holds_noise=holds_noise), note_noise(monkeypatch)
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
    model, drawn = make_model(holds_noise=True), note_noise(monkeypatch)
    nearer = DEFAULT_INTRINSICS * [[1.5], [1.5], [1.0]]
    same, other = PosedCamera(np.eye(4)), PosedCamera(np.eye(4), intrinsics=nearer)
    play(model, new_walk(model), [same] * 3 + [same, same, other, other] + [other] * 8)
    assert drawn == [0, 0, 2, 2]


def test_walk_that_goes_on_after_a_rewind_has_the_same_noise() -> None:
    model = make_model(holds_noise=True)
    walk = new_walk(model)
    play(model, walk, [STAND] * (4 * COUNT - 1))
    before = latents_of(walk)
    walk.truncate(2 * COUNT)
    for _ in range(2):
        begin_chunk(model, walk, Script(lambda chunk: STAND)).finish()
    assert np.array_equal(latents_of(walk).numpy(), before.numpy())


def test_cut_has_the_noise_of_its_chunk() -> None:
    """The noise depends only on what came before the chunk, so a cut steered as before changes nothing."""
    model = make_model(holds_noise=True)
    walk = new_walk(model)
    play(model, walk, [STAND] * (2 * COUNT - 1))
    rollout = ChunkRollout(model, walk)
    rollout.begin(TrajectorySteering([STAND, TURN, TURN, TURN])).finish()
    before = latents_of(walk)
    rollout.cut(2, TrajectorySteering([TURN, TURN])).finish()
    assert np.array_equal(latents_of(walk).numpy(), before.numpy())
