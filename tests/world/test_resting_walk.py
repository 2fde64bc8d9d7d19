"""A walk that rests: it releases what can be computed again, and goes on as if nothing had happened."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, TURN, cut, go_on, open_walk, walk_about
from worldplay.world.chunk import Chunk
from worldplay.world.live_walk import LiveWalk


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def show(walk: LiveWalk, chunk: Chunk) -> np.ndarray:
    return np.concatenate(list(walk.decode(chunk)))


def make(walk: LiveWalk, *, rests: bool) -> np.ndarray:
    """Walk three chunks, and rest after the second one."""
    frames = [show(walk, go_on(walk, [AHEAD])), show(walk, go_on(walk, [TURN]))]
    if rests:
        walk.release()
        walk.prepare()
    return np.concatenate([*frames, show(walk, go_on(walk, [AHEAD]))])


def test_walk_goes_on_with_the_same_frames() -> None:
    world = make_world()
    assert np.array_equal(
        make(open_walk(world, prompt="night"), rests=True),
        make(open_walk(world, prompt="night"), rests=False),
    )


def test_what_is_shown_is_what_is_kept() -> None:
    """The decoder's state is rebuilt from kept latents, rounded if the model's numbers are short."""
    walk = open_walk(make_world(dtype=torch.bfloat16))
    show(walk, go_on(walk, [AHEAD]))
    chunk = go_on(walk, [TURN])
    assert torch.equal(chunk.latents, walk.walk.latents.gather(range(4, 8)))
    rest = cut(walk, 1, [AHEAD])
    assert torch.equal(rest.latents, walk.walk.latents.gather(range(5, 8)))


def test_nothing_large_is_held() -> None:
    walk = walk_about(make_world())
    walk.release()
    assert (walk._decoder_state, walk.walk.text, walk.walk.kept) == (None, [], [])


def test_latents_that_were_not_decoded_are_decoded_and_cut_later() -> None:
    """Its client was away, and lost its slot in the middle of a chunk."""
    world = make_world()
    shown = []
    for rests in (False, True):
        walk = open_walk(world)
        show(walk, go_on(walk, [AHEAD]))
        decoding = walk.decode(go_on(walk, [AHEAD]))
        frames = [next(decoding)]
        if rests:
            walk.release()
            walk.prepare()
        frames.append(next(decoding))
        frames += walk.decode(cut(walk, 2, [TURN]))
        shown.append(np.concatenate(frames))
    assert np.array_equal(shown[0], shown[1])


def test_walk_from_the_store_can_rest_at_once() -> None:
    world = make_world()
    snapshot = walk_about(world).snapshot()
    shown = []
    for rests in (False, True):
        walk = open_walk(world, snapshot=snapshot, seed=None)
        if rests:
            walk.release()
            walk.prepare()
        shown.append(show(walk, go_on(walk, [AHEAD])))
    assert np.array_equal(shown[0], shown[1])
