"""Snapshots: a walk that was saved, in one piece or in parts, goes on as if nothing had happened."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, TURN, cut, go_on, open_walk, walk_about
from worldplay.world.live_walk import LiveWalk
from worldplay.world.snapshot import Snapshot, join
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.snapshot_reader import read_part, read_snapshot
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with torch.inference_mode():
        yield make_world()


def reopen(world: World, snapshot: Snapshot) -> LiveWalk:
    return world.open_walk(WalkRequest(snapshot=snapshot))


def assert_equal(one: Snapshot, other: Snapshot) -> None:
    assert one.first == other.first
    assert torch.equal(one.latents, other.latents)
    for name in ("c2w", "labels", "intrinsics"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.prompts == other.prompts
    assert [latch.latent for latch in one.latches] == [latch.latent for latch in other.latches]
    assert write_snapshot(one) == write_snapshot(other)


def frames_of(walk: LiveWalk, count: int) -> list[bytes]:
    """The next chunks' frames, in one direction."""
    return [frames.tobytes() for _ in range(count) for frames in walk.decode(go_on(walk, [TURN, AHEAD]))]


def test_saved_walk_goes_on_with_the_same_frames(world: World) -> None:
    walk = walk_about(world)
    for chunk_latents in torch.split(walk.walk.latents.gather(range(12)), 1, dim=2):
        world.vae.decode_latent(chunk_latents, walk._state_after(0))
    again = reopen(world, read_snapshot(write_snapshot(walk.snapshot())))
    assert frames_of(again, 2) == frames_of(walk, 2)
    assert_equal(again.snapshot(), walk.snapshot())


def test_reopened_walk_shows_its_last_latent_at_once(world: World) -> None:
    walk = open_walk(world)
    shown = [frames for _ in range(2) for frames in walk.decode(go_on(walk, [AHEAD]))]
    again = reopen(world, walk.snapshot())
    last = again.show_last()
    assert last is not None
    assert (last.index, last.first_latent, last.num_frames) == (1, 3, 4)
    assert [frames.tobytes() for frames in again.decode(last)] == [shown[-1].tobytes()]
    assert again.show_last() is None
    assert frames_of(again, 2) == frames_of(walk, 2)


def test_file_holds_everything(world: World) -> None:
    snapshot = walk_about(world, view=world.views[1].name, prompt="by day", steps=1).snapshot()
    again = read_snapshot(write_snapshot(snapshot))
    assert_equal(again, snapshot)
    assert again.beginning is not None
    assert again.beginning.world == world.identity
    assert (again.beginning.view, again.beginning.seed, again.beginning.steps) == (world.views[1].name, 5, 1)
    assert [(change.latent, change.text) for change in again.prompts] == [(0, "by day"), (8, "at night")]
    assert [(latch.latent, len(latch.moves)) for latch in again.latches] == [
        (0, 3),
        (4, 4),
        (5, 3),
        (7, 1),
        (8, 4),
    ]
    assert again.latches[1].moves == (AHEAD,) * 4
    assert again.latches[4].moves[0].label == 3  # type: ignore[union-attr]


def test_walk_keeps_its_identity_wherever_it_goes_on(world: World) -> None:
    walks = [walk_about(world), walk_about(world)]
    snapshots = [read_snapshot(write_snapshot(walk.snapshot())) for walk in walks]
    walks += [reopen(world, snapshots[0]), reopen(world, snapshots[0].as_another())]
    walks[0].truncate(0)
    first, other, again, branch = (walk.path().beginning.walk for walk in walks)
    assert again == first
    assert len({first, other, branch}) == 3


def test_parts_hold_only_what_is_new_and_join_to_the_whole(world: World) -> None:
    walk = open_walk(world)
    parts = [walk.take_unsaved()]
    go_on(walk, [AHEAD])
    go_on(walk, [AHEAD])
    parts.append(walk.take_unsaved())
    cut(walk, 2, [TURN])
    walk.set_prompt("at dusk")
    parts.append(walk.take_unsaved())
    go_on(walk, [AHEAD])
    walk.truncate(2)
    go_on(walk, [TURN])
    parts.append(walk.take_unsaved())
    assert [(part.first, part.end) for part in parts] == [(0, 0), (0, 8), (6, 8), (8, 12)]
    read = [read_part(write_snapshot(part)) for part in parts]
    assert_equal(join(read), walk.snapshot())


def test_rewound_walk_replaces_what_was_saved(world: World) -> None:
    walk = walk_about(world)
    parts = [walk.take_unsaved()]
    walk.truncate(1)
    go_on(walk, [TURN])
    parts.append(walk.take_unsaved())
    assert parts[1].first == 4
    whole = join(parts)
    assert_equal(whole, walk.snapshot())
    assert [(change.latent, change.text) for change in whole.prompts] == [(0, ""), (4, "at night")]


def test_walk_that_is_in_the_store_is_not_saved_again(world: World) -> None:
    snapshot = walk_about(world).snapshot()
    first = [
        world.open_walk(WalkRequest(snapshot=snapshot, is_saved=is_saved)).take_unsaved().first
        for is_saved in (True, False)
    ]
    assert first == [snapshot.end, 0]


def test_missing_part_is_noticed(world: World) -> None:
    walk = walk_about(world)
    walk.take_unsaved()
    go_on(walk, [AHEAD])
    with pytest.raises(ValueError, match="expected the latents from 0 on, got 12"):
        join([walk.take_unsaved()])


def test_saving_costs_what_is_new(world: World) -> None:
    walk = walk_about(world)
    walk.take_unsaved()
    sizes = []
    for _ in range(3):
        go_on(walk, [AHEAD])
        sizes.append(len(write_snapshot(walk.take_unsaved())))
    assert max(sizes) - min(sizes) < 8
    latent = walk.walk.latents.gather([0])
    assert max(sizes) < 4 * latent.numel() * latent.element_size() + 3000


def test_walk_of_other_weights_is_refused(world: World) -> None:
    snapshot = walk_about(world).snapshot()
    with pytest.raises(ValueError, match=r"made with the weights 'new', got 'tiny weights'"):
        reopen(replace(world, weights="new"), snapshot)
    with pytest.raises(ValueError, match=r"a walk of the world 'other', got 'tiny'"):
        reopen(replace(world, name="other"), snapshot)


def test_walk_with_more_steps_than_the_model_takes_is_refused(world: World) -> None:
    most = world.rollout.config.steps
    reopen(world, walk_about(world, steps=most).snapshot())
    with pytest.raises(ValueError, match=rf"expected at most {most} denoising steps, got {most + 1}"):
        reopen(world, walk_about(world, steps=most + 1).snapshot())
