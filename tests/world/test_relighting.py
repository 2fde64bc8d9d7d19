"""After another prompt, a world that relights sees its first chunk in the new light, and not the old one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from support.rollouts import ROLLOUT, make_rollout_model, new_walk
from support.tiny_world import ByteConditioner, make_world
from support.walks import AHEAD, LOOK_BACK, TURN, cut, go_on, latents_of, open_walk
from worldplay.world.camera import Motion
from worldplay.world.live_walk import LiveWalk
from worldplay.world.pixels import pixels_to_frames
from worldplay.world.relighting import Relighting
from worldplay.world.steering import PosedCamera, TrajectorySteering, WalkRequest
from worldplay.world.walk_log import WalkLog
from worldplay.world.world import World

NEW = "at night"


class Taken(ByteConditioner):
    """Takes a prompt by its first letter."""

    def taken_as(self, prompt: str) -> str | None:
        return prompt[:1].lower()


def make_relighting_world(
    *, relights: bool = True, is_still: bool = False, dtype: torch.dtype = torch.float32
) -> World:
    world = make_world(dtype=dtype)
    config = replace(world.rollout.config, relights=relights, is_still=is_still)
    return replace(world, rollout=replace(world.rollout, config=config))


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
    text = walk.walk.text
    walk.set_prompt(NEW)  # the same again
    assert walk.walk.text is text
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


def test_first_chunk_is_settled_as_at_the_beginning_of_a_walk() -> None:
    world = make_relighting_world(is_still=True)
    changed, begun = open_walk(world), open_walk(world, prompt=NEW)
    go_on(changed, [Motion()])
    changed.set_prompt(NEW)
    for walk in (changed, begun):
        go_on(walk, [Motion()])
    assert changed.walk.relit is not None
    assert torch.equal(changed.walk.relit.latents, latents_of(begun)[:, :, :4])


def test_first_chunk_is_kept_as_the_model_computes() -> None:
    walk = start(make_relighting_world(dtype=torch.bfloat16), 1)
    walk.set_prompt(NEW)
    go_on(walk, [AHEAD])
    assert walk.walk.relit is not None
    assert walk.walk.relit.latents.dtype == torch.bfloat16


def test_each_light_has_a_first_chunk_of_its_own(world: World) -> None:
    walk = start(world, 1)
    for prompt in (NEW, "in snow"):
        walk.set_prompt(prompt)
        go_on(walk, [AHEAD])
        assert walk.walk.relit is not None
        assert torch.equal(walk.walk.relit.latents, latents_of(start(world, 1, prompt)))


def test_first_chunk_that_was_cut_is_generated_again_along_its_new_path(world: World) -> None:
    walks = [start(world, 1) for _ in range(2)]
    for walk in walks:
        walk.set_prompt(NEW)
    pending = walks[0].begin_chunk(TrajectorySteering([AHEAD] * 4))
    while pending.next_stage != "step":
        pending.advance()
    assert walks[0].walk.relit is not None
    pending.close()
    for walk in walks:
        cut(walk, 1, [TURN])
    assert torch.equal(*(go_on(walk, [TURN]).latents for walk in walks))


def test_context_is_chosen_by_what_is_remembered(world: World) -> None:
    """Two walks that differ only in what is forgotten choose the same."""
    chosen = []
    for moves in ([AHEAD], [TURN]):
        walk = start(world, 1)
        for _ in range(2):
            go_on(walk, moves)
        walk.set_prompt(NEW)
        for view in (np.eye(4), LOOK_BACK, np.eye(4), np.eye(4)):
            go_on(walk, [PosedCamera(view)])
        chosen.append(go_on(walk, [PosedCamera(LOOK_BACK)]).context)
    assert chosen == [[0, 1, 2, 3, 16, 17, 18, 19, 24, 25, 26, 27]] * 2


def test_prompts_of_one_look_change_no_light() -> None:
    world = replace(make_relighting_world(), conditioner=Taken())
    walk = start(world, 3, "Night")
    walk.set_prompt("night, with stars")
    assert go_on(walk, [AHEAD]).context[-8:] == [*range(4, 12)]
    assert walk.walk.relit is None
    again = world.open_walk(WalkRequest(snapshot=walk.snapshot()))
    walk.set_prompt("day")
    assert go_on(walk, [AHEAD]).context[:4] == [0, 1, 2, 3]
    assert walk.walk.log.light_since == 16
    assert again.walk.log.light_changes == []


def test_only_the_newest_prompts_are_compared_by_their_look() -> None:
    read: list[str] = []

    def look_of(text: str) -> str:
        read.append(text)
        return "night"

    walk, other = WalkLog(look_of), WalkLog(look_of)
    for number in range(20):
        walk.change_prompt(4 * number, f"night {number}")
    read.clear()
    other.restore((), walk.prompts)
    assert len(read) == 8
    assert walk.light_changes == other.light_changes == [*range(4, 52, 4)]


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


@pytest.mark.parametrize("chunks_since", [0, 12])
def test_decoders_that_are_made_again_know_where_the_light_has_changed(
    world: World, chunks_since: int
) -> None:
    assert world.vae.decoder_reach < 4 * 12

    def release(walk: LiveWalk) -> LiveWalk:
        walk.release()
        walk.prepare()
        return walk

    def go_back(walk: LiveWalk) -> LiveWalk:
        go_on(walk, [TURN])
        walk.truncate(3 + chunks_since)
        return walk

    def reopen(walk: LiveWalk) -> LiveWalk:
        return world.open_walk(WalkRequest(snapshot=walk.snapshot()))

    ways: list[Callable[[LiveWalk], LiveWalk]] = [lambda walk: walk, release, go_back, reopen]
    shown: list[np.ndarray] = []
    for way in ways:
        walk = open_walk(world)
        for prompt in ("", "in snow", NEW, *[NEW] * chunks_since):
            walk.set_prompt(prompt)
            list(walk.decode(go_on(walk, [AHEAD])))
        walk = way(walk)
        shown.append(np.concatenate(list(walk.decode(go_on(walk, [AHEAD])))))
    for frames in shown[1:]:
        assert np.array_equal(frames, shown[0])
