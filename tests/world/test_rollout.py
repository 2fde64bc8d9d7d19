"""Chunks from steering: late latching, cancellation, replay; the arithmetic itself is in the goldens."""

from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch

from support.rollouts import ROLLOUT, Script, latents_of, make_rollout_model, new_walk, rollout, spin, stroll
from worldplay.world import timing as stopwatch
from worldplay.world.camera import Motion, Pose
from worldplay.world.chunk import Chunk
from worldplay.world.context import Points, select_context
from worldplay.world.rollout import ChunkRollout
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import PosedCamera
from worldplay.world.walk import OpenGround


@pytest.fixture(scope="module")
def model() -> RolloutModel:
    return make_rollout_model()


def test_first_chunk_begins_at_the_origin(model: RolloutModel) -> None:
    walk = new_walk(model)
    chunk = ChunkRollout(model, walk).begin(Script(stroll)).finish()
    assert (chunk.index, chunk.num_frames, chunk.context) == (0, 13, [])
    assert chunk.poses[0].tolist() == np.eye(4).tolist()
    assert chunk.labels == [0, 11, 11, 11]
    assert chunk.latents.shape == (1, 4, 4, 2, 3)


def test_rollout_is_lazy_and_counts_on(model: RolloutModel) -> None:
    walk, script = new_walk(model), Script(stroll)
    chunks = list(islice(rollout(model, walk, script), 3))
    assert [chunk.index for chunk in chunks] == [0, 1, 2]
    assert [chunk.num_frames for chunk in chunks] == [13, 16, 16]
    assert script.latched == 3
    assert chunks[2].context == list(range(8))


def test_wrong_prediction_does_not_change_the_result(model: RolloutModel) -> None:
    right, wrong = new_walk(model), new_walk(model)
    expected = list(islice(rollout(model, right, Script(spin)), 8))
    surprised = Script(spin, predicted=lambda chunk: Motion(yaw=-np.radians(40)))
    got = list(islice(rollout(model, wrong, surprised), 8))
    assert [chunk.context for chunk in got] == [chunk.context for chunk in expected]
    torch.testing.assert_close(latents_of(wrong), latents_of(right), rtol=0, atol=0)


@pytest.mark.parametrize(("predicted", "times"), [(stroll, 1), (spin, 2)])
def test_context_is_selected_again_only_where_the_prediction_was_wrong(
    model: RolloutModel,
    predicted: Callable[[int], Motion],
    times: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    selected: list[int] = []

    def count(w2c: Pose, start: int, points: Points, **sizes: int) -> list[int]:
        selected.append(start)
        return select_context(w2c, start, points, **sizes)

    monkeypatch.setattr("worldplay.world.rollout.select_context", count)
    ChunkRollout(model, new_walk(model)).begin(Script(stroll, predicted)).finish()
    assert len(selected) == times


def test_steering_is_latched_after_the_context_pass(model: RolloutModel) -> None:
    script = Script(stroll)
    pending = ChunkRollout(model, new_walk(model)).begin(script)
    assert pending.next_stage == "context"
    pending.advance()
    assert (pending.next_stage, script.latched) == ("step", 0)
    pending.advance()
    assert (pending.next_stage, script.latched) == ("step", 1)


@pytest.mark.parametrize("stages_done", [0, 1, 2, 3])
def test_cancelled_chunk_leaves_no_trace(model: RolloutModel, stages_done: int) -> None:
    undisturbed, walk = new_walk(model), new_walk(model)
    expected = list(islice(rollout(model, undisturbed, Script(stroll)), 2))[1]
    ChunkRollout(model, walk).begin(Script(stroll)).finish()
    cancelled = ChunkRollout(model, walk).begin(Script(spin))
    for _ in range(stages_done):
        assert cancelled.advance() is None
    cancelled.close()
    assert walk.num_latents == 4
    script = Script(stroll)
    script.latched = 1
    chunk = ChunkRollout(model, walk).begin(script).finish()
    torch.testing.assert_close(chunk.latents, expected.latents, rtol=0, atol=0)


def test_another_walk_between_two_chunks_changes_nothing(model: RolloutModel) -> None:
    alone, visited, visitor = new_walk(model), new_walk(model), new_walk(model, seed=9)
    expected = list(islice(rollout(model, alone, Script(stroll)), 4))
    ours, theirs = rollout(model, visited, Script(stroll)), rollout(model, visitor, Script(spin))
    got: list[Chunk] = []
    for _ in range(4):
        got.append(next(ours))
        next(theirs)
    for chunk, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(chunk.latents, wanted.latents, rtol=0, atol=0)


def test_chunks_may_take_turns_stage_by_stage(model: RolloutModel) -> None:
    """Each chunk finds the caches used by the other at every stage, and by one that was dropped."""
    alone, mixed, visitor = new_walk(model), new_walk(model), new_walk(model, seed=9)
    expected = list(islice(rollout(model, alone, Script(stroll)), 3))[2]
    for walk in (mixed, visitor):
        list(islice(rollout(model, walk, Script(stroll)), 2))
    script = Script(stroll)
    ours, theirs = ChunkRollout(model, mixed).begin(script), ChunkRollout(model, visitor).begin(Script(spin))
    for _ in range(ROLLOUT.steps):
        ours.advance()
        theirs.advance()
    theirs.close()
    torch.testing.assert_close(ours.finish().latents, expected.latents, rtol=0, atol=0)


def test_rewound_walk_repeats_itself(model: RolloutModel) -> None:
    walk, script = new_walk(model), Script(stroll)
    first = list(islice(rollout(model, walk, script), 4))
    walk.truncate(8)
    script.latched = 2
    again = list(islice(rollout(model, walk, script), 2))
    for chunk, wanted in zip(again, first[2:], strict=True):
        assert chunk.index == wanted.index
        torch.testing.assert_close(chunk.latents, wanted.latents, rtol=0, atol=0)


def test_a_stage_is_over_when_the_device_has_done_it(
    model: RolloutModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Controls are read after the context pass, not while it is queued; and stages take what they take."""
    events: list[str] = []
    script = Script(stroll)
    latch, encode_context, denoise = script.latch, model.transformer.encode_context, model.transformer.denoise
    monkeypatch.setattr(stopwatch, "synchronize", lambda device: events.append("done"))
    monkeypatch.setattr(script, "latch", partial(_note, events, "latch", latch))
    for name, work in (("encode_context", encode_context), ("denoise", denoise)):
        asked = partial(_note, events, name, work)
        monkeypatch.setattr(model.transformer, name, asked)
    walk = new_walk(model)
    ChunkRollout(model, walk).begin(script).finish()
    events.clear()
    pending = ChunkRollout(model, walk).begin(script)
    while pending.advance() is None:
        events.append("stage")
    stages = [event for event in events if event != "latch"]
    for name in ("encode_context", "denoise"):
        places = [place for place, event in enumerate(stages) if event == name]
        assert all(stages[place + 1] == "done" for place in places), stages
    assert events.index("latch") > events.index("encode_context") + 1
    assert events.count("denoise") == model.config.steps


def test_a_stage_waits_for_the_device_once(model: RolloutModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only at the end of a stage the engine must know that it is over; before, the device never runs dry."""
    waits: list[int] = []
    monkeypatch.setattr(stopwatch, "synchronize", lambda device: waits.append(1))
    walk = new_walk(model)
    for _ in range(3):
        pending = ChunkRollout(model, walk).begin(Script(stroll))
        num_stages = 1
        while pending.advance() is None:
            num_stages += 1
        assert num_stages == len(waits) == 1 + model.config.steps
        waits.clear()


def _note(events: list[str], name: str, work: Callable[..., object], *arguments: object) -> object:
    events.append(name)
    return work(*arguments)


def test_seed_decides_the_noise(model: RolloutModel) -> None:
    a, b, c = (new_walk(model, seed).draw_noise(0, 4) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_placed_cameras_are_taken_as_given(model: RolloutModel) -> None:
    walk = new_walk(model)
    poses = [np.eye(4) for _ in range(3)]
    for number, pose in enumerate(poses):
        pose[0, 3] = 0.1 * (number + 1)
    path = walk.follow([PosedCamera(pose) for pose in poses])
    assert path.c2w[:, 0, 3].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert path.labels.tolist() == [0, 27, 27, 27]
    assert [motion.right for motion in path.motions()] == pytest.approx([0.0, 0.1, 0.1, 0.1])


class Wall:
    def move(self, pose: np.ndarray, motion: Motion) -> tuple[np.ndarray, bool]:
        return pose, True

    def reach(self, pose: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, bool]:
        return pose, True


def test_camera_that_cannot_be_reached_has_not_moved(model: RolloutModel) -> None:
    walk = new_walk(model)
    walk.ground = Wall()
    away = np.eye(4)
    away[2, 3] = 50.0
    walk.origin = PosedCamera(away)
    path = walk.follow([PosedCamera(away, label=9)] * 3)
    np.testing.assert_array_equal(path.c2w, np.stack([np.eye(4)] * 4))
    assert path.labels.tolist() == [0, 0, 0, 0]
    assert path.bumped


class Ceiling(OpenGround):
    """Nobody gets above a height, and nobody is told."""

    def reach(self, pose: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, bool]:
        taken = wanted.copy()
        taken[1, 3] = min(taken[1, 3], 0.1)
        return taken, False


def test_a_label_stays_with_its_pose_alone(model: RolloutModel) -> None:
    walk = new_walk(model)
    walk.ground = Ceiling()
    poses = [np.eye(4) for _ in range(3)]
    for pose, height in zip(poses, (0.1, 0.2, 0.3), strict=True):
        pose[1, 3] = height
    path = walk.follow([PosedCamera(pose, label=9) for pose in poses])
    assert path.labels.tolist() == [0, 9, 0, 0]


def test_step_into_a_wall_is_reported(model: RolloutModel) -> None:
    walk = new_walk(model)
    walk.ground = Wall()
    chunk = ChunkRollout(model, walk).begin(Script(stroll)).finish()
    assert chunk.bumped
    assert chunk.labels == [0, 0, 0, 0]
    assert chunk.motions[1] == Motion()
