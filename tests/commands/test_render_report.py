"""What is said of a clip that is finished."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from support.clips import decode, make_plan, render_options, write
from support.tiny_world import make_world
from worldplay.commands.render import run
from worldplay.commands.render_report import describe, summarise
from worldplay.settings import load_settings


@pytest.mark.slow
def test_metadata_makes_the_same_clip_again(tmp_path: Path) -> None:
    first, again = tmp_path / "first.mp4", tmp_path / "again.mp4"
    # The attention that is fastest in this moment would be another one in the next.
    settings, metadata = load_settings(device="cpu", attention="sdpa"), tmp_path / "first.json"
    run(settings, render_options(first, pose="w-2,right-3,d-2", seed=5, metadata=metadata, steps=2))
    made = json.loads(metadata.read_text())
    assert (made["seed"], made["frames"], made["steps"], made["labels"][:3]) == (5, 29, 2, [0, 9, 9])
    run(settings, render_options(again, pose=str(metadata), metadata=tmp_path / "again.json"))
    repeated = json.loads((tmp_path / "again.json").read_text())
    assert (repeated["seed"], repeated["steps"], repeated["labels"]) == (5, 2, made["labels"])
    np.testing.assert_allclose(repeated["poses"], made["poses"], atol=1e-12)
    shown, expected = (np.stack(decode(path.read_bytes())).astype(int) for path in (again, first))
    assert np.abs(shown - expected).mean() < 1


def test_description_and_summary_hold_what_was_made(tmp_path: Path) -> None:
    world, out = make_world(), tmp_path / "clip.mp4"
    plan = make_plan(world, num_frames=29, steps=1)
    record = write(world, plan, out)
    described = describe(world, plan, record, image=None)
    assert (described["model"], described["size"], described["frames"]) == ("tiny", [48, 32], 29)
    assert (described["seed"], described["steps"], described["labels"]) == (7, 1, [0, *[9] * 7])
    assert np.asarray(described["poses"]).shape == (8, 16)
    assert "intrinsics" not in described
    summary = summarise(world, plan, record, out)
    assert summary.startswith(f"{out}: 29 frames of 48x32 in ")
    assert re.search(r"; seed 7\nseconds: select \S+, context \S+, denoise \S+, decode \S+, encode ", summary)
