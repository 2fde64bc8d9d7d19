"""Walks that take turns: with caches of their own they encode nothing again, and nothing else changes."""

from dataclasses import replace

import pytest
import torch

from support.tiny_world import ROLLOUT, make_world, with_sets
from support.walks import latents_of
from worldplay.world.live_walk import LiveWalk
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World


@pytest.fixture(scope="module")
def shared() -> World:
    return make_world()


def open_walks(world: World, count: int, num_chunks: int) -> list[LiveWalk]:
    walks = [world.open_walk(WalkRequest(seed=seed, prompt="a door"[seed:])) for seed in range(count)]
    for _ in range(num_chunks):
        for live in walks:
            live.begin_chunk(CircleSteering()).finish()
    return walks


def take_turns(walks: list[LiveWalk]) -> None:
    """Make a chunk of each, one stage of each after the other."""
    pending = [live.begin_chunk(CircleSteering()) for live in walks]
    for _ in range(ROLLOUT.steps + 1):
        for each in pending:
            each.advance()


def count_encoded(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many latents each pass over context encodes."""
    counts: list[int] = []
    transformer = world.rollout.transformer
    encode = transformer.extend_context

    def count(latents: torch.Tensor, *rest: object) -> None:
        counts.append(latents.shape[2])
        encode(latents, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(transformer, "extend_context", count)
    return counts


@pytest.mark.parametrize("num_sets", [1, 2, 3])
def test_any_number_of_sets_gives_the_same_latents(shared: World, num_sets: int) -> None:
    """Bit by bit, also where three walks share two sets."""
    expected = [latents_of(live) for live in open_walks(shared, 3, 5)]
    walks = open_walks(with_sets(shared, num_sets), 3, 3)
    for _ in range(2):
        take_turns(walks)
    for live, latents in zip(walks, expected, strict=True):
        assert torch.equal(latents_of(live), latents)


@pytest.mark.parametrize(("num_sets", "passes"), [(1, 2 * (1 + ROLLOUT.steps)), (2, 2), (3, 2)])
def test_nothing_is_encoded_twice_with_a_set_for_each(
    shared: World, monkeypatch: pytest.MonkeyPatch, num_sets: int, passes: int
) -> None:
    world = with_sets(shared, num_sets)
    walks = open_walks(world, 2, 3)
    counts = count_encoded(world, monkeypatch)
    take_turns(walks)
    assert counts == [12] * passes


def test_chunk_that_was_displaced_finds_what_it_encoded(
    shared: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine drops a chunk that waits for its latch, and begins it again later."""
    world = with_sets(shared, 2)
    ours, theirs = open_walks(world, 2, 3)
    counts = count_encoded(world, monkeypatch)
    dropped = ours.begin_chunk(CircleSteering())
    dropped.advance()
    dropped.close()
    theirs.begin_chunk(CircleSteering()).finish()
    again = ours.begin_chunk(CircleSteering()).finish()
    assert counts == [12, 12]
    assert again.timings_ms["context"] == 0.0
    assert torch.equal(latents_of(ours), latents_of(open_walks(shared, 1, 4)[0]))


def test_cut_finds_its_context_though_others_computed(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_sets(shared, 2)
    ours, theirs = open_walks(world, 2, 4)
    assert ours.holds_context
    take_turns([theirs])
    counts = count_encoded(world, monkeypatch)
    assert ours.holds_context
    ours.begin_cut(2, CircleSteering()).finish()
    assert counts == []


def test_rewound_walk_does_not_take_old_context_for_new(shared: World) -> None:
    """The same latents by number, but generated again with other steering before them."""
    world = with_sets(shared, 2)
    live = open_walks(world, 1, 4)[0]
    live.begin_chunk(CircleSteering()).advance()
    live.truncate(2)
    for _ in range(3):
        live.begin_chunk(CircleSteering()).finish()
    assert torch.equal(latents_of(live), latents_of(open_walks(shared, 1, 5)[0]))


def test_new_prompt_is_encoded_anew(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_sets(shared, 2)
    live = open_walks(world, 1, 4)[0]
    live.begin_chunk(CircleSteering()).advance()
    counts = count_encoded(world, monkeypatch)
    live.set_prompt("snow")
    live.begin_chunk(CircleSteering()).finish()
    assert counts == [12]


def test_set_of_a_walk_that_has_ended_is_taken_first(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_sets(shared, 2)
    walks = open_walks(world, 2, 3)
    walks.pop(1)
    walks.append(open_walks(world, 1, 3)[0])
    counts = count_encoded(world, monkeypatch)
    take_turns(walks)
    assert counts == [12, 12]


def test_with_guidance_each_walk_has_two_caches(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = 2 * shared.rollout.caches
    config = replace(ROLLOUT, guidance=2.0)
    guided = replace(shared, rollout=replace(shared.rollout, caches=caches, config=config))
    world = with_sets(guided, 2)
    walks = open_walks(world, 2, 2)
    counts = count_encoded(world, monkeypatch)
    take_turns(walks)
    assert counts == [8] * 4
