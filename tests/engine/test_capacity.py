"""As many visitors as the machine keeps in real time, and no more than the operator allows."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pytest
import torch

from worldplay import loading
from worldplay.engine import capacity
from worldplay.engine.capacity import measure_pace
from worldplay.engine.ports import Frames
from worldplay.loading import find_pace, make_engine
from worldplay.settings import load_settings
from worldplay.world.chunk import Chunk
from worldplay.world.kept_rollout import Keeping
from worldplay.world.live_walk import LiveWalk
from worldplay.world.pace import Pace
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
    decode = LiveWalk.decode

    def see_and_decode(walk: LiveWalk, chunk: Chunk) -> Iterator[Frames]:
        seen.append(len(chunk.context))
        return decode(walk, chunk)

    monkeypatch.setattr(LiveWalk, "decode", see_and_decode)
    count_in_time(world, 4)
    assert set(seen) == {world.rollout.config.memory_latents}


def test_a_machine_that_keeps_nobody_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_chunks_take(forever(2.0), monkeypatch)
    engine = make_engine(load_settings(), world, find_pace(load_settings(), world))
    assert engine.max_sessions == 1
    assert engine.times_real_time == pytest.approx(1 / 3)
    assert "slow motion, 0.33x real time: a chunk takes 2.00 s to make and is shown for 0.67 s" in caplog.text


def test_released_model_on_a_cpu_is_not_measured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    let_chunks_take(iter(()), monkeypatch)
    settings = load_settings(model="hy-worldplay")
    assert find_pace(settings, world) is None
    engine = make_engine(settings, world)
    assert (engine.max_sessions, engine.times_real_time) == (4, None)


def test_what_the_operator_says_is_not_questioned(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_chunks_take(forever(0.5), monkeypatch)
    pace = find_pace(load_settings(), world)
    assert make_engine(load_settings(max_sessions=4), world, pace).max_sessions == 4
    with caplog.at_level(logging.INFO):
        assert make_engine(load_settings(), world, pace).max_sessions == 1
    assert "in real time: 1" in caplog.text
    monkeypatch.setenv("WORLDPLAY_MAX_SESSIONS", "3")
    assert make_engine(load_settings(), world, pace).max_sessions == 3


def test_both_time_and_memory_limit_the_visitors(world: World) -> None:
    roomy = replace(world, max_sessions=2)
    for seconds, slots in ((0.1, 2), (0.29, 2), (0.4, 1)):
        assert make_engine(load_settings(), roomy, Pace(seconds, 4)).max_sessions == slots


def test_the_released_model_on_a_gpu_is_measured_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[float] = []
    monkeypatch.setattr(World, "device", torch.device("cuda"))
    monkeypatch.setattr(loading, "recall", lambda *_: kept[-1] if kept else None)
    monkeypatch.setattr(loading, "remember", lambda _, size, seconds: kept.append(seconds))
    monkeypatch.setattr(loading, "measure_pace", lambda _: Pace(0.25 + len(kept), 4))
    settings = load_settings(model="hy-worldplay")
    assert [find_pace(settings, world) for _ in range(2)] == [Pace(0.25, 4)] * 2
    assert make_engine(settings, world, Pace(0.25, 4)).max_sessions == 2
