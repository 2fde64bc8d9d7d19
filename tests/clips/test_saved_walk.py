"""Clips of saved walks: the frames that the walker saw."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from support.clips import decode, write
from support.tiny_world import make_world
from support.walks import AHEAD, TURN, cut, go_on, open_walk, walk_about
from worldplay.clips.plan import ClipOptions, ClipPlan, plan_clip
from worldplay.clips.saved_walk import own_picture, plan_saved_walk
from worldplay.commands.render_report import describe
from worldplay.engine.clip_run import ClipJob, ClipRun
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.world.live_walk import LiveWalk
from worldplay.world.pictures.fit import crop_picture
from worldplay.world.snapshot import Snapshot
from worldplay.world.steering import PosedCamera
from worldplay.world.world import World


class Frameskeeper:
    """A listener of a clip that keeps its frames."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def on_opened(self) -> None: ...

    def on_pass(self) -> None: ...

    def on_chunk(self, report: ChunkReport) -> None: ...

    def on_frames(self, frames: Frames, decode_ms: float) -> None:
        self.frames.append(frames.tobytes())

    def on_finished(self) -> None: ...

    def on_failed(self, code: str, message: str) -> None:
        raise AssertionError(message)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with torch.inference_mode():
        yield make_world()


def plan_of(world: World, snapshot: Snapshot) -> ClipPlan:
    assert snapshot.beginning is not None
    return plan_saved_walk(snapshot, world.find_view(snapshot.beginning.view).make_ground())


def frames_of_clip(world: World, snapshot: Snapshot) -> list[bytes]:
    keeper = Frameskeeper()
    job = ClipJob(plan_of(world, snapshot).request, keeper, lambda: None)
    run: Any = ClipRun(job, world, lambda: 0.0)
    while not run.is_done:
        job.allow_chunk()
        run.advance()
    return keeper.frames


def test_clip_shows_what_the_walker_saw(world: World) -> None:
    walk: LiveWalk = open_walk(world, prompt="by day")
    seen = [frames.tobytes() for frames in walk.decode(go_on(walk, [AHEAD]))]
    whole = walk.decode(go_on(walk, [AHEAD]))
    seen += [next(whole).tobytes(), next(whole).tobytes()]
    seen += [frames.tobytes() for frames in walk.decode(cut(walk, 2, [TURN]))]
    walk.set_prompt("at night")
    seen += [frames.tobytes() for frames in walk.decode(go_on(walk, [AHEAD]))]
    assert frames_of_clip(world, walk.snapshot()) == seen


def test_plan_names_every_cut_and_prompt(world: World) -> None:
    plan = plan_of(world, walk_about(world, prompt="by day").snapshot())
    assert plan.request.walk.prompt == "by day"
    assert plan.request.prompts == {2: "at night"}
    assert plan.request.cuts == [[], [1, 3], []]
    assert (plan.num_frames, plan.seed) == (45, 5)


def test_description_of_the_clip_makes_the_same_walk_again(world: World, tmp_path: Path) -> None:
    walk = walk_about(world, prompt="by day")
    lens = np.array([[0.7, 0, 0.5], [0, 0.9, 0.5], [0, 0, 1]])
    go_on(walk, [PosedCamera(np.eye(4), label=0, intrinsics=lens)])
    cut(walk, 1, [TURN])

    def describe_clip(plan: ClipPlan) -> dict[str, Any]:
        report = write(world, plan, tmp_path / "clip.mp4")
        described = describe(world, plan, report, image=None)
        return json.loads(json.dumps(described))  # type: ignore[no-any-return]

    def plan_again(recorded: dict[str, Any]) -> ClipPlan:
        options = ClipOptions(recorded["prompt"], view=recorded["view"], pose=recorded, seed=recorded["seed"])
        return plan_clip(world, options)

    plan = plan_of(world, walk.snapshot())
    described = describe_clip(plan)
    video = (tmp_path / "clip.mp4").read_bytes()
    again = describe_clip(plan_again(described))
    assert [cut["latent"] for cut in described["cuts"]] == [5, 7, 13]
    assert described["prompts"] == [{"latent": 8, "text": "at night"}]
    assert [again[name] for name in ("cuts", "prompts")] == [described[name] for name in ("cuts", "prompts")]
    assert all(
        np.array_equal(*pair)
        for pair in zip(decode(video), decode((tmp_path / "clip.mp4").read_bytes()), strict=True)
    )


def test_walk_that_began_at_a_picture_says_so(world: World) -> None:
    picture = crop_picture(Image.new("RGB", (64, 64), "red"), world.width, world.height)
    assert own_picture(walk_about(world, picture=picture).snapshot()) == {"path": "the visitor's picture"}
    assert own_picture(walk_about(world).snapshot()) is None
