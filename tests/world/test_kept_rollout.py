"""Chunks whose context is partly read back: what is encoded, and that nothing else changes the result."""

from dataclasses import replace

import pytest
import torch

from support.tiny_world import ROLLOUT, make_world
from worldplay.model.kept_context import KeptLatents, encode_between
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world import chunk_caches
from worldplay.world.camera import Motion
from worldplay.world.chunk_caches import LatentsOf
from worldplay.world.kept_rollout import ChunkContext, Keeping
from worldplay.world.live_walk import LiveWalk
from worldplay.world.steering import CircleSteering, Move, WalkRequest
from worldplay.world.world import World

MANY = 1000


@pytest.fixture(scope="module")
def exact() -> World:
    return make_world()


def keeping(world: World, newest: int, most: int = MANY) -> World:
    return replace(world, rollout=replace(world.rollout, keeping=Keeping(newest, most)))


def walk_on(world: World, num_chunks: int, seed: int = 1) -> LiveWalk:
    live = world.open_walk(WalkRequest(seed=seed))
    for _ in range(num_chunks):
        live.begin_chunk(CircleSteering()).finish()
    return live


def latents_of(live: LiveWalk) -> torch.Tensor:
    return live.walk.latents.gather(range(live.walk.num_latents))


def count_encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []

    def count(model: WorldPlayTransformer, latents: torch.Tensor, *rest: object) -> None:
        counts.append(latents.shape[2])
        encode_between(model, latents, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(chunk_caches, "encode_between", count)
    return counts


def test_encoding_the_whole_context_is_exact(exact: World) -> None:
    everything = keeping(exact, newest=ROLLOUT.memory_latents)
    assert torch.equal(latents_of(walk_on(everything, 5)), latents_of(walk_on(exact, 5)))


def test_what_is_missing_is_encoded_at_its_place(exact: World) -> None:
    forgetful = keeping(exact, newest=4, most=0)
    assert torch.equal(latents_of(walk_on(forgetful, 5)), latents_of(walk_on(exact, 5)))


@torch.inference_mode()
def test_a_latent_between_others_takes_its_own_position(exact: World) -> None:
    """Encoded or read back, every latent's first keys are the same: they depend on nothing before them."""
    live = walk_on(exact, 3)
    live.begin_chunk(CircleSteering()).advance()
    expected = exact.rollout.caches[0].context(0)[0].clone()
    kept = KeptLatents(MANY)
    cache, text = exact.rollout.caches[0], live.walk.text[0]
    latents = LatentsOf(exact.rollout, live.walk)
    cache.set_text(text)
    first = ChunkContext(12, kept, text)
    first.fill(latents, [0, 1, 4, 5, 10, 11], cache)
    first.keep()
    cache.set_text(text)
    ChunkContext(1, kept, text).fill(latents, list(range(12)), cache)
    got = cache.context(0)[0].unflatten(2, (12, -1))
    order = [0, 1, 4, 5, 10, 2, 3, 6, 7, 8, 9, 11]
    torch.testing.assert_close(got, expected.unflatten(2, (12, -1))[:, :, order])


@torch.inference_mode()
def test_a_context_that_is_brought_again_lies_in_the_same_order(exact: World) -> None:
    """Sums over keys in another order differ in the last digit."""
    live = walk_on(exact, 3)
    kept, cache, text = KeptLatents(MANY), exact.rollout.caches[0], live.walk.text[0]
    latents = LatentsOf(exact.rollout, live.walk)
    cache.set_text(text)
    earlier = ChunkContext(12, kept, text)
    earlier.fill(latents, [4, 5, 6, 7], cache)
    earlier.keep()
    chunk, keys = ChunkContext(4, kept, text), []
    for _ in range(2):  # another walk may use the cache in between
        cache.set_text(text)
        chunk.fill(latents, list(range(12)), cache)
        keys.append(cache.context(0)[0].clone())
    assert torch.equal(*keys)


def test_only_the_newest_are_encoded(exact: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = keeping(exact, newest=4)
    counts = count_encoded(monkeypatch)
    walk_on(world, 6)
    assert counts == [4, 4, 4, 4, 4]


def test_kept_context_changes_later_chunks_only(exact: World) -> None:
    ours, theirs = latents_of(walk_on(keeping(exact, 4), 4)), latents_of(walk_on(exact, 4))
    assert torch.equal(ours[:, :, :8], theirs[:, :, :8])
    assert not torch.equal(ours[:, :, 8:], theirs[:, :, 8:])


def test_another_walk_at_every_stage_changes_nothing(exact: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sessions that take turns read their own context back, and encode nothing twice."""
    world = keeping(exact, newest=4)
    expected = latents_of(walk_on(world, 4))
    ours, theirs = walk_on(world, 3), walk_on(world, 3, seed=2)
    counts = count_encoded(monkeypatch)
    one, other = ours.begin_chunk(CircleSteering()), theirs.begin_chunk(CircleSteering())
    for _ in range(ROLLOUT.steps):
        one.advance()
        other.advance()
    one.finish()
    assert torch.equal(latents_of(ours), expected)
    assert counts == [4, 4]


def test_wrong_prediction_changes_nothing(exact: World) -> None:
    world = keeping(exact, newest=4)

    class Surprise(CircleSteering):
        def predict(self, num_latents: int) -> list[Move]:
            return [Motion(yaw=1.0)] * num_latents

    expected, live = latents_of(walk_on(world, 7)), world.open_walk(WalkRequest(seed=1))
    for _ in range(7):
        live.begin_chunk(Surprise()).finish()
    assert torch.equal(latents_of(live), expected)


def test_chunk_that_is_dropped_changes_nothing(exact: World) -> None:
    world = keeping(exact, newest=4)
    expected, live = latents_of(walk_on(world, 5)), walk_on(world, 4)
    dropped = live.begin_chunk(CircleSteering())
    dropped.advance()
    dropped.close()
    live.begin_chunk(CircleSteering()).finish()
    assert torch.equal(latents_of(live), expected)


def test_cut_after_the_next_context_pass_has_its_own_context(exact: World) -> None:
    world = keeping(exact, newest=4)
    at_once, later = walk_on(world, 5), walk_on(world, 5)
    at_once.begin_cut(2, CircleSteering()).finish()
    later.begin_chunk(CircleSteering()).advance()
    later.begin_cut(2, CircleSteering()).finish()
    assert torch.equal(latents_of(at_once), latents_of(later))


@pytest.mark.parametrize("change", ["prompt", "rewind"])
def test_nothing_is_read_back_after_a_change(
    exact: World, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = keeping(exact, newest=4)
    live = walk_on(world, 4)
    counts = count_encoded(monkeypatch)
    if change == "prompt":
        live.set_prompt("snow")
    else:
        live.truncate(2)
    live.begin_chunk(CircleSteering()).finish()
    assert counts == [12 if change == "prompt" else 8]
