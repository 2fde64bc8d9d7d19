"""As many visitors as the machine keeps in real time, and no more than the operator allows."""

import logging
from collections.abc import Iterator

import pytest

from worldplay import capacity
from worldplay.app import make_engine
from worldplay.capacity import count_in_time
from worldplay.settings import load_settings
from worldplay.world.world import World


def let_chunks_take(seconds: Iterator[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_make_chunk", lambda *_: next(seconds))


def forever(seconds: float, first: float | None = None) -> Iterator[float]:
    yield seconds if first is None else first
    while True:
        yield seconds


@pytest.mark.parametrize(
    ("seconds", "places"), [(0.7, 1), (0.4, 1), (0.29, 2), (0.19, 3), (0.149, 4), (0.01, 4)]
)
def test_chunks_of_all_visitors_fit_into_the_time_that_one_is_watched(
    world: World, seconds: float, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_chunks_take(forever(seconds), monkeypatch)
    assert count_in_time(world, 4) == places


def test_a_slow_first_chunk_does_not_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    let_chunks_take(forever(0.1, first=2.0), monkeypatch)
    assert count_in_time(world, 4) == 4


def test_this_machine_keeps_a_visitor(world: World) -> None:
    assert 1 <= count_in_time(world, 4) <= 4
    assert count_in_time(world, 1) == 1


def test_what_the_operator_says_is_not_questioned(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_chunks_take(forever(0.5), monkeypatch)
    assert make_engine(load_settings(max_sessions=4), world).max_sessions == 4
    with caplog.at_level(logging.INFO):
        assert make_engine(load_settings(), world).max_sessions == 1
    assert "in real time: 1" in caplog.text
    monkeypatch.setenv("WORLDPLAY_MAX_SESSIONS", "3")
    assert make_engine(load_settings(), world).max_sessions == 3
