"""Routes go where they say, every time."""

from collections.abc import Callable

import numpy as np
import pytest

from evaluation.routes import Loop, held_out, hold, keyboard, out_and_back, out_and_backwards, turn_round
from training.data import HELD_OUT_SEED, plan_walk
from worldplay.world.camera import Motion, label_actions
from worldplay.world.courtyard.views import VIEWPOINTS


@pytest.mark.parametrize("index", [0, 1, 2])
def test_held_out_walks_are_those_of_the_plan(index: int) -> None:
    plan = plan_walk(HELD_OUT_SEED + index, 80, from_view=True)
    np.testing.assert_allclose(held_out(index, 20).c2w(), plan.c2w, atol=1e-9)


def test_a_longer_walk_begins_as_the_shorter_one() -> None:
    assert held_out(3, 20).motions[:39] == held_out(3, 10).motions


def test_every_combination_of_the_keyboard_has_a_label_of_its_own() -> None:
    labels = [label_actions(hold(0, keys, 1).c2w(), None)[1] for keys in keyboard()]
    assert sorted(labels) == list(range(81))


@pytest.mark.parametrize("yaws_deg", [(3.0,), (-3.0,), (3.0, 0.0), (7.5,)])
@pytest.mark.parametrize("view", range(len(VIEWPOINTS)))
def test_a_turn_comes_round_and_stands_still_at_the_end_of_a_chunk(
    view: int, yaws_deg: tuple[float, ...]
) -> None:
    loop = turn_round("", view, yaws_deg)
    c2w = loop.route.c2w()
    np.testing.assert_allclose(c2w[0], VIEWPOINTS[view].c2w)
    for visit in loop.visits:
        np.testing.assert_allclose(c2w[visit.again], c2w[visit.first], atol=1e-9)
        np.testing.assert_allclose(c2w[visit.again], c2w[visit.again - 1])
        assert visit.again % 4 == 3
    assert len(c2w) == loop.visits[-1].again + 1
    quarter = c2w[loop.visits[1].first][:3, 2] @ c2w[0][:3, 2]
    assert quarter == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("way", [out_and_back, out_and_backwards])
@pytest.mark.parametrize("view", range(len(VIEWPOINTS)))
def test_walks_out_come_back_without_bumping(view: int, way: Callable[[int, int], Loop]) -> None:
    loop = way(view, 20)
    c2w = loop.route.c2w()
    assert loop.route.num_bumps() == 0
    assert np.linalg.norm(c2w[:, :3, 3] - c2w[0, :3, 3], axis=1).max() > 0.5
    np.testing.assert_allclose(c2w[loop.visits[0].again], c2w[0], atol=1e-9)


def test_every_cut_of_a_chunk_knows_the_moves_up_to_the_next_one() -> None:
    route = held_out(0, 2)
    *_, whole, first, second = route.latches({1: [1, 3]})
    moves = list(route.motions[3:7])
    assert whole == [moves[0]] * 4
    assert first == [moves[1], moves[2], moves[2]]
    assert second == moves[3:]
    assert route.latches({})[1] == moves


def test_first_chunk_has_a_latent_without_a_move() -> None:
    moves = list(held_out(0, 1).motions[:3])
    assert held_out(0, 1).latches({0: [1, 2]}) == [[Motion()] * 3, [moves[0]] * 3, [moves[1], moves[2]]]
