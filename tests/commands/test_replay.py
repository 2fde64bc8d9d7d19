"""`worldplay replay`, and clips of saved walks, with the embedded world."""

from pathlib import Path

import pytest
import torch

from support.clips import decode, render_options
from support.walks import AHEAD, go_on, open_walk
from worldplay.commands import render, replay
from worldplay.settings import load_settings
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.world import World


@pytest.fixture
def path(world: World, tmp_path: Path) -> Path:
    with torch.inference_mode():
        walk = open_walk(world)
        go_on(walk, [AHEAD])
        walk.set_prompt("the courtyard at night")
        go_on(walk, [AHEAD])
        path = tmp_path / "walk.safetensors"
        path.write_bytes(write_snapshot(walk.snapshot()))
    return path


@pytest.mark.slow
def test_saved_walk_is_made_again(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.run(load_settings(device="cpu"), path)
    assert capsys.readouterr().out == f"{path}: all 2 chunks are equal\n"


@pytest.mark.slow
def test_other_seed_is_noticed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"seed\\":5', b'\\"seed\\":6'))
    assert not replay.run(load_settings(device="cpu"), path)
    assert "2 of 2 chunks differ. The first is chunk 0" in capsys.readouterr().out


@pytest.mark.slow
def test_clip_of_a_saved_walk(path: Path, tmp_path: Path) -> None:
    options = render_options(tmp_path / "a.mp4", pose=str(path), prompt=None, metadata=tmp_path / "a.json")
    render.run(load_settings(device="cpu"), options)
    assert len(decode((tmp_path / "a.mp4").read_bytes())) == 29


def test_other_options_have_no_effect(path: Path, tmp_path: Path) -> None:
    options = render_options(tmp_path / "a.mp4", pose=str(path), prompt=None, seed=3)
    with pytest.raises(ValueError, match=r"^--seed has no effect with a saved walk, .*walk.safetensors$"):
        render.run(load_settings(device="cpu"), options)


def test_file_that_is_no_walk(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a.safetensors: expected a safetensors file"):
        replay.run(load_settings(device="cpu"), path)
    with pytest.raises(OSError, match="cannot read"):
        replay.run(load_settings(device="cpu"), tmp_path / "b.safetensors")
