"""How many visitors an engine takes, and which threads it gets, by the settings and the machine."""

import logging
from dataclasses import replace

import pytest
import torch

from support.tiny_world import make_world
from worldplay import engine_setup
from worldplay.engine import capacity
from worldplay.engine_setup import decodes_beside, find_pace, make_engine
from worldplay.settings import load_settings
from worldplay.world.pace import Pace
from worldplay.world.world import World


def let_chunks_take(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_make_chunk", lambda *_: seconds)


@pytest.mark.parametrize(("room", "places"), [(2, 2), (9, 4)])
def test_places_are_those_that_there_is_memory_for(world: World, room: int, places: int) -> None:
    assert make_engine(load_settings(), replace(world, max_sessions=room)).max_sessions == places


def test_a_machine_that_keeps_nobody_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_chunks_take(2.0, monkeypatch)
    engine = make_engine(load_settings(), world, find_pace(load_settings(), world))
    assert engine.max_sessions == 1
    assert engine.times_real_time == pytest.approx(1 / 3)
    assert "slow motion, 0.33x real time: a chunk takes 2.00 s to make and is shown for 0.67 s" in caplog.text


def test_released_model_on_a_cpu_is_not_measured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_setup, "measure_pace", None)
    settings = load_settings(model="hy-worldplay")
    assert find_pace(settings, world) is None
    engine = make_engine(settings, world)
    assert (engine.max_sessions, engine.times_real_time) == (4, None)


def test_what_the_operator_says_is_not_questioned(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_chunks_take(0.5, monkeypatch)
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
    monkeypatch.setattr(engine_setup, "recall", lambda *_: kept[-1] if kept else None)
    monkeypatch.setattr(engine_setup, "remember", lambda _, size, seconds: kept.append(seconds))
    monkeypatch.setattr(engine_setup, "measure_pace", lambda _: Pace(0.25 + len(kept), 4))
    settings = load_settings(model="hy-worldplay")
    assert [find_pace(settings, world) for _ in range(2)] == [Pace(0.25, 4)] * 2
    assert make_engine(settings, world, Pace(0.25, 4)).max_sessions == 2


@pytest.mark.parametrize(
    ("device", "attention", "cores", "threads", "gpus", "beside"),
    [
        ("cpu", "matmul", 2, 1, 1, True),
        ("cpu", "sdpa", 2, 1, 1, True),
        ("cpu", "sdpa-math", 2, 1, 1, False),  # which PyTorch switches on and off for all threads
        ("cpu", "sdpa", 1, 1, 1, False),
        ("cpu", "sdpa", 2, 2, 1, False),
        ("cpu", "sdpa", 2, 1, 2, False),
        ("cuda", "sdpa", 8, 1, 1, False),
    ],
)
def test_decoder_has_a_thread_where_it_finds_a_core(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    attention: str,
    cores: int,
    threads: int,
    gpus: int,
    beside: bool,
) -> None:
    monkeypatch.setattr(engine_setup, "count_usable_cores", lambda: cores)
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    world = make_world()
    world.rollout.transformer.use_attention(attention)
    monkeypatch.setattr(World, "device", torch.device(device))
    assert decodes_beside(load_settings(gpus=gpus), world) is beside


@pytest.mark.parametrize(("device", "prepares"), [("cpu", False), ("cuda", True)])
def test_every_shape_is_run_on_the_serving_thread_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, prepares: bool
) -> None:
    warmed: list[World] = []
    world = make_world()
    monkeypatch.setattr(engine_setup, "warm_up", warmed.append)
    monkeypatch.setattr(World, "device", torch.device(device))
    engine = make_engine(load_settings(), world)
    engine.start()
    assert engine.close(10)
    assert warmed == ([world] if prepares else [])
