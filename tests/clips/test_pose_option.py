"""What `render --pose` names: a saved walk, whatever its file is called, or JSON."""

from pathlib import Path

import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, go_on, open_walk
from worldplay.clips.pose_option import is_saved_walk
from worldplay.world.snapshot_file import write_snapshot


@pytest.fixture(scope="module")
def saved() -> bytes:
    with torch.inference_mode():
        walk = open_walk(make_world())
        go_on(walk, [AHEAD])
        return write_snapshot(walk.snapshot())


@pytest.mark.parametrize("name", ["walk.safetensors", "walk", "walk.bin", "walk.json"])
def test_saved_walk_is_known_by_any_name(tmp_path: Path, saved: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(saved)
    assert is_saved_walk(str(tmp_path / name))


@pytest.mark.parametrize("text", ["", "{}", '        {"poses": []}', "[[[1, 0, 0, 0]]]"])
def test_json_is_no_saved_walk(tmp_path: Path, text: str) -> None:
    (tmp_path / "path").write_text(text)
    assert not is_saved_walk(str(tmp_path / "path"))


@pytest.mark.parametrize("option", [None, "w-10", "missing.json", '{"poses": []}'])
def test_what_names_no_file_is_no_saved_walk(option: str | None) -> None:
    assert not is_saved_walk(option)
