"""Clips from the command line, made by the embedded world."""

import io
import json
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from support.fakes import FakeClock, Recorder
from worldplay.clips.file import Record, count_passes, write_clip
from worldplay.clips.key_overlay import draw_keys, keys_of
from worldplay.clips.plan import ClipOptions, ClipPlan, plan_clip
from worldplay.commands.render import RenderOptions, run
from worldplay.engine.admission import Admission
from worldplay.engine.clip_run import ClipJob, ClipRequest
from worldplay.engine.session import Session
from worldplay.engine.worker import Worker
from worldplay.model.vae import StreamingVAE
from worldplay.settings import load_settings
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.steering import TrajectorySteering, WalkRequest
from worldplay.world.world import LiveWalk, World


def plan(world: World, **options: object) -> ClipPlan:
    return plan_clip(world, ClipOptions(**{"prompt": "", "seed": 7, **options}))  # type: ignore[arg-type]


def decode(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data), "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def render(world: World, plan: ClipPlan, out: Path) -> Record:
    return write_clip(world, plan, out, lambda frames_done: None, overlay=False)


def options(out: Path, **given: object) -> RenderOptions:
    unset = dict.fromkeys(
        ("image", "view", "pose", "num_frames", "seed", "steps", "variant", "size", "metadata")
    )
    return RenderOptions(**{**unset, "out": out, "prompt": "", "overlay": False, **given})  # type: ignore[arg-type]


def test_large_picture_is_cut_before_the_model_is_asked(world: World) -> None:
    """Else whoever walks would wait for it."""
    picture = plan(world, num_frames=29, image=Image.new("RGB", (4000, 3000))).request.walk.picture
    assert picture is not None
    assert (picture.fitted.size, picture.siglip.size) == ((world.width, world.height), (720, 544))


def test_clip_has_the_frames_asked_for(world: World, tmp_path: Path) -> None:
    record = render(world, plan(world, num_frames=29), tmp_path / "clip.mp4")
    frames = decode((tmp_path / "clip.mp4").read_bytes())
    assert [frame.shape for frame in frames] == [(world.height, world.width, 3)] * 29
    assert [done.report.chunk.num_frames for done in record.chunks] == [13, 16]
    assert record.timings_ms().keys() == {"select", "context", "denoise", "decode", "encode"}


def test_file_that_is_still_growing_can_be_played(world: World, tmp_path: Path) -> None:
    render(world, plan(world, num_frames=29), tmp_path / "clip.mp4")
    data = (tmp_path / "clip.mp4").read_bytes()
    half = data[: data.rindex(b"moof", 0, len(data) // 2) - 4]
    assert 5 < len(decode(half)) < 29


@pytest.mark.slow
def test_metadata_makes_the_same_clip_again(tmp_path: Path) -> None:
    first, again = tmp_path / "first.mp4", tmp_path / "again.mp4"
    settings, metadata = load_settings(device="cpu"), tmp_path / "first.json"
    run(settings, options(first, pose="w-2,right-3,d-2", seed=5, metadata=metadata, steps=2))
    made = json.loads(metadata.read_text())
    assert (made["seed"], made["frames"], made["steps"], made["labels"][:3]) == (5, 29, 2, [0, 9, 9])
    run(settings, options(again, pose=str(metadata), metadata=tmp_path / "again.json"))
    repeated = json.loads((tmp_path / "again.json").read_text())
    assert (repeated["seed"], repeated["steps"], repeated["labels"]) == (5, 2, made["labels"])
    np.testing.assert_allclose(repeated["poses"], made["poses"], atol=1e-12)
    difference = np.abs(np.stack(decode(first.read_bytes())) - np.stack(decode(again.read_bytes())))
    assert difference.mean() < 1


def test_seed_decides(world: World, tmp_path: Path) -> None:
    files = [tmp_path / f"{index}.mp4" for index in range(3)]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        render(world, plan(world, num_frames=13, seed=seed), file)
    one, same, other = (file.read_bytes() for file in files)
    assert one == same != other


def test_own_picture_is_where_it_starts(world: World, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    settings, metadata = load_settings(device="cpu"), tmp_path / "a.json"
    run(
        settings,
        options(tmp_path / "a.mp4", image=picture, num_frames=13, overlay=True, metadata=metadata),
    )
    digest = sha256(picture.read_bytes()).hexdigest()
    assert json.loads(metadata.read_text())["image"] == {"path": str(picture), "sha256": digest}
    assert len(decode((tmp_path / "a.mp4").read_bytes())) == 13


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"num_frames": 14}, "num_frames: .* nearest is 13 or 29"),
        ({"pose": "w-5"}, "pose: expected .* got 21; nearest is 13 or 29"),
        ({"pose": "w-5", "num_frames": 29}, r"pose: expected poses for 8 latents \(7 motions\) .* got 6"),
        ({"pose": "jump-3"}, "pose: .* expected an action"),
        ({"view": "moon"}, "view: unknown view 'moon'; expected one of"),
        ({"variant": "ar-rl"}, "variant: expected 'embedded', which is loaded, got 'ar-rl'"),
        ({"width": 150}, "width: expected a multiple of 16, got 150"),
        ({"height": 480}, "height: expected 96, the size of the loaded model, got 480"),
        ({"steps": 0}, "num_inference_steps: expected 1 to 100, got 0"),
    ],
)
def test_wishes_that_cannot_be_met_say_why(world: World, given: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        plan(world, **given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"num_frames": 14}, r"^--frames: expected .* nearest is 13 or 29"),
        ({"size": "480x832"}, r"^--size: expected 160, the size of the loaded model, got 832$"),
        ({"view": "moon"}, r"^--view: unknown view 'moon'; expected one of"),
        ({"steps": 101}, r"^--steps: expected 1 to 100, got 101$"),
    ],
)
def test_option_at_fault_is_named(tmp_path: Path, given: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        run(load_settings(), options(tmp_path / "a.mp4", **given))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("one", "other"), [("out", "metadata"), ("out", "image"), ("metadata", "pose")])
def test_nothing_is_written_over_what_is_read_or_written_too(tmp_path: Path, one: str, other: str) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"poses": []}')
    given = {"out": tmp_path / "a.mp4", one: path, other: str(path) if other == "pose" else path}
    with pytest.raises(ValueError, match=r"expected two files for --\w+ and --\w+, got .*a.json for both"):
        run(load_settings(), options(**given))  # type: ignore[arg-type]
    assert path.read_text() == '{"poses": []}'


def test_full_disk_is_told_with_the_file_and_what_there_is_of_it(world: World) -> None:
    expected = r"^cannot write /dev/full: No space left on device; nothing of /dev/full can be played$"
    with pytest.raises(OSError, match=expected):
        render(world, plan(world, num_frames=13), Path("/dev/full"))


def test_failure_is_told_with_what_there_is_of_the_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_latent, calls = StreamingVAE.decode_latent, count()

    def fail_at_the_sixth(self: StreamingVAE, *arguments: Any) -> object:
        if next(calls) == 5:
            raise torch.OutOfMemoryError
        return decode_latent(self, *arguments)

    monkeypatch.setattr(StreamingVAE, "decode_latent", fail_at_the_sixth)
    out = tmp_path / "a.mp4"
    expected = r"^not enough memory for this clip: .*; the first 13 frames of .*a.mp4 can be played$"
    with pytest.raises(OSError, match=expected):
        render(world, plan(world, num_frames=29), out)
    assert len(decode(out.read_bytes())) >= 13


def test_other_shift_than_the_recorded_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing that is missing then is the model itself."""
    monkeypatch.setenv("WORLDPLAY_SHIFT", "9")
    settings = load_settings(model="hy-worldplay", weights_dir=tmp_path)
    walk = {"poses": [np.eye(4).tolist()] * 4, "shift": 5.0, "model": "ar-distilled"}
    with pytest.raises(OSError, match="worldplay download"):
        run(settings, options(tmp_path / "a.mp4", pose=json.dumps(walk)))
    shift, loading = capsys.readouterr().err.splitlines()
    assert shift == "the recorded walk's shift was 5.0, not 9.0: WORLDPLAY_SHIFT sets it"
    assert loading == "loading ar-distilled, which takes minutes"


def test_open_wishes_are_filled_in(world: World) -> None:
    ahead = plan(world, seed=None)
    assert (ahead.num_frames, ahead.request.num_chunks, ahead.pose) == (125, 8, "w-31")
    assert plan(world, seed=None).seed != ahead.seed
    assert plan(world, pose="w-3, right-4").num_frames == 29


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("pose.json", "{", "expected JSON"),
        ("pose.JSON", "{", "expected JSON"),
        ("pose.txt", "{", "expected JSON"),
        ("pose.json", "[" * 100_000, "expected JSON, got maximum recursion depth"),
        ("image.png", "no picture", "expected a PNG, JPEG or WebP"),
    ],
)
def test_bad_file_is_named(name: str, content: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    given = {"image": path} if name == "image.png" else {"pose": str(path)}
    with pytest.raises(ValueError, match=f"{name}: {problem}"):
        run(load_settings(), options(tmp_path / "clip.mp4", **given))
    assert not (tmp_path / "clip.mp4").exists()


WALK = {"view": "garden", "prompt": "rain", "seed": 3, "poses": [np.eye(4).tolist()] * 4}


def wish_of(world: World, monkeypatch: pytest.MonkeyPatch, **given: object) -> ClipOptions:
    """What `run` asks for, without the clip."""

    class Stop(Exception): ...

    wishes: list[ClipOptions] = []

    def stop(maker: object, wish: ClipOptions) -> ClipPlan:
        plan_clip(world, wish)
        wishes.append(wish)
        raise Stop

    monkeypatch.setattr("worldplay.commands.render.plan_clip", stop)
    with pytest.raises(Stop):
        run(load_settings(), options(Path("clip.mp4"), **given))
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
    walk = {**WALK, "steps": 2, "model": "embedded", "size": [160, 96]}
    assert wish_of(world, monkeypatch, pose=json.dumps(walk)).steps == 2
    assert capsys.readouterr().err == "from the recorded walk: view 'garden', seed 3, steps 2\n"
    walk |= {"model": "ar", "size": [832, 480]}
    assert wish_of(world, monkeypatch, pose=json.dumps(walk)).steps is None
    assert capsys.readouterr().err.splitlines() == [
        "from the recorded walk: view 'garden', seed 3",
        "the recorded walk's model was 'ar', not 'embedded'",
        "the recorded walk's size was 480x832, not 96x160",
    ]


def test_walk_that_began_at_a_picture_asks_for_it() -> None:
    walk = {**WALK, "image": {"path": "red.png", "sha256": "0" * 64}}
    problem = "expected --image, because the recorded walk began at a picture, red.png"
    with pytest.raises(ValueError, match=problem):
        run(load_settings(), options(Path("clip.mp4"), pose=json.dumps(walk)))


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
    beginning = {"model": "embedded", "size": [160, 96], "seed": 3, "view": "garden"}
    saved = {**beginning, "poses": [np.eye(4).reshape(16).tolist()] * 4, "labels": [0, 9, 9, 9]}
    wish = wish_of(world, monkeypatch, pose=json.dumps(saved), prompt=None)
    assert (wish.view, wish.seed, wish.prompt, wish.image) == ("garden", 3, "", None)
    planned = plan_clip(world, wish)
    assert [step.label for step in planned.trajectory.moves] == [9, 9, 9]
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
        run(load_settings(), options(Path("clip.mp4"), pose=json.dumps({**WALK, **field})))


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
    given: dict[str, object], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(model="hy-worldplay", variant="bidirectional", weights_dir=tmp_path)
    with pytest.raises((ValueError, OSError), match=problem):  # it would otherwise miss the weights
        run(settings, options(given.pop("out", tmp_path / "clip.mp4"), **given))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_at_every_pass(world: World, tmp_path: Path) -> None:
    told: list[int] = []
    clip = plan(world, num_frames=29, steps=3)
    write_clip(world, clip, tmp_path / "clip.mp4", told.append, overlay=False)
    assert told == [0] * (1 + 3) + [13] * (1 + 3)
    assert len(told) == count_passes(world, clip)


POSES = {"poses": [np.eye(4).tolist()] * 33}  # as the model's published example has


def test_longer_pose_is_cut_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, metadata = tmp_path / "clip.mp4", tmp_path / "clip.json"
    given = options(out, pose=json.dumps(POSES), num_frames=13, metadata=metadata, steps=1)
    run(load_settings(device="cpu"), given)
    assert capsys.readouterr().err == "--pose has 33 poses; the first 4 make 13 frames\n"
    assert len(json.loads(metadata.read_text())["poses"]) == 4
    assert len(decode(out.read_bytes())) == 13


@pytest.mark.parametrize(
    ("pose", "advice"),
    [
        (POSES, "got 129; nearest is 125 or 141: ask for 125 frames to leave out the last pose of 33"),
        ("w-6", "got 25; nearest is 13 or 29: ask for 13 frames to leave out the last 3 poses of 7"),
        ("w-1", "got 5; nearest is 13"),
    ],
)
def test_pose_that_makes_no_whole_chunks_says_what_to_cut(world: World, pose: object, advice: str) -> None:
    with pytest.raises(ValueError, match=f"^pose: expected 13, 29, .* {advice}$"):
        plan(world, pose=pose)


def test_longer_pose_is_cut_to_the_frames_that_are_asked_for(world: World) -> None:
    cut = plan(world, pose=POSES, num_frames=125)
    assert (cut.trajectory.num_latents, cut.num_unused_poses, cut.request.num_chunks) == (32, 1, 8)
    assert plan(world, pose="w-7", num_frames=13).trajectory.moves == plan(world, pose="w-3").trajectory.moves
    assert plan(world, pose="w-3").num_unused_poses == 0


@pytest.mark.parametrize(
    ("label", "keys"), [(0, ""), (9, "w"), (36, "a"), (10, "w→"), (5 * 9 + 8, "wd←↓"), (80, "sa←↓")]
)
def test_labels_are_keys(label: int, keys: str) -> None:
    assert keys_of(label) == set(keys)


def test_pressed_keys_are_bright() -> None:
    frames = np.full((2, 96, 160, 3), 128, np.uint8)
    drawn = draw_keys(frames, 9)
    assert drawn.shape == frames.shape
    assert (drawn[0] == drawn[1]).all()
    assert drawn[0].max() > 230
    assert draw_keys(frames, 0)[0].max() == 128
    assert (drawn[:, :48] == 128).all()


def test_large_keys_bear_letters() -> None:
    drawn = draw_keys(np.zeros((1, 480, 832, 3), np.uint8), 9)[0]
    key = drawn[480 - 24 - 2 * 48 : 480 - 24 - 48, 24 + 48 : 24 + 2 * 48]
    assert key.max() > 200
    assert (key[10:38, 10:38] == 0).any()  # a W on white


class Spy:
    """A world that remembers the walks it opened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.walks: list[LiveWalk] = []

    @property
    def fps(self) -> int:
        return self.world.fps

    def open_walk(self, request: WalkRequest) -> LiveWalk:
        self.walks.append(self.world.open_walk(request))
        return self.walks[-1]

    def free_memory(self) -> None:
        self.world.free_memory()


class Silent:
    """A receiver that wants nothing."""

    def on_opened(self) -> None: ...

    def on_pass(self) -> None: ...

    def on_chunk(self, report: object) -> None: ...

    def on_frames(self, frames: object, decode_ms: float) -> None: ...

    def on_finished(self) -> None: ...

    def on_failed(self, code: str, message: str) -> None:
        raise AssertionError(message)


def test_live_and_offline_make_equal_latents(world: World) -> None:
    """One worker, stage by stage: a session follows the trajectory, and a clip does, for the same noise."""
    spy, clock = Spy(world), FakeClock()
    worker = Worker(spy, Admission(1, 0), clock)
    trajectory = parse_trajectory("w-2,right-3,d-2")
    clip = ClipRequest(
        WalkRequest(seed=11, origin=trajectory.origin), TrajectorySteering(trajectory.moves), num_chunks=2
    )
    worker.clips.arrivals.append(ClipJob(clip, Silent(), lambda: None))
    for _ in range(4):  # opened, context, two steps: the session takes the caches in mid-chunk
        worker.run_once()
    listener = Recorder()
    session = Session(1, listener, clock, lambda: None)
    worker.arrivals.append(session)
    session.start(WalkRequest(prompt="", seed=11))
    session.poses(1, trajectory.moves)
    for _ in range(1000):
        worker.run_once()
        clock.advance(1)
    offline, live = spy.walks
    assert live.walk.labels.tolist() == offline.walk.labels.tolist() == [0, 9, 9, 1, 1, 1, 27, 27]
    assert [report.chunk.index for report in listener.reports] == [0, 1]
    frames = range(live.walk.num_latents)
    assert torch.equal(live.walk.latents.gather(frames), offline.walk.latents.gather(frames))
