"""Decoding on a thread of its own: the worker is stepped by hand while latents are held up in the decoder."""

import time
from collections.abc import Callable, Iterator
from threading import Event, Thread, Timer, current_thread

import pytest

from support.fake_world import FakeWorld
from support.fakes import FakeClock, Recorder, names
from worldplay.engine.admission import Admission
from worldplay.engine.decoder import DecoderThread
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.engine.session import Session
from worldplay.engine.watchdog import Watchdog
from worldplay.engine.worker import Worker
from worldplay.world.steering import WalkRequest

WAIT_S = 5.0


class Gate:
    """Holds the decoder up in the middle of a latent, for as long as it is told to."""

    def __init__(self) -> None:
        self.reached = Event()
        self.opened = Event()
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(WAIT_S), "nobody opened the gate"
        if self.error is not None:
            raise self.error


class Stage:
    """A worker that is stepped by hand, with a real decoder thread."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock, context_ms=0, step_ms=0, decode_ms=0)
        self.woken = Event()
        self.decoder = DecoderThread(self.clock, self.woken.set, Watchdog(5))
        self.worker = Worker(self.world, Admission(4, 2), self.clock, decoder=self.decoder)
        self.decoder.start()
        self.num_sessions = 0
        self.gates: list[Gate] = []

    def open(self, listener: Recorder) -> Session:
        self.num_sessions += 1
        session = listener.session = Session(self.num_sessions, listener, self.clock, lambda: None)
        self.worker.arrivals.append(session)
        session.start(WalkRequest(f"walk{self.num_sessions}"))
        return session

    def open_stepping(self, listener: Recorder, num_chunks: int) -> Session:
        """A paused session that wants so many chunks at once."""
        session = self.open(listener)
        session.pause()
        for _ in range(num_chunks):
            session.step()
        return session

    def hold_decoder(self) -> Gate:
        """Hold up the next latent, and no later one."""
        gate = Gate()
        self.gates.append(gate)
        self.world.once("decode", gate)
        return gate

    def work(self) -> None:
        """Work until there is nothing to do."""
        for _ in range(1000):
            if self.worker.run_once() != 0.0:
                return
        raise AssertionError("the worker never rests")

    def work_until(self, condition: Callable[[], bool]) -> None:
        """Work, and wait for the decoder, until something is the case."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, self.world.log
            self.woken.clear()
            if self.worker.run_once() != 0.0 and not condition():
                self.woken.wait(0.01)

    def log(self, walk: str) -> list[str]:
        return [stage for stage, name in self.world.log if name == walk]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    for gate in stage.gates:
        gate.opened.set()
    stage.worker.end_all(None)
    stage.decoder.close()


def held(stage: Stage, listener: Recorder) -> tuple[Session, Gate]:
    """A session whose first latent is held up in the decoder, when the worker has nothing more to do."""
    gate = stage.hold_decoder()
    session = stage.open(listener)
    stage.work()
    assert gate.reached.wait(WAIT_S)
    return session, gate


def is_quiet(stage: Stage) -> bool:
    return not stage.decoder.is_busy


def test_next_chunk_is_made_while_a_latent_is_decoded(stage: Stage) -> None:
    listener, gate = Recorder(), stage.hold_decoder()
    stage.open_stepping(listener, 2)
    stage.work()
    assert gate.reached.wait(WAIT_S)
    log = stage.log("walk1")
    log.remove("decode")  # at any time after the first chunk
    assert log == ["open", *["context", *["step"] * 4] * 2]
    assert listener.num_frames == 0
    gate.opened.set()
    stage.work_until(lambda: listener.num_frames == 13 + 16)
    assert [report.chunk.index for report in listener.reports] == [0, 1]


class Threads(Recorder):
    """Remembers which thread brought what, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def on_chunk(self, report: ChunkReport) -> None:
        super().on_chunk(report)
        self.heard.append(("chunk", current_thread().name))

    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        super().on_frames(frames, decode_ms, decoded_at_ms)
        self.heard.append(("frames", current_thread().name))


def test_decoder_thread_delivers_each_chunk_before_its_frames(stage: Stage) -> None:
    listener = Threads()
    stage.open_stepping(listener, 2)
    stage.work_until(lambda: listener.num_frames == 29)
    assert [what for what, _ in listener.heard] == ["chunk", *["frames"] * 4] * 2
    assert {thread for _, thread in listener.heard} == {"worldplay-decoder"}


def test_latents_that_are_due_follow_each_other_without_the_worker(stage: Stage) -> None:
    """They do not wait for the end of a long stage."""
    listener, counts = Recorder(), []

    def compute() -> None:
        if "step" in stage.log("walk1"):  # it is the second chunk's
            end = time.monotonic() + WAIT_S
            while listener.num_frames < 13 and time.monotonic() < end:
                time.sleep(0.001)
            counts.append(listener.num_frames)

    stage.world.hooks["context"] = compute
    stage.open_stepping(listener, 2)
    stage.work_until(lambda: listener.num_frames == 29)
    assert counts == [13]


def test_session_closed_while_its_latent_is_decoded_ends_at_once_and_hears_nothing(stage: Stage) -> None:
    listener = Recorder()
    session, gate = held(stage, listener)
    events = list(listener.events)
    session.close()
    stage.work()
    assert stage.worker.counters.sessions_ended == 1
    assert listener.num_rests == 1
    gate.opened.set()
    stage.work_until(lambda: is_quiet(stage))
    assert (listener.num_frames, listener.events) == (0, events)
    assert stage.worker.counters.frames == 0


def test_no_frame_follows_paused(stage: Stage) -> None:
    listener = Recorder()
    session, gate = held(stage, listener)
    session.pause()
    stage.work()
    assert "paused" not in names(listener)
    gate.opened.set()
    stage.work_until(lambda: "paused" in names(listener))
    assert listener.num_frames == 13
    assert names(listener)[-1] == "paused"


def test_rewind_waits_for_the_latent_in_the_decoder_and_nothing_old_follows_it(stage: Stage) -> None:
    listener = Recorder()
    session, gate = held(stage, listener)
    gate.reached.clear()
    session.reset()
    stage.world.hooks["truncate"] = lambda: frames_before.append(listener.num_frames)
    frames_before: list[int] = []

    def release() -> None:
        time.sleep(0.05)
        assert "truncate" not in stage.log("walk1"), "the decoder's state was changed while it was used"
        gate.opened.set()

    helper = Thread(target=release)
    helper.start()
    stage.work_until(lambda: "reset" in names(listener))
    helper.join(WAIT_S)
    assert frames_before == [0]
    assert names(listener) == ["started", "reset"]
    stage.work_until(lambda: listener.num_frames == 13)
    assert [report.chunk.index for report in listener.reports] == [0]


def test_another_walk_begins_after_the_old_one_s_latent(stage: Stage) -> None:
    listener = Recorder()
    session, gate = held(stage, listener)
    session.start(WalkRequest("other"))
    gate.opened.set()
    stage.work_until(lambda: stage.log("other").count("decode") == 4 and is_quiet(stage))
    assert names(listener)[-2:] == ["started", "chunk"]
    assert stage.log("walk1").count("decode") <= 2


@pytest.mark.parametrize(
    ("error", "code", "num_freed"),
    [(RuntimeError("boom"), "internal", 0), (MemoryError(), "out_of_memory", 1)],
)
def test_failure_in_the_decoder_ends_only_its_session(
    stage: Stage, error: Exception, code: str, num_freed: int
) -> None:
    unlucky, lucky = Recorder(), Recorder()
    _, gate = held(stage, unlucky)
    stage.open(lucky)
    gate.error = error
    gate.opened.set()
    stage.work_until(lambda: lucky.num_frames == 13)
    assert [event[:2] for event in unlucky.events[-1:]] == [("error", code)]
    assert unlucky.num_frames == 0
    assert stage.worker.counters.failures == 1
    assert stage.worker.counters.out_of_memory == num_freed == stage.world.num_freed


def test_failure_of_a_latent_that_nobody_wants_any_more_ends_nothing(stage: Stage) -> None:
    listener = Recorder()
    session, gate = held(stage, listener)
    session.reset()
    gate.error = RuntimeError("boom")
    helper = Timer(0.05, gate.opened.set)
    helper.start()
    stage.work_until(lambda: listener.num_frames == 13)
    helper.join(WAIT_S)
    assert "error" not in names(listener)


class Deaf(Recorder):
    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        raise RuntimeError("the connection is gone")


def test_listener_that_fails_ends_only_its_session(stage: Stage) -> None:
    deaf, lucky = Deaf(), Recorder()
    stage.open(deaf)
    stage.open(lucky)
    stage.work_until(lambda: lucky.num_frames == 13 and "error" in names(deaf))
    assert stage.worker.counters.failures == 1


def test_session_that_fails_while_its_latent_is_decoded(stage: Stage) -> None:
    """A denoising step fails: the session ends at once, and the latent goes nowhere."""
    listener, gate = Recorder(), stage.hold_decoder()

    def fail() -> None:
        if gate.reached.wait(WAIT_S if "step" in stage.log("walk1") else 0):
            raise RuntimeError("boom")

    session = stage.open_stepping(listener, 2)
    stage.work_until(gate.reached.is_set)
    stage.world.hooks["context"] = stage.world.hooks["step"] = fail
    session.step()
    stage.work()
    assert [event for event in names(listener) if event != "paused"] == ["started", "error"]
    assert session.is_closed
    gate.opened.set()
    stage.work_until(lambda: is_quiet(stage))
    assert listener.num_frames == 0


def test_fault_of_the_planning_itself_stops_the_worker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _, gate = held(stage, Recorder())

    def fail() -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(stage.decoder, "choose", fail)
    gate.opened.set()
    with pytest.raises(AssertionError, match="a bug"):
        stage.work_until(lambda: False)


def test_nobody_else_s_latent_is_decoded_during_a_command(stage: Stage) -> None:
    first, second = Recorder(), Recorder()
    _, gate = held(stage, first)
    busy: list[bool] = []
    stage.world.hooks["open"] = lambda: busy.append(stage.decoder.is_busy)
    stage.open(second)
    gate.opened.set()
    stage.work_until(lambda: second.num_frames == 13)
    assert busy == [False]


def test_closing_waits_for_the_latent_and_begins_no_other(stage: Stage) -> None:
    _, gate = held(stage, Recorder())
    gate.opened.set()
    stage.decoder.close()
    assert stage.log("walk1").count("decode") <= 2


def test_latent_in_the_decoder_cannot_be_cut(stage: Stage) -> None:
    gate = stage.hold_decoder()
    stage.open_stepping(Recorder(), 2)
    stage.work()
    assert gate.reached.wait(WAIT_S)
    queue = stage.worker._undecoded[1]
    assert queue.newest is not None
    assert (queue.num_latents, queue.newest.report.chunk.index) == (8, 1)
    assert queue.first_uncut == 0  # what is decoded is the chunk before


def test_latent_of_the_newest_chunk_in_the_decoder_cannot_be_cut(stage: Stage) -> None:
    listener = Recorder()
    session, gate = held(stage, listener)
    session.pause()
    gate.opened.set()
    stage.work_until(lambda: "paused" in names(listener))
    gate = stage.hold_decoder()
    session.step()
    stage.work()
    assert gate.reached.wait(WAIT_S)
    queue = stage.worker._undecoded[1]
    assert (queue.num_latents, queue.first_uncut) == (4, 1)
