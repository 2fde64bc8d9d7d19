"""A world that shows the truth gets full marks, so that no frame is compared with its neighbour's."""

from pathlib import Path

import numpy as np
import pytest

from evaluation import actions, loops, rollouts, standing
from evaluation.lab import Lab, Played, by_chunk
from evaluation.metrics import EQUAL_DB
from evaluation.routes import Route
from evaluation.variations import SERVED
from support.drawn_truth import draw_poses
from support.tiny_world import make_world
from worldplay.world.world import World


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab(make_world(), tmp_path)

    def play_truth(world: World, route: Route, prompts: dict[int, str] | None = None) -> Played:
        return Played(by_chunk(lab.truth(route.c2w()[: 4 * route.num_chunks], "day")), [], [])

    for section in (loops, actions, rollouts, standing):
        monkeypatch.setattr(section, "play", play_truth)
    return lab


@pytest.mark.parametrize("kind", range(len(loops.KINDS)))
def test_every_loop_closes(lab: Lab, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.lab.render", draw_poses)
    for once_more in loops.run_loop(lab, kind, 0, SERVED):
        assert once_more.truth.psnr == once_more.first.psnr == once_more.first_truth_db == EQUAL_DB


@pytest.mark.parametrize("turn_deg", standing.TURNS_DEG)
def test_a_true_picture_stays(lab: Lab, turn_deg: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.lab.render", draw_poses)
    monkeypatch.setattr(standing, "CHUNKS", 6)
    stand = standing.run_stand(lab, 1, turn_deg)
    assert (stand.truth.psnr, stand.within, stand.between) == (EQUAL_DB, 0, 0)


def test_every_chunk_is_right(lab: Lab) -> None:
    outcome = rollouts.run_walk(lab, 0, "day", SERVED, 3)
    assert [score.psnr for score in outcome.scores] == [EQUAL_DB] * 3


@pytest.mark.parametrize("keys", ["w left", "", "s d up"])
def test_what_a_key_does_is_what_is_true_of_it(lab: Lab, keys: str) -> None:
    assert np.array_equal(actions.run_action(lab, 1, keys, 2), actions.run_truth(lab, 1, keys, 2))


def test_no_picture_at_all_is_what_its_mean_is_worth(lab: Lab) -> None:
    references = rollouts.run_references(lab, 0, 1)
    flat, repeated = (references[name].scores[0].psnr for name in (rollouts.FLAT, rollouts.REPEATED))
    assert 10 < flat < repeated < EQUAL_DB
