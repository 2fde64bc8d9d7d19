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
from training.walk_files import HEIGHT, WIDTH, Drawer
from worldplay.world.embedded.load import load_embedded

SECOND = 1 / 60


def make_colourer(scale: int, device: str, look: None) -> Drawer:
    """Prepare to colour frames by the pose: no court is rendered."""
    ramp = torch.linspace(0, 255, WIDTH * scale)[:, None].expand(HEIGHT * scale, -1, 3)
    return lambda c2w, light: (c2w[:, None, None, :3, 2].abs() * ramp).to(torch.uint8)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "compile_look", lambda: None)
    monkeypatch.setattr(stages, "make_drawer", make_colourer)
    monkeypatch.setattr(stages, "WALK_LATENTS", 16)
    monkeypatch.setattr(stages, "HELD_OUT_LATENTS", 16)
    monkeypatch.setattr(stages, "HELD_OUT_WALKS", 4)
    monkeypatch.setattr(stages, "read_prompts", partial(read_prompts, count=50))
    monkeypatch.setattr(stages, "ON_CPU", replace(ON_CPU, samples=1, refresh_steps=1, drawers=1))
    monkeypatch.setattr(text_stage, "STEPS", 20)
    monkeypatch.setattr(text_stage, "BATCH", 2)
    monkeypatch.setattr(vae_stage, "PARTS", replace(PARTS, num_streams=1, longest=2))
    monkeypatch.setattr(vae_stage, "WHOLE", replace(WHOLE, num_streams=1, longest=2))
    monkeypatch.setattr(vae_stage, "HELD_OUT_FRAMES", 9)


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
