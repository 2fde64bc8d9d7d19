"""Clips of saved walks: the frames that the walker saw."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, TURN, cut, go_on, open_walk, walk_about
from worldplay.clips.saved_walk import plan_saved_walk
from worldplay.engine.clip_run import ClipJob, ClipRun
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.world.live_walk import LiveWalk
from worldplay.world.snapshot import Snapshot
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


def frames_of_clip(world: World, snapshot: Snapshot) -> list[bytes]:
    keeper = Frameskeeper()
    job = ClipJob(plan_saved_walk(snapshot).request, keeper, lambda: None)
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
    plan = plan_saved_walk(walk_about(world, prompt="by day").snapshot())
    assert plan.request.walk.prompt == "by day"
    assert plan.request.prompts == {2: "at night"}
    assert plan.request.cuts == [[], [1, 3], []]
    assert (plan.num_frames, plan.seed) == (45, 5)
