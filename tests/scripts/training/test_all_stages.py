"""The recipe in miniature: every stage on what the one before left, from plans to a world to walk in."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.lab import play
from evaluation.routes import held_out
from train_world import PRESETS, STAGES, parse
from training import stages, text_stage, vae_stage
from training.prompt_book import read_prompts
from training.stages import ON_CPU
from training.vae_stage import PARTS, WHOLE
from worldplay.world.courtyard.paint import Colour
from worldplay.world.courtyard.rays import Vec
from worldplay.world.embedded.load import load_embedded

SECOND = 1 / 60


def look_in_colours(origin: Vec, ray: Vec, light: object) -> Colour:
    """Colour rays by their direction, at a small part of the court's cost."""
    return ray.x.abs(), ray.y.abs(), ray.z.abs()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "compile_look", lambda: look_in_colours)
    monkeypatch.setattr(stages, "WALK_LATENTS", 16)
    monkeypatch.setattr(stages, "HELD_OUT_LATENTS", 40)
    monkeypatch.setattr(stages, "HELD_OUT_WALKS", 4)
    monkeypatch.setattr(stages, "read_prompts", partial(read_prompts, count=50))
    monkeypatch.setattr(stages, "ON_CPU", replace(ON_CPU, samples=1, refresh_steps=1, drawers=1))
    monkeypatch.setattr(text_stage, "STEPS", 20)
    monkeypatch.setattr(text_stage, "BATCH", 8)
    monkeypatch.setattr(vae_stage, "PARTS", replace(PARTS, num_streams=1, longest=2))
    monkeypatch.setattr(vae_stage, "WHOLE", replace(WHOLE, num_streams=1, longest=2))
    monkeypatch.setattr(vae_stage, "HELD_OUT_FRAMES", 33)


@pytest.mark.slow
@pytest.mark.usefixtures("only_rank", "small")
def test_the_short_preset_leaves_a_world_to_walk_in(tmp_path: Path) -> None:
    times = ["--vae-minutes", str(2 * SECOND), "--minutes", str(SECOND)]
    amounts = ["--pictures", "2", "--walks", "4", "--drills", "2"]
    options = parse(["--preset", "short", "--folder", str(tmp_path / "run"), *times, *amounts])
    assert options.stages == PRESETS["short"]["stages"]
    for stage in options.stages:
        STAGES[stage](options)
    assert len(play(load_embedded(options.folder, torch.device("cpu")), held_out(0, 1)).frames) == 13
    assert sum(path.stat().st_size for path in options.folder.glob("*.safetensors")) < 17e6
    assert np.load(options.folder / "latents" / "0.npy").shape == (16, 32, 6, 10)
