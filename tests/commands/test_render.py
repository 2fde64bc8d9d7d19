"""Clips from the command line, made by the embedded world."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.clips import decode, render_options
from support.paths import ENVIRONMENT
from worldplay.clips.plan import ClipOptions, ClipPlan, plan_clip
from worldplay.commands.render import run
from worldplay.settings import load_settings
from worldplay.world.steering import PosedCamera
from worldplay.world.world import World


def test_own_picture_is_where_it_starts(world: World, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    settings, metadata = load_settings(device="cpu"), tmp_path / "a.json"
    run(
        settings,
        render_options(tmp_path / "a.mp4", image=picture, num_frames=13, overlay=True, metadata=metadata),
    )
    digest = sha256(picture.read_bytes()).hexdigest()
    assert json.loads(metadata.read_text())["image"] == {"path": str(picture), "sha256": digest}
    assert len(decode((tmp_path / "a.mp4").read_bytes())) == 13


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"num_frames": 14}, r"^--frames: expected .* nearest is 13 or 29"),
        ({"size": "480x832"}, r"^--size: expected 320, the size of the loaded model, got 832$"),
        ({"view": "moon"}, r"^--view: unknown view 'moon'; expected one of"),
        ({"steps": 101}, r"^--steps: expected 1 to 100, got 101$"),
    ],
)
def test_option_at_fault_is_named(tmp_path: Path, given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        run(load_settings(), render_options(tmp_path / "a.mp4", **given))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("one", "other"), [("out", "metadata"), ("out", "image"), ("metadata", "pose")])
def test_nothing_is_written_over_what_is_read_or_written_too(tmp_path: Path, one: str, other: str) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"poses": []}')
    given: dict[str, Any] = {
        "out": tmp_path / "a.mp4",
        one: path,
        other: str(path) if other == "pose" else path,
    }
    with pytest.raises(ValueError, match=r"expected two files for --\w+ and --\w+, got .*a.json for both"):
        run(load_settings(), render_options(**given))
    assert path.read_text() == '{"poses": []}'


def test_other_shift_than_the_recorded_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing that is missing then is the model itself."""
    monkeypatch.setenv("WORLDPLAY_SHIFT", "9")
    settings = load_settings(model="hy-worldplay", weights_dir=tmp_path)
    walk = {"poses": [np.eye(4).tolist()] * 4, "shift": 5.0, "model": "ar-distilled"}
    with pytest.raises(OSError, match="worldplay download"):
        run(settings, render_options(tmp_path / "a.mp4", pose=json.dumps(walk)))
    shift, loading = capsys.readouterr().err.splitlines()
    assert shift == "the recorded walk's shift was 5.0, not 9.0: WORLDPLAY_SHIFT sets it"
    assert loading == "loading ar-distilled, which takes minutes"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("pose.json", "{", "expected JSON"),
        ("pose.JSON", "{", "expected JSON"),
        ("pose.txt", "{", "expected JSON"),
        ("pose.json", "[" * 100_000, "expected JSON: maximum recursion depth"),
        ("image.png", "no picture", "expected a PNG, JPEG or WebP"),
    ],
)
def test_bad_file_is_named(name: str, content: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    given = {"image": path} if name == "image.png" else {"pose": str(path)}
    with pytest.raises(ValueError, match=f"{name}: {problem}"):
        run(load_settings(), render_options(tmp_path / "clip.mp4", **given))
    assert not (tmp_path / "clip.mp4").exists()


WALK = {"view": "garden", "prompt": "rain", "seed": 3, "poses": [np.eye(4).tolist()] * 4}


def wish_of(world: World, monkeypatch: pytest.MonkeyPatch, **given: Any) -> ClipOptions:
    """What `run` asks for, without the clip."""

    class Stop(Exception): ...

    wishes: list[ClipOptions] = []

    def stop(maker: object, wish: ClipOptions) -> ClipPlan:
        plan_clip(world, wish)
        wishes.append(wish)
        raise Stop

    monkeypatch.setattr("worldplay.commands.render.plan_clip", stop)
    with pytest.raises(Stop):
        run(load_settings(), render_options(Path("clip.mp4"), **given))
    return wishes[0]


def test_recorded_walk_begins_as_it_did(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wish = wish_of(world, monkeypatch, pose=json.dumps(WALK), prompt=None)
    assert (wish.view, wish.prompt, wish.seed) == ("garden", "rain", 3)
    assert capsys.readouterr().err == "from the recorded walk: view 'garden', prompt 'rain', seed 3\n"


def test_given_options_win_over_the_recorded_walk(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    walk = {**WALK, "steps": 2}
    wish = wish_of(world, monkeypatch, pose=json.dumps(walk), prompt="", image=picture, seed=0, steps=3)
    assert (wish.view, wish.prompt, wish.seed, wish.steps) == (None, "", 0, 3)
    assert capsys.readouterr().err == ""


def test_steps_are_recalled_unless_another_model_took_them(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = {**WALK, "steps": 2, "model": "embedded", "size": [320, 192]}
    assert wish_of(world, monkeypatch, pose=json.dumps(walk)).steps == 2
    assert capsys.readouterr().err == "from the recorded walk: view 'garden', seed 3, steps 2\n"
    walk |= {"model": "ar", "size": [832, 480]}
    assert wish_of(world, monkeypatch, pose=json.dumps(walk)).steps is None
    assert capsys.readouterr().err.splitlines() == [
        "from the recorded walk: view 'garden', seed 3",
        "the recorded walk's model was 'ar', not 'embedded'",
        "the recorded walk's size was 480x832, not 192x320",
    ]


def test_walk_that_began_at_a_picture_asks_for_it() -> None:
    walk = {**WALK, "image": {"path": "red.png", "sha256": "0" * 64}}
    problem = "expected --image, because the recorded walk began at a picture, red.png"
    with pytest.raises(ValueError, match=problem):
        run(load_settings(), render_options(Path("clip.mp4"), pose=json.dumps(walk)))


def test_walk_that_began_at_a_picture_may_begin_at_a_view_instead(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = {**WALK, "view": None, "image": {"path": "red.png", "sha256": "0" * 64}}
    assert wish_of(world, monkeypatch, pose=json.dumps(walk), view="garden").view == "garden"
    said = "the recorded walk began at a picture, not at the view 'garden'\nfrom the recorded walk: seed 3\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("recorded", ["its digest", "another", None])
def test_another_picture_than_the_recorded_one_is_told(
    world: World,
    recorded: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    digest = sha256(picture.read_bytes()).hexdigest() if recorded == "its digest" else recorded
    image = {"path": "old.png"} if digest is None else {"path": "old.png", "sha256": digest}
    walk = {**WALK, "image": image}
    wish = wish_of(world, monkeypatch, pose=json.dumps(walk), image=picture)
    assert wish.image is not None
    assert wish.view == "garden"  # the ground on which the picture was put
    said = f"the recorded walk's picture, old.png, was not {picture}\n"
    assert capsys.readouterr().err == "from the recorded walk: view 'garden', seed 3\n" + said * (
        recorded == "another"
    )


def test_walk_that_the_page_saved_is_walked_again(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the visitor's picture, for which a view stood."""
    beginning = {"model": "embedded", "size": [320, 192], "seed": 3, "view": "garden"}
    saved = {**beginning, "poses": [np.eye(4).reshape(16).tolist()] * 4, "labels": [0, 9, 9, 9]}
    wish = wish_of(world, monkeypatch, pose=json.dumps(saved), prompt=None)
    assert (wish.view, wish.seed, wish.prompt, wish.image) == ("garden", 3, "", None)
    planned = plan_clip(world, wish)
    moves = planned.trajectory.moves
    assert [move.label for move in moves if isinstance(move, PosedCamera)] == [9, 9, 9]
    assert capsys.readouterr().err == "from the recorded walk: view 'garden', seed 3\n"


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"view": 3}, "view: expected a string, got 3"),
        ({"steps": 101}, "steps: expected at most 100, got 101"),
        ({"image": {"sha256": "0"}}, r"image\.path: expected this field, got none"),
    ],
)
def test_recorded_walk_says_what_is_wrong(field: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=f"pose: {problem}"):
        run(load_settings(), render_options(Path("clip.mp4"), pose=json.dumps({**WALK, **field})))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"num_frames": 29}, "--frames: expected 61, 125, .* nearest is 61"),
        ({"steps": 101}, "--steps: expected 1 to 100, got 101"),
        ({"view": "moon"}, "view: unknown view 'moon'; expected one of"),
        ({"out": Path("nowhere/clip.mp4")}, "cannot write nowhere/clip.mp4: expected a file in a folder"),
        ({"out": Path()}, r"cannot write \."),
        ({"metadata": Path("nowhere/clip.json")}, "cannot write nowhere/clip.json"),
        ({"pose": "w-5"}, "pose: expected .* nearest is 61"),
    ],
)
def test_what_cannot_be_is_said_before_the_model_is_loaded(
    given: dict[str, Any], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(model="hy-worldplay", variant="bidirectional", weights_dir=tmp_path)
    with pytest.raises((ValueError, OSError), match=problem):  # it would otherwise miss the weights
        run(settings, render_options(given.pop("out", tmp_path / "clip.mp4"), **given))
    assert list(tmp_path.iterdir()) == []


POSES = {"poses": [np.eye(4).tolist()] * 33}  # as the model's published example has


def test_longer_pose_is_cut_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, metadata = tmp_path / "clip.mp4", tmp_path / "clip.json"
    given = render_options(out, pose=json.dumps(POSES), num_frames=13, metadata=metadata, steps=1)
    run(load_settings(device="cpu"), given)
    assert capsys.readouterr().err == "--pose has 33 poses; the first 4 make 13 frames\n"
    assert len(json.loads(metadata.read_text())["poses"]) == 4
    assert len(decode(out.read_bytes())) == 13


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_summary_is_not_written_over_what_goes_to_stdout(tmp_path: Path, option: str) -> None:
    path, out = tmp_path / "clip", tmp_path / "other.mp4"
    command = [sys.executable, "-m", "worldplay", "render", "--frames", "13", option, "/dev/stdout"]
    command += [] if option == "--out" else ["--out", str(out)]
    with path.open("wb") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.PIPE, env={**os.environ, **ENVIRONMENT}, check=True
        )
    if option == "--out":
        assert len(decode(path.read_bytes())) == 13
    else:
        assert len(json.loads(path.read_text())["poses"]) == 4
    assert b"13 frames" in done.stderr


def test_closed_and_narrow_streams_do_not_end_a_command(tmp_path: Path) -> None:
    command = f"{sys.executable} -m worldplay render --frames 13 --out {tmp_path}/b\u00e9.mp4 2>&-"
    environment = {**os.environ, **ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True)
    assert done.returncode == 0
    assert len(decode((tmp_path / "b\u00e9.mp4").read_bytes())) == 13


def test_picture_may_come_through_a_pipe(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    data, pipe = (tmp_path / "red.png").read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    metadata = tmp_path / "clip.json"
    run(
        load_settings(device="cpu"),
        render_options(tmp_path / "a.mp4", image=pipe, num_frames=13, steps=1, metadata=metadata),
    )
    writer.join(10)
    assert json.loads(metadata.read_text())["image"] == {
        "path": str(pipe),
        "sha256": sha256(data).hexdigest(),
    }


def test_link_to_nowhere_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    link, loop = tmp_path / "a.mp4", tmp_path / "b.mp4"
    link.symlink_to(tmp_path / "nowhere" / "x.mp4")
    loop.symlink_to(loop)
    settings = load_settings(model="hy-worldplay", weights_dir=tmp_path)
    for path in (link, loop):
        with pytest.raises(OSError, match=f"cannot write {path}"):
            run(settings, render_options(path))
