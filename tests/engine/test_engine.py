"""The engine with its real thread and the real clock; every wait has a bound and ends as soon as it can."""

import logging
import random
import time
from collections.abc import Iterator
from threading import Event, current_thread

import pytest

from support.fake_world import FakeWorld
from support.fakes import Recorder
from support.waiting import wait_until
from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.engine.session import Session
from worldplay.world.frames import FPS
from worldplay.world.steering import WalkRequest

WAIT_S = 60.0


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


@pytest.fixture(params=[False, True], ids=["one_thread", "decodes_beside"])
def engine(world: FakeWorld, request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = Engine(world, max_sessions=2, max_queued=1, decodes_beside=request.param)
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


def test_worker_thread_prepares_itself_before_the_first_chunk(world: FakeWorld) -> None:
    order: list[str] = []
    world.hooks["step"] = lambda: order.append("step")
    engine = Engine(world, 1, 0, prepare=lambda: order.append(f"prepared {current_thread().name}"))
    engine.start()
    visitor, _ = visit(engine)
    assert visitor.came.wait(WAIT_S)
    assert engine.close(WAIT_S)
    assert order[:2] == ["prepared worldplay-engine", "step"]


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
    in_step = Event()
    engine = Engine(world, max_sessions=1, max_queued=0)

    def hold() -> None:
        in_step.set()
        wait_until(lambda: not engine.is_live)

    world.hooks["step"] = hold
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


def held_in_decoder(world: FakeWorld) -> tuple[Engine, Event]:
    """An engine whose decoder thread is in a latent that ends when the event is set."""
    in_decoder, opened = Event(), Event()

    def hold() -> None:
        in_decoder.set()
        assert opened.wait(WAIT_S)

    world.once("decode", hold)
    engine = Engine(world, max_sessions=1, max_queued=0, stage_timeout_s=2, decodes_beside=True)
    engine.start()
    visit(engine)
    assert in_decoder.wait(WAIT_S)
    return engine, opened


def test_latent_that_hangs_in_the_decoder_thread_is_noticed(world: FakeWorld) -> None:
    engine, opened = held_in_decoder(world)
    assert engine.is_live
    for _ in range(3):
        engine.tick()
    assert not engine.is_live
    opened.set()
    assert engine.close(WAIT_S)


def test_closing_waits_for_the_decoder_thread_but_not_for_ever(world: FakeWorld) -> None:
    engine, opened = held_in_decoder(world)
    assert not engine.close(0.05)
    opened.set()
    assert engine.close(WAIT_S)
    assert world.log.count(("decode", None)) == 1


def test_random_presses_keep_every_chunk_whole(world: FakeWorld) -> None:
    """With cuts, pauses and rewinds at random: what is reported is what comes, and in order."""
    world.context_ms, world.step_ms, world.decode_ms = 4, 3, 3
    engine = Engine(world, max_sessions=2, max_queued=0, latch="latent", decodes_beside=True)
    engine.start()
    chance, pages = random.Random(1), [Ordered(), Ordered()]
    sessions = [engine.open(page) for page in pages]
    for page, session in zip(pages, sessions, strict=True):
        page.session = session
        session.start(WalkRequest(seed=0))
    for seq in range(250):
        time.sleep(0.01)
        session = sessions[chance.randrange(2)]
        session.controls(seq, 0.0, frozenset(chance.choice(["w", "a", ""])))
        for page, each in zip(pages, sessions, strict=True):
            page.play(0.01)
            each.playhead(page.shown_s, page.num_frames / FPS - page.shown_s, False)
        if seq % 100 == 99:
            session.reset()
    assert engine.close(WAIT_S)
    assert engine.stats().counters.failures == 0
    assert engine.stats().counters.cuts > 0
    for page in pages:
        assert page.problems == []
        assert page.num_frames > 30


class Ordered(Recorder):
    """Checks that each report follows from the one before, and brings no more than it says."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.shown_s = 0.0
        self._next = (0, 0)  # chunk, latent

    def play(self, time_s: float) -> None:
        self.shown_s = min(self.num_frames / FPS, self.shown_s + time_s)

    def on_chunk(self, report: ChunkReport) -> None:
        chunk = report.chunk
        if (chunk.index, chunk.first_latent) != self._next:
            self.problems.append(f"expected {self._next}, got {chunk.index}, {chunk.first_latent}")

    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        super().on_frames(frames, decode_ms, decoded_at_ms)
        chunk, latent = self._next
        self._next = (chunk, latent + 1) if latent < 3 else (chunk + 1, 0)

    def on_state(self, what: str, detail: dict[str, object]) -> None:
        super().on_state(what, detail)
        if what == "reset":
            self._next = (0, 0)
