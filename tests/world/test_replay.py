"""A saved walk, made again from its controls, seed and prompts."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, go_on, walk_about
from worldplay.clips.saved_walk import begin_again
from worldplay.world.replay import replay
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.snapshot_reader import read_snapshot
from worldplay.world.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with torch.inference_mode():
        yield make_world()


def differences(world: World, snapshot: Snapshot) -> list[float]:
    walk = world.open_walk(begin_again(snapshot))
    return [chunk.difference + chunk.moved for chunk in replay(walk, snapshot)]


def test_walk_with_cuts_and_prompts_is_made_again_with_equal_latents(world: World) -> None:
    snapshot = read_snapshot(write_snapshot(walk_about(world, prompt="by day").snapshot()))
    assert differences(world, snapshot) == [0, 0, 0]


def test_rewound_walk_is_made_again_with_equal_latents(world: World) -> None:
    walk = walk_about(world)
    walk.truncate(1)
    for _ in range(3):
        go_on(walk, [AHEAD])
    assert differences(world, walk.snapshot()) == [0] * 4


def test_walk_that_was_reopened_is_made_again_with_equal_latents(world: World) -> None:
    from worldplay.world.steering import WalkRequest

    walk = world.open_walk(WalkRequest(snapshot=walk_about(world).snapshot()))
    go_on(walk, [AHEAD])
    assert differences(world, walk.snapshot()) == [0] * 4


def test_every_part_of_the_log_matters(world: World) -> None:
    snapshot = walk_about(world).snapshot()
    beginning = snapshot.beginning
    assert beginning is not None
    changed = (
        replace(snapshot, prompts=snapshot.prompts[:1]),
        replace(snapshot, beginning=replace(beginning, seed=6)),
        replace(snapshot, latches=tuple(each for each in snapshot.latches if each.latent != 5)),
        replace(snapshot, c2w=snapshot.c2w + np.eye(4) * 1e-3),
    )
    for other in changed:
        assert max(differences(world, other)) > 0
