"""`worldplay replay`, and clips of saved walks, with the embedded world."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from support.clips import decode, render_options
from support.forked import forking
from support.walks import AHEAD, go_on, open_walk
from worldplay import cli, loading
from worldplay.commands import render, replay
from worldplay.loading import tune
from worldplay.ranks.leader import Leader
from worldplay.ranks.orders import MakeModules
from worldplay.ranks.team import lead
from worldplay.settings import ModelSettings, load_settings
from worldplay.world.embedded import load
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.world import World


@pytest.fixture(autouse=True)
def _views_of_the_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not render the views again whenever the world is loaded: that takes most of the time."""
    monkeypatch.setattr(load, "render_views", lambda *_: world.views)


@pytest.fixture(scope="module")
def saved(world: World) -> bytes:
    with torch.inference_mode():
        walk = open_walk(world)
        go_on(walk, [AHEAD])
        walk.set_prompt("the courtyard at night")
        go_on(walk, [AHEAD])
        return write_snapshot(walk.snapshot())


@pytest.fixture
def path(saved: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "walk.safetensors"
    path.write_bytes(saved)
    return path


@pytest.mark.slow
def test_saved_walk_is_made_again(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.run(load_settings(device="cpu"), path)
    assert capsys.readouterr().out == f"{path}: all 2 chunks are equal\n"


@pytest.mark.slow
def test_other_seed_is_noticed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"seed\\":5', b'\\"seed\\":6'))
    assert not replay.run(load_settings(device="cpu"), path)
    said = capsys.readouterr().out
    assert "2 of 2 chunks differ. The first is chunk 0" in said
    assert "went on with another --tier" in said  # the file names only the first one


@pytest.mark.slow
def test_tier_of_the_walk_is_used(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fast.safetensors"
    fast = tune(load_settings(device="cpu", tier="fast", attention="sdpa"), world)
    with torch.inference_mode():
        walk = open_walk(fast)
        for _ in range(4):
            go_on(walk, [AHEAD])
        path.write_bytes(write_snapshot(walk.snapshot()))
    assert replay.run(load_settings(device="cpu"), path)
    assert capsys.readouterr().out == f"{path}: all 4 chunks are equal\n"
    assert not replay.run(load_settings(device="cpu", tier="exact"), path)


@pytest.mark.slow
def test_clip_of_a_saved_walk(path: Path, tmp_path: Path) -> None:
    options = render_options(tmp_path / "a.mp4", pose=str(path), prompt=None, metadata=tmp_path / "a.json")
    render.run(load_settings(device="cpu"), options)
    assert len(decode((tmp_path / "a.mp4").read_bytes())) == 29


@pytest.mark.slow
def test_several_ranks_make_the_walk_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr(loading, "lead", count_ranks(started))
    threads = torch.get_num_threads()
    with forking():
        assert replay.run(load_settings(device="cpu", gpus=2), path)
    torch.set_num_threads(threads)
    assert started == [2]


def count_ranks(started: list[int]) -> Callable[..., AbstractContextManager[Leader]]:
    """Note how many ranks are started, and start them."""

    def start(
        size: int, kind: str, make: MakeModules, longest_wait_s: float
    ) -> AbstractContextManager[Leader]:
        started.append(size)
        return lead(size, kind, make, longest_wait_s)

    return start


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"gpus": 3}, "expected --gpus 1, 2, 4, which divide the model's 4 heads, got 3"),
        ({"gpus": 2, "device": "auto"}, "--gpus 2 needs GPUs, and finds none"),
    ],
)
def test_ranks_that_cannot_be_are_refused_for_a_saved_walk(
    given: dict[str, object], expected: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> World:
        raise AssertionError("it was loaded")

    monkeypatch.setattr(loading, "load_embedded", refuse)
    settings = load_settings(**{"device": "cpu", **given})
    options = render_options(tmp_path / "a.mp4", pose=str(path), prompt=None)
    for run in (lambda: render.run(settings, options), lambda: replay.run(settings, path)):
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
            run()


def test_ranks_compute_in_the_tier_of_the_saved_walk(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []

    def start(settings: ModelSettings, *_: object) -> None:
        asked.append((settings.gpus, settings.tier))
        raise ValueError("enough")

    monkeypatch.setattr(loading, "start_ranks", start)
    path = tmp_path / "balanced.safetensors"
    with torch.inference_mode():
        walk = open_walk(tune(load_settings(device="cpu", tier="balanced", attention="sdpa"), world))
        go_on(walk, [AHEAD])
        path.write_bytes(write_snapshot(walk.snapshot()))
    with pytest.raises(ValueError, match=r"^enough$"):
        replay.run(load_settings(device="cpu", gpus=2), path)
    assert asked == [(2, "balanced")]


def test_replay_takes_ranks_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def run(settings: ModelSettings, path: Path) -> bool:
        asked.append(settings.gpus)
        return True

    monkeypatch.setattr(replay, "run", run)
    assert CliRunner().invoke(cli.app, ["replay", "a.safetensors", "--gpus", "2"]).exit_code == 0
    assert asked == [2]


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
