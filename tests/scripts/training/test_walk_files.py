"""Walks in a folder: what is drawn of a plan, and how it is read back."""

from pathlib import Path

import numpy as np
import pytest

from training import walk_files
from training.data import HELD_OUT_SEED, plan_walk
from training.walk_files import load_plan, make_drawer, render_walks
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.renderer import render


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_files, "HEIGHT", 12)
    monkeypatch.setattr(walk_files, "WIDTH", 20)


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("seed", [2, 3])
def test_walks_have_four_frames_a_latent_after_the_first(tmp_path: Path, seed: int, at_once: int) -> None:
    assert list(render_walks(tmp_path, [seed], 3, make_drawer(2, "cpu"), at_once)) == [seed]
    assert np.load(tmp_path / f"{seed}.npy").shape == (9, 24, 40, 3)
    plan, planned = load_plan(tmp_path, seed), plan_walk(seed, 3, from_view=seed == 2)
    assert plan.view == planned.view
    np.testing.assert_array_equal(plan.c2w, planned.c2w)


def test_every_frame_is_what_the_courtyard_looks_like_in_the_light_of_its_latent(tmp_path: Path) -> None:
    seed = HELD_OUT_SEED + 2
    list(render_walks(tmp_path, [seed], 2, make_drawer(1, "cpu"), at_once=16))
    plan = load_plan(tmp_path, seed)
    expected = render(plan.c2w[:1], 12, 20, LIGHTS[plan.lights[0]])
    np.testing.assert_array_equal(np.load(tmp_path / f"{seed}.npy")[:1], expected)
