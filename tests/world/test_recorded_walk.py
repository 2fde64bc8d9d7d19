"""Walks that are described as JSON: the clip of such a walk has the same latents."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from goldens.world_cases import build_trajectory
from support.tiny_world import make_world
from support.walks import AHEAD, TURN, cut, go_on, open_walk, walk_about
from worldplay.clips.plan import ClipOptions, ClipPlan, plan_clip
from worldplay.world.camera import Motion
from worldplay.world.live_walk import LiveWalk
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.recorded_walk import describe_walk
from worldplay.world.steering import Move, PosedCamera, WalkRequest
from worldplay.world.walk import follow
from worldplay.world.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with torch.inference_mode():
        yield make_world()


def describe(world: World, walk: LiveWalk) -> dict[str, Any]:
    path = walk.path()
    ground = world.find_view(path.beginning.view).make_ground()
    described = describe_walk(path, ground, is_own_place=world.own_pictures == "as_is")
    return json.loads(json.dumps(described))  # type: ignore[no-any-return]


def plan(world: World, recorded: dict[str, Any]) -> ClipPlan:
    options = ClipOptions(recorded["prompt"], view=recorded["view"], pose=recorded, seed=recorded["seed"])
    return plan_clip(world, options)


def make(world: World, plan: ClipPlan) -> LiveWalk:
    """Make the clip's walk as the engine does, without decoding it."""
    request = plan.request
    walk = world.open_walk(request.walk)
    for chunk in range(request.num_chunks):
        if chunk in request.prompts:
            walk.set_prompt(request.prompts[chunk])
        walk.begin_chunk(request.steering).finish()
        for kept in request.cuts_of(chunk):
            walk.begin_cut(kept, request.steering).finish()
    return walk


def assert_same(world: World, walk: LiveWalk) -> None:
    again = make(world, plan(world, describe(world, walk)))
    assert torch.equal(again.snapshot().latents, walk.snapshot().latents)
    assert [change.text for change in again.path().prompts] == [change.text for change in walk.path().prompts]


def test_clip_of_a_recorded_walk_is_the_walk(world: World) -> None:
    assert_same(world, walk_about(world, prompt="by day"))


def test_clip_is_the_walk_after_cuts_of_its_first_chunk_and_a_rewind(world: World) -> None:
    walk = open_walk(world, view=world.views[1].name)
    go_on(walk, [AHEAD])
    cut(walk, 2, [TURN])
    cut(walk, 3, [Motion(forward=-0.08)])
    for text in ("one", "two"):
        walk.set_prompt(text)
        go_on(walk, [TURN])
        cut(walk, 1, [AHEAD])
    walk.truncate(2)
    go_on(walk, [AHEAD, TURN])
    assert_same(world, walk)
    assert [each["latent"] for each in describe(world, walk)["cuts"]] == [2, 3, 5]


def test_walk_that_went_on_from_a_kept_one_is_whole(world: World) -> None:
    snapshot = walk_about(world, prompt="by day").snapshot()
    walk = world.open_walk(WalkRequest(snapshot=snapshot))
    go_on(walk, [TURN])
    assert_same(world, walk)


def test_given_lenses_are_described(world: World) -> None:
    walk = open_walk(world)
    lens = np.array([[0.7, 0, 0.5], [0, 0.9, 0.5], [0, 0, 1]])
    go_on(walk, [PosedCamera(np.eye(4), label=0, intrinsics=lens)])
    trajectory = parse_trajectory(describe(world, walk))
    last = trajectory.moves[-1]
    assert isinstance(last, PosedCamera)
    assert np.allclose(last.intrinsics, lens)  # type: ignore[arg-type]
    assert_same(world, walk)


def test_given_lenses_that_a_cut_threw_away_are_described(world: World) -> None:
    walk = open_walk(world)
    go_on(walk, [AHEAD])
    lens = np.array([[0.7, 0, 0.5], [0, 0.9, 0.5], [0, 0, 1]])
    go_on(walk, [PosedCamera(np.eye(4), label=0, intrinsics=lens)])
    cut(walk, 1, [TURN])
    assert_same(world, walk)
    cut(walk, 2, [PosedCamera(np.eye(4), label=0, intrinsics=lens)])
    cut(walk, 3, [TURN])
    assert_same(world, walk)


def test_path_does_not_change_when_the_walk_does(world: World) -> None:
    walk = walk_about(world)
    path = walk.path()
    poses, labels = path.c2w.copy(), path.labels.copy()
    walk.truncate(1)
    go_on(walk, [TURN])
    assert np.array_equal(path.c2w, poses)
    assert np.array_equal(path.labels, labels)
    assert (path.prompt_at(7), path.prompt_at(8)) == ("", "at night")


def test_recorded_cameras_are_used_as_they_are_whatever_the_walls(world: World) -> None:
    """From one camera to the next a walk may slide along two walls, where the straight way is not free."""
    rng = np.random.default_rng(14)
    for _ in range(20):
        ground = world.find_view(None).make_ground()
        moves: list[Move] = [
            PosedCamera(build_trajectory([Motion(forward=away, yaw=turn)])[-1])
            if far > 0.8
            else Motion(forward=away / 4, right=away / 8, yaw=turn / 8)
            for away, turn, far in rng.uniform([-9, -3, 0], [9, 3, 1], (24, 3))
        ]
        walked = follow(ground, np.eye(4), moves)
        recorded = {"poses": walked.c2w.reshape(-1, 16).tolist(), "labels": walked.labels.tolist()}
        trajectory = parse_trajectory(json.loads(json.dumps(recorded)))
        again = follow(ground, np.eye(4), [trajectory.origin, *trajectory.moves])
        assert np.array_equal(again.c2w, walked.c2w)
        assert np.array_equal(again.labels, walked.labels)


def test_cameras_without_labels_ask_the_ground(world: World) -> None:
    ground = world.find_view(None).make_ground()
    beyond = build_trajectory([Motion(forward=99.0)])[-1]
    trajectory = parse_trajectory([np.eye(4).tolist(), beyond.tolist()])
    assert not np.allclose(follow(ground, np.eye(4), trajectory.moves).c2w[-1], beyond)
