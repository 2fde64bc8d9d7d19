"""As many visitors as the machine keeps in real time, and no more than the operator allows."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pytest

from worldplay.engine import capacity
from worldplay.engine.capacity import measure_pace
from worldplay.engine.ports import Frames
from worldplay.world.chunk import Chunk
from worldplay.world.kept_rollout import Keeping
from worldplay.world.live_walk import LiveWalk
from worldplay.world.world import World


def let_chunks_take(seconds: Iterator[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_make_chunk", lambda *_: next(seconds))


def count_in_time(world: World, most: int) -> int:
    return measure_pace(world).limit(most)


def forever(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


@pytest.mark.parametrize(
    ("seconds", "places"), [(0.6, 1), (0.4, 1), (0.29, 2), (0.19, 3), (0.149, 4), (0.01, 4)]
)
def test_chunks_of_all_visitors_fit_into_the_time_that_one_is_watched(
    world: World, seconds: float, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_chunks_take(forever(seconds), monkeypatch)
    assert count_in_time(world, 4) == places


def test_first_chunk_warms_up_and_does_not_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in (0.05, 0.9):
        let_chunks_take(chain([first], forever(0.25)), monkeypatch)
        assert count_in_time(world, 4) == 2


def test_one_slow_chunk_says_nothing_of_the_machine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    let_chunks_take(chain([0.25] * 2, [0.9], forever(0.25)), monkeypatch)
    assert count_in_time(world, 4) == 2


def test_a_walk_that_keeps_its_context_is_measured_when_it_has_kept_some(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_chunks_take(chain([5.0], forever(3.0)), monkeypatch)
    assert measure_pace(world).made_s == 5.0
    let_chunks_take(chain([5.0], forever(3.0)), monkeypatch)
    keeping = replace(world, rollout=replace(world.rollout, keeping=Keeping(4, 12)))
    assert measure_pace(keeping).made_s == 3.0


@pytest.mark.parametrize(("seconds", "chunks"), [(0.1, 4), (0.5, 3), (1.4, 2), (60.0, 1)])
def test_slow_machine_is_measured_for_a_moment_only(
    world: World, seconds: float, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [seconds] * chunks
    monkeypatch.setattr(capacity, "_make_chunk", lambda *_: times.pop())
    assert count_in_time(world, 4) >= 1
    assert times == []


@pytest.mark.slow
def test_chunks_are_walked_on_with_all_their_context(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    decode = LiveWalk.decode_for_encoder

    def see_and_decode(walk: LiveWalk, chunk: Chunk) -> Iterator[Frames]:
        seen.append(len(chunk.context))
        return decode(walk, chunk)

    monkeypatch.setattr(LiveWalk, "decode_for_encoder", see_and_decode)
    count_in_time(world, 4)
    assert set(seen) == {world.rollout.config.memory_latents}
