"""The engine with its real thread and the real clock; every wait has a bound and ends as soon as it can."""

import logging
import time
from collections.abc import Iterator
from threading import Event, current_thread

import pytest

from support.fakes import FakeWorld, Recorder
from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine.ports import ChunkReport
from worldplay.engine.session import Session
from worldplay.world.steering import WalkRequest

WAIT_S = 10.0


class RealTime:
    """A clock whose passing takes time."""

    def advance(self, time_ms: float) -> None:
        time.sleep(time_ms / 1000)


class Visitor(Recorder):
    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.awaited = awaited
        self.came = Event()

    def on_chunk(self, report: ChunkReport) -> None:
        super().on_chunk(report)
        self.notice("chunk")

    def on_error(self, code: str, message: str, fatal: bool) -> None:
        super().on_error(code, message, fatal)
        self.notice(code)

    def notice(self, what: str) -> None:
        if what == self.awaited:
            self.came.set()


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(RealTime(), context_ms=1, step_ms=1, decode_ms=1)


@pytest.fixture
def engine(world: FakeWorld) -> Iterator[Engine]:
    engine = Engine(world, max_sessions=2, max_queued=1)
    engine.start()
    yield engine
    assert engine.close(WAIT_S)


def visit(engine: Engine, awaited: str = "chunk") -> tuple[Visitor, Session]:
    visitor = Visitor(awaited)
    session = engine.open(visitor)
    session.start(WalkRequest(seed=0))
    return visitor, session


def test_visitor_gets_a_chunk_from_the_worker_thread(engine: Engine, world: FakeWorld) -> None:
    threads = []
    world.hooks["step"] = lambda: threads.append(current_thread().name)
    visitor, _ = visit(engine)
    assert visitor.came.wait(WAIT_S)
    assert set(threads) == {"worldplay-engine"}
    assert abs(visitor.reports[0].latch.at_ms - monotonic_ms()) < WAIT_S * 1000


def test_request_wakes_an_idle_worker(engine: Engine) -> None:
    visitor, session = visit(engine)
    assert visitor.came.wait(WAIT_S)
    session.pause()
    time.sleep(0.05)  # long enough for the thread to go to sleep
    visitor.came.clear()
    session.step()
    assert visitor.came.wait(WAIT_S)


def test_stats_tell_who_is_here(engine: Engine) -> None:
    visitors = [visit(engine) for _ in range(2)]
    for visitor, _ in visitors:
        assert visitor.came.wait(WAIT_S)
    visit(engine)
    turned_away, _ = visit(engine, awaited="busy")
    assert turned_away.came.wait(WAIT_S)
    stats = engine.stats()
    assert (stats.sessions, stats.queued, stats.counters.sessions_refused) == (2, 1, 1)
    assert stats.counters.walks_opened == 2
    assert 0 < stats.counters.busy_ms < stats.uptime_ms


def test_closing_in_mid_chunk_ends_the_thread_in_time(world: FakeWorld) -> None:
    world.step_ms = 50
    in_step = Event()
    world.hooks["step"] = in_step.set
    engine = Engine(world, max_sessions=1, max_queued=0)
    engine.start()
    visitor, _ = visit(engine)
    assert in_step.wait(WAIT_S)
    assert engine.healthy
    assert engine.close(WAIT_S)
    assert not engine.healthy
    assert world.log.count(("step", None)) == 1
    assert visitor.reports == []


def test_closing_an_engine_that_never_started_is_fine(world: FakeWorld) -> None:
    assert Engine(world, max_sessions=1, max_queued=0).close()


def test_closing_twice_is_fine(engine: Engine) -> None:
    assert engine.close(WAIT_S)
    assert engine.close(WAIT_S)


def test_failed_session_leaves_the_engine_healthy(
    engine: Engine, world: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("boom")

    world.once("step", fail)
    unlucky, _ = visit(engine, awaited="internal")
    assert unlucky.came.wait(WAIT_S)
    lucky, _ = visit(engine)
    assert lucky.came.wait(WAIT_S)
    assert engine.healthy


def test_fault_of_the_engine_itself_is_told_to_everyone(
    engine: Engine, world: FakeWorld, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Freeing memory fails: there is no session to blame, and no way on."""

    def run_out() -> None:
        raise MemoryError

    monkeypatch.setattr(world, "free_memory", run_out)
    bystander = Visitor("internal")
    engine.open(bystander)
    world.hooks["step"] = run_out
    with caplog.at_level(logging.ERROR):
        visitor, _ = visit(engine, awaited="out_of_memory")
        assert visitor.came.wait(WAIT_S)
        assert bystander.came.wait(WAIT_S)
    assert not engine.healthy
    assert "the engine has stopped" in caplog.text


def test_engine_that_has_stopped_says_so(engine: Engine) -> None:
    engine.close(WAIT_S)
    late, session = visit(engine, awaited="internal")
    assert late.events == [("error", "internal", "the engine has stopped", True)]
    assert session.is_closed
