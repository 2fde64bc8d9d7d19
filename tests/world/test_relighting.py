"""After another prompt, a world that relights sees its first chunk in the new light, and not the old one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from support.rollouts import ROLLOUT, make_rollout_model, new_walk
from support.tiny_world import make_world
from support.walks import AHEAD, TURN, cut, go_on, latents_of, open_walk
from worldplay.world.live_walk import LiveWalk
from worldplay.world.pixels import pixels_to_frames
from worldplay.world.relighting import Relighting
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

NEW = "at night"


def make_relighting_world(*, relights: bool = True) -> World:
    world = make_world()
    return replace(
        world, rollout=replace(world.rollout, config=replace(world.rollout.config, relights=relights))
    )


@pytest.fixture(scope="module")
def world() -> World:
    return make_relighting_world()


def start(world: World, num_chunks: int, prompt: str = "") -> LiveWalk:
    walk = open_walk(world, prompt=prompt)
    for _ in range(num_chunks):
        go_on(walk, [AHEAD])
    return walk


@pytest.mark.parametrize(
    ("since", "start", "expected"),
    [
        (0, 20, [*range(20)]),
        (4, 4, [0, 1, 2, 3]),
        (16, 16, [0, 1, 2, 3, 12, 13, 14, 15]),
        (16, 20, [0, 1, 2, 3, 16, 17, 18, 19]),
        (16, 28, [0, 1, 2, 3, *range(16, 28)]),
    ],
)
def test_what_lies_between_the_first_chunk_and_the_change_is_forgotten(
    since: int, start: int, expected: list[int]
) -> None:
    walk = new_walk(make_rollout_model())
    walk.log.change_prompt(0, "by day")
    walk.log.change_prompt(since, NEW)
    assert list(Relighting(replace(ROLLOUT, relights=True), walk).remembered(start)) == expected
    assert list(Relighting(ROLLOUT, walk).remembered(start)) == [*range(start)]


def test_first_chunk_is_seen_as_if_the_walk_had_begun_with_the_prompt(world: World) -> None:
    walk = start(world, 3)
    shown = latents_of(walk)
    walk.set_prompt(NEW)
    assert go_on(walk, [TURN]).context == [0, 1, 2, 3, 8, 9, 10, 11]
    assert walk.walk.relit is not None
    assert torch.equal(walk.walk.relit.latents, latents_of(start(world, 1, NEW)))
    assert torch.equal(latents_of(walk)[:, :, :12], shown)  # what was shown stays
    assert go_on(walk, [TURN]).context == [0, 1, 2, 3, 12, 13, 14, 15]


def test_old_light_in_the_first_chunk_makes_no_difference() -> None:
    """It is seen where a world does not relight."""
    made = []
    for relights in (True, False):
        world = make_relighting_world(relights=relights)
        walks = [start(world, 1, prompt) for prompt in ("by day", "in snow")]
        for walk in walks:
            walk.set_prompt(NEW)
        made.append([go_on(walk, [TURN]).latents for walk in walks])
    assert torch.equal(*made[0])
    assert not torch.equal(*made[1])


def test_nothing_is_generated_again_before_a_change_or_for_another_chunk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[float] = []
    denoise = world.rollout.transformer.denoise

    def count(*inputs: Any) -> Tensor:
        passes.append(inputs[4])
        return denoise(*inputs)

    monkeypatch.setattr(world.rollout.transformer, "denoise", count)
    steps = world.rollout.config.steps
    walk = start(world, 2)
    assert len(passes) == 2 * steps
    walk.set_prompt(NEW)
    go_on(walk, [TURN])
    assert len(passes) == 4 * steps
    go_on(walk, [TURN])
    walk.set_prompt(NEW)  # the same again
    go_on(walk, [TURN])
    assert len(passes) == 6 * steps


def test_a_cut_sees_the_light_that_its_chunk_has_seen(world: World) -> None:
    walks = [start(world, 2) for _ in range(2)]
    for walk in walks:
        walk.set_prompt(NEW)
        go_on(walk, [AHEAD])
    walks[0].set_prompt("in snow")
    assert torch.equal(*(cut(walk, 2, [TURN]).latents for walk in walks))


def test_saved_and_released_walks_go_on_as_if_nothing_had_happened(world: World) -> None:
    walks = [start(world, 2) for _ in range(3)]
    for walk in walks:
        walk.set_prompt(NEW)
        go_on(walk, [AHEAD])
    walks[1].release()
    walks[1].prepare()
    walks[2] = world.open_walk(WalkRequest(snapshot=walks[2].snapshot()))
    made = [go_on(walk, [TURN]).latents for walk in walks]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


def test_a_walk_that_went_back_has_its_prompt_from_there_on(world: World) -> None:
    gone_back, straight = start(world, 3), start(world, 1)
    gone_back.set_prompt(NEW)
    go_on(gone_back, [TURN])
    gone_back.truncate(1)
    straight.set_prompt(NEW)
    assert torch.equal(go_on(gone_back, [TURN]).latents, go_on(straight, [TURN]).latents)
    gone_back.truncate(0)
    assert torch.equal(go_on(gone_back, [AHEAD]).latents, latents_of(start(world, 1, NEW)))


@pytest.mark.parametrize("relights", [True, False])
def test_first_latent_in_another_light_is_decoded_as_if_it_had_been_there_before(relights: bool) -> None:
    world = make_relighting_world(relights=relights)
    walk, shown = open_walk(world), list[np.ndarray]()
    for prompt in ("", "", NEW, NEW):
        walk.set_prompt(prompt)
        shown += walk.decode(go_on(walk, [AHEAD]))
    state, latents = world.vae.new_decoder_state(), list(latents_of(walk).split(1, dim=2))
    with torch.inference_mode():
        for index, (latent, frames) in enumerate(zip(latents, shown, strict=True)):
            if relights and index == 8:
                world.vae.decode_latent(latent, state, still=False)
            expected = pixels_to_frames(world.vae.decode_latent(latent, state, still=False)[0])
            assert np.array_equal(frames, expected), index


def test_decoders_that_are_made_again_know_where_the_light_has_changed(world: World) -> None:
    def release(walk: LiveWalk) -> LiveWalk:
        walk.release()
        walk.prepare()
        return walk

    def go_back(walk: LiveWalk) -> LiveWalk:
        go_on(walk, [TURN])
        walk.truncate(3)
        return walk

    def reopen(walk: LiveWalk) -> LiveWalk:
        return world.open_walk(WalkRequest(snapshot=walk.snapshot()))

    ways: list[Callable[[LiveWalk], LiveWalk]] = [lambda walk: walk, release, go_back, reopen]
    shown: list[np.ndarray] = []
    for way in ways:
        walk = open_walk(world)
        for prompt in ("", "", NEW):
            walk.set_prompt(prompt)
            list(walk.decode(go_on(walk, [AHEAD])))
        walk = way(walk)
        shown.append(np.concatenate(list(walk.decode(go_on(walk, [AHEAD])))))
    for frames in shown[1:]:
        assert np.array_equal(frames, shown[0])
