from dataclasses import replace

import pytest

from support.fake_world import FakeWalk
from support.fakes import Recorder, Theatre, names, stages, started
from worldplay.engine.chunk_run import ChunkRun
from worldplay.engine.failures import BUSY_BUT_KEPT
from worldplay.engine.pacing import Costs
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.world.camera import FORWARD_STEP, Motion
from worldplay.world.steering import WalkRequest

AHEAD = Motion(forward=FORWARD_STEP)


def test_start_opens_a_walk_and_makes_a_chunk() -> None:
    theatre, listener = Theatre(), Recorder()
    theatre.open(listener, "court")
    theatre.settle()
    assert stages(theatre)[:10] == ["open", "context", *["step"] * 4, *["decode"] * 4]
    assert names(listener)[:2] == ["started", "chunk"]
    assert listener.num_frames == 13


def test_session_that_was_not_started_does_nothing() -> None:
    theatre, listener = Theatre(), Recorder()
    theatre.open(listener, start=False)
    theatre.settle()
    assert theatre.world.log == []


def test_report_tells_what_was_latched() -> None:
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    session.controls(4, 0.0, frozenset("w"))
    theatre.settle()
    report = listener.reports[0]
    assert (report.chunk.index, report.chunk.num_frames, report.latch.seq) == (0, 13, 4)
    assert report.chunk.motions == [AHEAD] * 4
    assert report.latch.at_ms == 1040.0  # after the context pass
    assert report.chunk.timings_ms == {"context": 40.0, "denoise": 80.0}


def test_controls_sent_during_the_context_pass_are_in_the_chunk() -> None:
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    theatre.world.hooks["context"] = lambda: session.controls(9, 0.0, frozenset("w"))
    theatre.settle()
    assert listener.reports[0].latch.seq == 9


class Timer(Recorder):
    """Remembers when frames came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[float, float]] = []

    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        self.times.append((decode_ms, decoded_at_ms))


def test_frames_come_latent_by_latent_with_their_times() -> None:
    theatre, listener = Theatre(decode_ms=10), Timer()
    theatre.open(listener)
    theatre.settle()
    assert listener.times[:4] == [
        (10.0, 1130.0),
        (10.0, 1140.0),
        (10.0, 1150.0),
        (10.0, 1160.0),
    ]


def test_bump_is_told_after_its_chunk() -> None:
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    session.poses(1, [Motion(forward=5.0)] * 4)
    theatre.settle()
    assert listener.events[1:3] == [("chunk", 0), ("bump", {"chunk": 0})]


@pytest.mark.parametrize("stage", ["open", "context", "step", "decode"])
def test_disconnect_in_mid_chunk_frees_the_worker_within_one_stage(stage: str) -> None:
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    theatre.world.hooks[stage] = session.close
    theatre.settle()
    assert stages(theatre)[-1] == stage
    assert stages(theatre).count(stage) == 1
    assert theatre.worker.admission.num_slots_taken == 0
    assert session.walk is None


def test_closing_twice_ends_once() -> None:
    theatre, page, session = started()
    session.close()
    session.close()
    theatre.clock.pages.clear()
    theatre.run(100)
    assert theatre.counters.sessions_ended == 1
    assert page.events[-1][0] == "chunk"


def test_requests_after_closing_do_nothing() -> None:
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    session.close()
    theatre.settle()
    session.start(WalkRequest("court"))
    session.reset()
    session.step()
    session.playhead(0.0, 0.0, False)
    theatre.settle()
    assert listener.events == []
    assert theatre.world.log == []


def test_who_waits_hears_of_it_and_starts_when_a_place_is_free() -> None:
    theatre = Theatre(max_sessions=1)
    first = theatre.open(Recorder())
    second, third = Recorder(), Recorder()
    theatre.open(second)
    theatre.open(third)
    theatre.settle()
    assert second.events == [("queued", 1, None)]
    assert third.events == [("queued", 2, None)]
    theatre.run(1000)
    first.close()
    theatre.settle()
    assert second.events[1:3] == [("started",), ("chunk", 0)]
    name, position, eta_s = third.events[1]
    assert (name, position) == ("queued", 1)
    assert isinstance(eta_s, float)
    assert eta_s > 1.0


def test_who_comes_back_to_a_full_queue_waits_or_hears_that_the_walk_is_kept() -> None:
    theatre = Theatre(max_sessions=1, max_queued=0)
    theatre.open(Recorder())
    back, late = Recorder(), Recorder()
    for recorder, name in ((back, "back"), (late, "late")):
        theatre.open(recorder, name=name)
    theatre.settle()
    assert back.events[0][:2] == ("queued", 1)
    assert late.events[0][:3] == ("error", "busy", BUSY_BUT_KEPT)


def test_slot_of_who_has_just_left_goes_to_who_has_just_come() -> None:
    theatre = Theatre(max_sessions=1, max_queued=0)
    first = theatre.open(Recorder())
    theatre.settle()
    second = Recorder()
    first.close()
    theatre.open(second)
    theatre.settle()
    assert "error" not in {event[0] for event in second.events}


def test_no_place_and_no_queue_is_busy() -> None:
    theatre = Theatre(max_sessions=1, max_queued=0)
    theatre.open(Recorder())
    turned_away = Recorder()
    theatre.open(turned_away)
    theatre.settle()
    assert [event[:2] for event in turned_away.events] == [("error", "busy")]
    assert turned_away.events[0][3] is True
    assert theatre.counters.sessions_refused == 1


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    ("error", "code", "num_freed"),
    [
        (RuntimeError("boom"), "internal", 0),
        (StopIteration(), "internal", 0),
        (MemoryError(), "out_of_memory", 1),
        (OutOfMemoryError("CUDA"), "out_of_memory", 1),
    ],
)
@pytest.mark.parametrize("stage", ["open", "context", "step", "decode"])
def test_failure_ends_its_session_and_no_other(
    error: Exception,
    code: str,
    num_freed: int,
    stage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    theatre, listener = Theatre(), Recorder()
    page = theatre.open_page("fine")
    theatre.run(300)
    theatre.open(listener, "bad")

    def fail_for_bad() -> None:
        if theatre.world.log[-1][1] == "bad":
            raise error

    theatre.world.hooks[stage] = fail_for_bad
    theatre.run(3000)
    assert [event[1] for event in listener.events if event[0] == "error"] == [code]
    assert listener.events[-1][3] is True
    assert theatre.world.num_freed == num_freed
    assert theatre.counters.failures == 1
    assert len(page.reports) >= 4
    assert "session 2 failed" in caplog.text
    assert "Traceback" in caplog.text


class FailingListener(Recorder):
    """Fails at its first chunk, and again when it is told why its session ended."""

    def on_chunk(self, report: ChunkReport) -> None:
        raise RuntimeError("loop is closed")

    def on_error(self, code: str, message: str, fatal: bool) -> None:
        raise RuntimeError("loop is closed")


def test_listener_that_fails_ends_its_session_only(caplog: pytest.LogCaptureFixture) -> None:
    theatre = Theatre()
    theatre.open(FailingListener())
    page = theatre.open_page()
    theatre.run(2000)
    assert theatre.worker.admission.num_slots_taken == 1
    assert len(page.reports) >= 2
    assert "could not be told" in caplog.text


def test_counters_add_up() -> None:
    theatre = Theatre()
    page = theatre.open_page()
    theatre.run(10_000)
    counters = theatre.counters
    assert counters.chunks == len(page.reports)
    assert counters.frames == page.num_frames == 16 * counters.chunks - 3
    assert counters.stage_ms == {
        "context": 40.0 * counters.chunks,
        "denoise": 80.0 * counters.chunks,
        "decode": 40.0 * counters.chunks,
    }
    assert (counters.chunk_median_ms, counters.chunk_p95_ms) == (160.0, 160.0)
    assert counters.busy_ms == 160.0 * counters.chunks
    assert counters.speculation_hits == counters.chunks
    assert counters.walks_opened == counters.sessions_opened == 1


@pytest.mark.parametrize("relit", [False, True])
def test_context_pass_of_a_relit_chunk_predicts_no_other(relit: bool) -> None:
    theatre = Theatre()
    session = theatre.open(Recorder())
    run = ChunkRun(session, FakeWalk(theatre.world, None), theatre.clock)
    while run.chunk is None:
        run.advance()
    run.chunk = replace(run.chunk, relit=relit)
    costs = Costs()
    run.count(costs)
    assert bool(costs.context) is not relit
    assert costs.generate
