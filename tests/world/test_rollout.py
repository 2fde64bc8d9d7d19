"""Chunks from steering: late latching, cancellation, replay; the arithmetic itself is in the goldens."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from worldplay.model.config import TransformerConfig
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world import timing as stopwatch
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion, Pose
from worldplay.world.chunk import Chunk
from worldplay.world.context import Points, sample_points, select_context
from worldplay.world.rollout import ChunkRollout, RolloutModel, begin_chunk, rollout
from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.steering import Move, PosedCamera
from worldplay.world.walk import OpenGround, Walk

TINY = TransformerConfig(
    hidden=32,
    heads=2,
    rope_dims=(4, 6, 6),
    blocks=2,
    latent_channels=4,
    patch_size=(1, 1),
    mlp_ratio=2.0,
    text_dim=8,
    vision_dim=8,
    byt5_dim=8,
    byt5_hidden=8,
    refiner_blocks=1,
    rope_theta=256.0,
)
ROLLOUT = RolloutConfig(
    chunk_latents=4,
    memory_latents=12,
    recent_latents=4,
    context_timestep=14.0,
    steps=3,
    shift=5.0,
    guidance=1.0,
)


class Script:
    """Steering by a rule: what chunk number n does, and what is predicted for it."""

    def __init__(
        self, step: Callable[[int], Motion], predicted: Callable[[int], Motion] | None = None
    ) -> None:
        self.step = step
        self.predicted = predicted or step
        self.latched = 0

    def predict(self, num_latents: int) -> list[Move]:
        return [self.predicted(self.latched)] * num_latents

    def latch(self, num_latents: int) -> list[Move]:
        self.latched += 1
        return [self.step(self.latched - 1)] * num_latents


def spin(chunk: int) -> Motion:
    return Motion(yaw=np.radians(20))


def stroll(chunk: int) -> Motion:
    return Motion(forward=FORWARD_STEP, yaw=TURN_STEP if chunk % 2 else -TURN_STEP)


@pytest.fixture(scope="module")
def model() -> RolloutModel:
    torch.manual_seed(0)
    transformer = WorldPlayTransformer(TINY).requires_grad_(False).eval()
    cache = transformer.new_cache((2, 3), max_text=4, max_context=ROLLOUT.memory_latents)
    return RolloutModel(transformer, [cache], sample_points(1000, seed=0), ROLLOUT)


def new_walk(model: RolloutModel, seed: int = 1) -> Walk:
    generator = torch.Generator().manual_seed(3)
    text = model.transformer.encode_text(
        torch.randn(1, 4, 8, generator=generator),
        torch.ones(1, 4),
        torch.zeros(1, 2, 8),
        torch.zeros(1, 2),
        None,
    )
    latent = torch.randn(1, 4, 1, 2, 3, generator=generator)
    return Walk([text], Image.new("RGB", (48, 32)), latent, seed, OpenGround())


def latents_of(walk: Walk) -> torch.Tensor:
    return walk.latents.gather(range(walk.num_latents))


def test_first_chunk_begins_at_the_origin(model: RolloutModel) -> None:
    walk = new_walk(model)
    chunk = begin_chunk(model, walk, Script(stroll)).finish()
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
    begin_chunk(model, new_walk(model), Script(stroll, predicted)).finish()
    assert len(selected) == times


def test_steering_is_latched_after_the_context_pass(model: RolloutModel) -> None:
    script = Script(stroll)
    pending = begin_chunk(model, new_walk(model), script)
    assert pending.next_stage == "context"
    pending.advance()
    assert (pending.next_stage, script.latched) == ("step", 0)
    pending.advance()
    assert (pending.next_stage, script.latched) == ("step", 1)


@pytest.mark.parametrize("stages_done", [0, 1, 2, 3])
def test_cancelled_chunk_leaves_no_trace(model: RolloutModel, stages_done: int) -> None:
    undisturbed, walk = new_walk(model), new_walk(model)
    expected = list(islice(rollout(model, undisturbed, Script(stroll)), 2))[1]
    begin_chunk(model, walk, Script(stroll)).finish()
    cancelled = begin_chunk(model, walk, Script(spin))
    for _ in range(stages_done):
        assert cancelled.advance() is None
    cancelled.close()
    assert walk.num_latents == 4
    script = Script(stroll)
    script.latched = 1
    chunk = begin_chunk(model, walk, script).finish()
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
    ours, theirs = begin_chunk(model, mixed, script), begin_chunk(model, visitor, Script(spin))
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
    begin_chunk(model, walk, script).finish()
    events.clear()
    pending = begin_chunk(model, walk, script)
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
        pending = begin_chunk(model, walk, Script(stroll))
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
    chunk = begin_chunk(model, walk, Script(stroll)).finish()
    assert chunk.bumped
    assert chunk.labels == [0, 0, 0, 0]
    assert chunk.motions[1] == Motion()


def cut_walk(model: RolloutModel, kept: int, num_chunks: int = 3) -> tuple[Walk, ChunkRollout, Chunk]:
    """A walk whose last chunk was cut, with other steering after `kept` latents."""
    walk = new_walk(model)
    for _ in range(num_chunks - 1):
        begin_chunk(model, walk, Script(stroll)).finish()
    chunk = ChunkRollout(model, walk)
    chunk.begin(Script(stroll)).finish()
    return walk, chunk, chunk.cut(kept, Script(spin)).finish()


@pytest.mark.parametrize("num_chunks", [1, 2, 5])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_cut_leaves_the_latents_before_it_as_they_are(
    model: RolloutModel, kept: int, num_chunks: int
) -> None:
    uncut = new_walk(model)
    list(islice(rollout(model, uncut, Script(lambda _: stroll(0))), num_chunks))
    walk, _, rest = cut_walk(model, kept, num_chunks)
    start = 4 * (num_chunks - 1)
    assert torch.equal(latents_of(walk)[:, :, : start + kept], latents_of(uncut)[:, :, : start + kept])
    assert np.array_equal(walk.c2w[: start + kept], uncut.c2w[: start + kept])
    assert not torch.allclose(latents_of(walk)[:, :, start + kept :], latents_of(uncut)[:, :, start + kept :])
    assert torch.equal(rest.latents, latents_of(walk)[:, :, start + kept :])


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_cut_chunk_describes_all_its_latents(model: RolloutModel, kept: int) -> None:
    walk, _, rest = cut_walk(model, kept)
    assert (rest.index, rest.first_latent, rest.num_frames) == (2, kept, 4 * (4 - kept))
    assert rest.latents.shape[2] == 4 - kept
    assert np.array_equal(rest.poses, walk.c2w[8:])
    assert rest.labels == walk.labels[8:].tolist()
    assert [motion.forward > 0.01 for motion in rest.motions] == [True] * kept + [False] * (4 - kept)


def test_chunk_cut_before_its_first_latent_is_as_if_it_had_been_steered_so_at_once(
    model: RolloutModel,
) -> None:
    at_once = new_walk(model)
    list(islice(rollout(model, at_once, Script(lambda n: spin(n) if n == 6 else stroll(0))), 7))
    walk = new_walk(model)
    list(islice(rollout(model, walk, Script(lambda _: stroll(0))), 6))
    chunk = ChunkRollout(model, walk)
    chunk.begin(Script(stroll)).finish()
    chunk.cut(0, Script(spin)).finish()
    assert torch.equal(latents_of(walk), latents_of(at_once))


def test_cut_does_not_depend_on_who_has_used_the_caches(model: RolloutModel) -> None:
    expected, chunk, _ = cut_walk(model, 1)
    chunk.cut(3, Script(stroll)).finish()
    walk, chunk, _ = cut_walk(model, 1)
    begin_chunk(model, new_walk(model, seed=5), Script(spin)).finish()
    chunk.cut(3, Script(stroll)).finish()
    assert torch.equal(latents_of(walk), latents_of(expected))


def test_cut_encodes_only_what_was_kept(model: RolloutModel, monkeypatch: pytest.MonkeyPatch) -> None:
    walk, chunk, _ = cut_walk(model, 1)
    counts: list[int] = []
    extend = model.transformer.extend_context

    def count(latents: torch.Tensor, *rest: object) -> None:
        counts.append(latents.shape[2])
        extend(latents, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model.transformer, "extend_context", count)
    chunk.cut(2, Script(stroll)).finish()
    assert counts == [2]
    begin_chunk(model, walk, Script(stroll)).advance()
    chunk.cut(3, Script(stroll)).finish()
    assert counts == [2, 12, 8, 3]


def test_next_chunk_after_a_cut_has_the_whole_chunk_in_its_context(model: RolloutModel) -> None:
    walk, _, _ = cut_walk(model, 2)
    assert begin_chunk(model, walk, Script(stroll)).finish().context == list(range(12))


def test_cut_that_is_dropped_leaves_the_walk_unchanged(model: RolloutModel) -> None:
    walk, chunk, _ = cut_walk(model, 1)
    before = latents_of(walk).clone()
    pending = chunk.cut(2, Script(stroll))
    for _ in range(3):
        pending.advance()
    pending.close()
    assert torch.equal(latents_of(walk), before)


def test_new_prompt_does_not_reach_a_chunk_that_is_cut(model: RolloutModel) -> None:
    expected, chunk, _ = cut_walk(model, 1)
    chunk.cut(2, Script(stroll)).finish()
    walk, chunk, _ = cut_walk(model, 1)
    walk.text = [replace(walk.text[0], values=[2 * part for part in walk.text[0].values])]
    begin_chunk(model, walk, Script(stroll)).advance()
    chunk.cut(2, Script(stroll)).finish()
    assert torch.equal(latents_of(walk), latents_of(expected))


def test_only_another_way_differs(model: RolloutModel) -> None:
    _, chunk, _ = cut_walk(model, 2)
    assert not chunk.differs(3, [spin(0)])
    assert chunk.differs(3, [stroll(0)])
