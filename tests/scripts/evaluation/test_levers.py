"""The table of the tiers' levers, over walks of a tiny world."""

from pathlib import Path

import pytest

import eval_world
from evaluation import levers
from evaluation.lab import Lab
from evaluation.report import RESULTS, read_results
from evaluation.workers import here
from support.drawn_truth import draw_poses
from support.short_loop import shorten_loop
from support.tiny_world import SCALE, make_world


@pytest.mark.slow
def test_every_lever_and_tier_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_loop(monkeypatch)
    world = make_world()
    world.rollout.transformer.requires_grad_(False).pack()
    monkeypatch.setattr("evaluation.lab.render", draw_poses)
    workers = here(Lab(world, tmp_path / "renders"), tmp_path / "strips")
    eval_world.evaluate(workers, ["levers"], SCALE, tmp_path, {})
    rows = read_results(tmp_path / RESULTS)["sections"]["levers"]["rows"]
    assert [row[""] for row in rows] == [
        "as served",
        "context kept, newest 8 encoded",
        "context kept, newest 4 encoded",
        "8-bit linears",
        "8-bit attention",
        "1 steps",
        "tier balanced",
        "tier fast",
    ]
    exact, kept = rows[:2]
    assert exact["to the exact path"] == 99.0
    assert isinstance(kept["to the exact path"], float)
    assert kept["to the exact path"] < 99.0
    assert kept["MB"] > exact["MB"]
    assert (tmp_path / "strips" / "levers.png").exists()


def test_loop_returns_to_a_view_in_its_last_chunk() -> None:
    route, quarter = levers._choose_route(0, loops=True)
    assert (route.num_chunks, quarter) == (levers.CHUNKS, 15)
    assert route.c2w()[-1] == pytest.approx(route.c2w()[quarter], abs=1e-9)
