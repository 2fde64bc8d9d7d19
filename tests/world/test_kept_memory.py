"""The memory of kept context: what exists at once is never more than what was counted."""

import random
import weakref
from dataclasses import replace

import pytest
from torch import Tensor

from support.tiny_world import ROLLOUT, make_world
from worldplay.model.heads import Heads
from worldplay.model.kept_context import CapturingCache
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.chunk import PendingChunk
from worldplay.world.kept_rollout import Keeping
from worldplay.world.rollout_config import count_kept_latents
from worldplay.world.steering import CircleSteering, TrajectorySteering, WalkRequest
from worldplay.world.tiers import count_kept_bytes
from worldplay.world.world import World

CONTEXT, CHUNK = ROLLOUT.memory_latents, ROLLOUT.chunk_latents
NEWEST = 4
WALKS = 3  # two sessions and a clip
MOVES = (Motion(forward=FORWARD_STEP), Motion(yaw=TURN_STEP), Motion(forward=-FORWARD_STEP))


class LiveLatents:
    """The latents whose keys and values exist, and the most bytes that they ever had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._all: list[weakref.ref[Tensor]] = []
        self.most_bytes = 0
        extend = CapturingCache.extend

        def extend_and_count(cache: CapturingCache, block: int, own: Heads) -> tuple[Tensor, Tensor, Tensor]:
            extended = extend(cache, block, own)
            if block == 0:
                self._all += map(weakref.ref, cache.latents)
                self.most_bytes = max(self.most_bytes, self.num_bytes)
            return extended

        monkeypatch.setattr(CapturingCache, "extend", extend_and_count)

    @property
    def num_bytes(self) -> int:
        self._all = [latent for latent in self._all if latent() is not None]
        return sum(latent.nbytes for each in self._all if (latent := each()) is not None)


class Visitor:
    """Walks, and between stages cuts, rewinds, drops chunks and changes the prompt at random."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._chance = chance
        self._walk = world.open_walk(WalkRequest(seed=chance.randrange(100)))
        self._pending: PendingChunk | None = None

    def go_on(self) -> None:
        chance = self._chance.random()
        if chance < 0.01:
            self._walk.set_prompt(str(chance))
        elif chance < 0.02:
            self._drop()
            self._walk.truncate(self._chance.randint(0, self._walk.num_chunks))
        elif chance < 0.05:
            self._drop()
        elif chance < 0.1 and self._walk.num_chunks and self._can_cut:
            self._drop()
            self._pending = self._walk.begin_cut(2, self._steering(2))
        else:
            self._advance()

    @property
    def _can_cut(self) -> bool:
        return self._walk._newest is not None  # none after a rewind

    def _drop(self) -> None:
        if self._pending is not None:
            self._pending.close()
        self._pending = None

    def _advance(self) -> None:
        if self._pending is None:
            self._pending = self._walk.begin_chunk(self._steering(CHUNK if self._walk.num_chunks else 3))
        if self._pending.advance() is not None:
            self._pending = None

    def _steering(self, count: int) -> CircleSteering | TrajectorySteering:
        if self._chance.random() < 0.5:
            return CircleSteering()
        return TrajectorySteering([self._chance.choice(MOVES)] * count)


def keeping(most: int) -> World:
    world = make_world()
    return replace(world, rollout=replace(world.rollout, keeping=Keeping(NEWEST, most)))


def test_no_more_exists_than_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    live, chance = LiveLatents(monkeypatch), random.Random(0)
    one = count_kept_bytes(make_world())
    spare = WALKS * (2 * CONTEXT + 1) * one
    most = count_kept_latents(spare, one, WALKS, CONTEXT)
    assert most >= CONTEXT
    world = keeping(most)
    visitors = [Visitor(world, chance) for _ in range(WALKS)]
    for _ in range(400):
        chance.choice(visitors).go_on()
    assert 0.7 * spare < live.most_bytes <= spare


@pytest.mark.parametrize(("latents", "most"), [(43, 20), (44, 24), (15, 0)])
def test_whole_chunks_are_kept(latents: int, most: int) -> None:
    """Else the rest of a chunk that has to be encoded has a length for which nothing is prepared."""
    assert count_kept_latents(2 * 100 * latents, 100, walks=2, context=20) == most


def test_old_prompt_is_forgotten_before_the_context_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveLatents(monkeypatch)
    world = keeping(most=40)
    walk = world.open_walk(WalkRequest(seed=1))
    for _ in range(9):
        walk.begin_chunk(CircleSteering()).finish()
    before = live.num_bytes
    walk.set_prompt("snow")
    walk.begin_chunk(CircleSteering()).advance()
    one = count_kept_bytes(world)
    assert before > 2 * CONTEXT * one
    assert live.num_bytes == 2 * CONTEXT * one  # the newest chunk may still be cut


def test_walk_that_rests_holds_only_the_context_of_a_chunk_that_may_be_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = LiveLatents(monkeypatch)
    world = keeping(most=40)
    walk = world.open_walk(WalkRequest(seed=1))
    for _ in range(9):
        walk.begin_chunk(CircleSteering()).finish()
    walk.release()
    assert [kept._text for kept in walk.walk.kept] == [None]
    assert live.num_bytes <= 2 * CONTEXT * count_kept_bytes(world)


def test_prompt_that_comes_within_a_chunk_keeps_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveLatents(monkeypatch)
    walk = keeping(most=40).open_walk(WalkRequest(seed=1))
    for _ in range(4):
        walk.begin_chunk(CircleSteering()).finish()
    pending = walk.begin_chunk(CircleSteering())
    pending.advance()
    walk.set_prompt("snow")
    pending.finish()
    assert [kept.num_bytes for kept in walk.walk.kept] == [0]
    assert live.num_bytes > 0
