"""Clips beside live sessions, on the fake clock."""

import pytest

from support.fakes import FakeClock, Page, Theatre, started
from worldplay.engine.clip_run import ClipJob, ClipRequest
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.world.camera import FORWARD_STEP, Motion
from worldplay.world.steering import Move, WalkRequest

AHEAD = Motion(forward=FORWARD_STEP)


class AllAhead:
    def predict(self, num_latents: int) -> list[Move]:
        return [AHEAD] * num_latents

    latch = predict


class Receiver:
    """Takes chunks as soon as they come, or holds them."""

    def __init__(self, clock: FakeClock, request: ClipRequest, holds: bool) -> None:
        self.clock = clock
        self.job = ClipJob(request, self, lambda: None)
        self.holds = holds
        self.events: list[str | int | tuple[str, str]] = []
        self.num_frames = self.num_passes = 0
        self.ended_ms: float | None = None

    def on_opened(self) -> None:
        self.events.append("opened")

    def on_pass(self) -> None:
        self.num_passes += 1

    def on_chunk(self, report: ChunkReport) -> None:
        self.events.append(report.chunk.index)
        assert report.latch.seq is None
        if not self.holds:
            self.job.allow_chunk()

    def on_frames(self, frames: Frames, decode_ms: float) -> None:
        assert decode_ms > 0
        self.num_frames += len(frames)

    def on_finished(self) -> None:
        self.events.append("finished")
        self.ended_ms = self.clock.now_ms

    def on_failed(self, code: str, message: str) -> None:
        self.events.append((code, message))


def submit(theatre: Theatre, num_chunks: int = 4, view: str = "clip", holds: bool = False) -> Receiver:
    request = ClipRequest(WalkRequest(view=view), AllAhead(), num_chunks)
    receiver = Receiver(theatre.clock, request, holds)
    theatre.worker.clips.arrivals.append(receiver.job)
    return receiver


def walking(
    context_ms: float = 40.0, step_ms: float = 20.0, decode_ms: float = 10.0, open_ms: float = 0.0
) -> tuple[Theatre, Page]:
    theatre = Theatre(context_ms=context_ms, step_ms=step_ms, decode_ms=decode_ms, open_ms=open_ms)
    page = theatre.open_page()
    theatre.run(5000)
    return theatre, page


def test_clip_alone_is_made_without_a_pause() -> None:
    theatre = Theatre()
    receiver = submit(theatre)
    theatre.settle()
    assert receiver.events == ["opened", 0, 1, 2, 3, "finished"]
    assert receiver.num_frames == 61
    assert receiver.num_passes == 4 * (1 + 4)
    assert receiver.ended_ms == 1000 + 4 * (40 + 4 * 20 + 4 * 10)
    assert (theatre.counters.clips, len(theatre.worker.clips)) == (1, 0)
    assert theatre.worker.run_once() is None


def test_clip_goes_where_it_is_steered() -> None:
    theatre = Theatre()
    submit(theatre, num_chunks=2)
    theatre.settle()
    assert theatre.world.walks[0].chunks == [[AHEAD] * 4] * 2


def test_clips_are_made_in_the_order_they_came() -> None:
    theatre = Theatre()
    for view in ("first", "second"):
        submit(theatre, 1, view)
    assert len(theatre.worker.clips) == 2
    theatre.settle()
    assert [name for stage, name in theatre.world.log if stage == "open"] == ["first", "second"]
    assert theatre.world.log.index(("open", "second")) > theatre.world.log.index(("decode", "first"))


@pytest.mark.parametrize(
    "costs",
    [
        {"context_ms": 40, "step_ms": 20, "decode_ms": 10, "open_ms": 30},
        {"context_ms": 100, "step_ms": 40, "decode_ms": 25, "open_ms": 60},  # 360 of 667 ms each
        {"context_ms": 90, "step_ms": 60, "decode_ms": 30, "open_ms": 90},  # 450 of 667 ms each
    ],
)
def test_clip_beside_a_walker_costs_no_stall(costs: dict[str, float]) -> None:
    theatre, page = walking(**costs)
    stalled_ms, late = page.stalled_ms, theatre.counters.late_chunks
    receiver = submit(theatre, num_chunks=8)
    theatre.run(30_000)
    assert receiver.events[-1] == "finished"
    assert receiver.num_frames == 125
    assert page.stalled_ms == stalled_ms
    assert theatre.counters.late_chunks == late


@pytest.mark.parametrize(
    "costs",
    [
        {"context_ms": 1300, "step_ms": 300, "decode_ms": 70, "open_ms": 300},  # 2780 of 667 ms each
        {"context_ms": 200, "step_ms": 150, "decode_ms": 40, "open_ms": 300},  # 960 of 667 ms each
        {"context_ms": 130, "step_ms": 100, "decode_ms": 40, "open_ms": 300},  # 690 of 667 ms each
    ],
)
def test_clip_where_nobody_is_in_time_gets_a_stage_now_and_then(costs: dict[str, float]) -> None:
    def shown_s(with_clip: bool) -> float:
        theatre, page = walking(**costs)
        receiver = submit(theatre, num_chunks=1) if with_clip else None
        theatre.run(300_000)
        assert receiver is None or receiver.events == ["opened", 0, "finished"]
        return page.shown_s

    alone_s, beside_s = shown_s(with_clip=False), shown_s(with_clip=True)
    assert 0.8 * alone_s < beside_s < alone_s


@pytest.mark.parametrize("phase_ms", range(0, 667, 40))
def test_first_clip_beside_a_walker_costs_no_stall_whenever_it_comes(phase_ms: float) -> None:
    """No clip was ever made: what its stages take is known from the walker alone."""
    theatre, page = walking(context_ms=100, step_ms=40, decode_ms=25, open_ms=150)  # 300 of 667 ms are left
    page.session.start(WalkRequest("another"))
    theatre.run(3000 + phase_ms)
    stalled_ms, late = page.stalled_ms, theatre.counters.late_chunks
    receiver = submit(theatre, num_chunks=2)
    theatre.run(5000)
    assert receiver.events[-1] == "finished"
    assert page.stalled_ms == stalled_ms
    assert theatre.counters.late_chunks == late


def test_clip_that_cannot_fit_waits_until_the_walker_leaves() -> None:
    theatre, page = walking(context_ms=100, step_ms=85, decode_ms=25)  # less is left than a step takes
    receiver = submit(theatre, num_chunks=2)
    theatre.run(20_000)
    assert receiver.num_frames == 0
    assert theatre.counters.late_chunks == 0
    page.session.close()
    theatre.run(5000)
    assert receiver.events[-1] == "finished"


def test_hiccup_of_the_machine_does_not_keep_clips_waiting_for_ever() -> None:
    theatre, _ = walking(open_ms=30)
    theatre.world.hooks["open"] = lambda: theatre.clock.advance(900)
    first = submit(theatre, num_chunks=1)
    theatre.run(2000)
    theatre.world.hooks.clear()
    second = submit(theatre, num_chunks=1)
    theatre.run(5000)
    assert first.events[-1] == "finished"
    assert second.events == []  # it would take too long, as far as is known
    theatre.run(10_000)
    assert second.events[-1] == "finished"


def test_clip_does_not_make_a_walker_wait_for_the_latch(monkeypatch: pytest.MonkeyPatch) -> None:
    def leads(with_clip: bool) -> list[float]:
        theatre, page, _ = started()
        if with_clip:
            submit(theatre, num_chunks=1000)
        leads_ms: list[float] = []
        own = len(page.reports)
        monkeypatch.setattr(page, "on_chunk", lambda report: leads_ms.append(page.buffered_ms))
        theatre.run(10_000)
        assert own == 2
        return leads_ms

    alone, beside = leads(False), leads(True)
    assert len(beside) == len(alone)
    assert max(abs(a - b) for a, b in zip(alone, beside, strict=True)) <= 20  # the slack of a context pass


def test_clip_uses_what_a_walker_leaves() -> None:
    theatre, _ = walking(context_ms=100, step_ms=40, decode_ms=25)
    before_ms, began_ms = theatre.counters.busy_ms, theatre.clock.now_ms
    receiver = submit(theatre, num_chunks=1000)
    theatre.run(20_000)
    busy = (theatre.counters.busy_ms - before_ms) / (theatre.clock.now_ms - began_ms)
    assert busy > 0.85
    assert receiver.num_frames > 100


def test_walker_who_comes_while_a_clip_is_made_goes_first() -> None:
    theatre = Theatre()
    submit(theatre, num_chunks=1000)
    theatre.run(500)
    page = theatre.open_page("walker")
    asked = len(theatre.world.log)
    theatre.run(400)
    stages = [stage for stage, name in theatre.world.log[asked:] if name == "walker"]
    assert theatre.world.log[asked + 1][1] == "walker"  # after the stage that was under way
    assert stages[:6] == ["open", "context", *["step"] * 4]
    assert page.num_frames >= 13


def test_hidden_page_leaves_its_time_to_clips() -> None:
    theatre, page, _ = started()
    page.hidden = True
    theatre.run(200)
    receiver = submit(theatre)
    theatre.run(1000)
    assert receiver.events[-1] == "finished"


def test_cancelled_clip_stops_within_a_stage() -> None:
    theatre = Theatre()
    receiver, following = submit(theatre), submit(theatre, 1, "next")
    theatre.world.hooks["step"] = receiver.job.cancel
    theatre.settle()
    assert [stage for stage, name in theatre.world.log if name == "clip"] == ["open", "context", "step"]
    assert receiver.events == ["opened"]
    assert following.events[-1] == "finished"
    assert theatre.counters.clips_cancelled == 1


def test_clip_cancelled_in_the_queue_is_never_begun() -> None:
    theatre = Theatre()
    receiver = submit(theatre)
    receiver.job.cancel()
    theatre.settle()
    assert (theatre.world.log, receiver.events) == ([], [])


def test_clip_cancelled_in_the_queue_leaves_it_before_its_turn() -> None:
    theatre = Theatre()
    submit(theatre)
    waiting = submit(theatre, 1, "next")
    theatre.worker.run_once()
    assert len(theatre.worker.clips) == 2
    waiting.job.cancel()
    theatre.worker.run_once()
    assert (len(theatre.worker.clips), theatre.counters.clips_cancelled) == (1, 1)


def test_clip_that_is_not_taken_is_not_made_far_ahead() -> None:
    theatre = Theatre()
    receiver = submit(theatre, num_chunks=5, holds=True)
    theatre.settle()
    assert receiver.events == ["opened", 0, 1]
    assert theatre.worker.run_once() is None
    receiver.job.allow_chunk()
    theatre.settle()
    assert receiver.events == ["opened", 0, 1, 2]


def test_place_that_is_not_there_is_refused() -> None:
    theatre = Theatre()
    receiver = submit(theatre, view="nowhere")
    theatre.settle()
    assert receiver.events == [("bad_request", "unknown view 'nowhere'; expected one of court")]
    assert theatre.counters.failures == 0


@pytest.mark.parametrize("stage", ["open", "context", "step", "decode"])
@pytest.mark.parametrize(
    ("error", "code", "num_freed"),
    [(RuntimeError("boom"), "internal", 0), (MemoryError(), "out_of_memory", 1)],
)
def test_failed_clip_harms_nobody_else(
    stage: str, error: Exception, code: str, num_freed: int, caplog: pytest.LogCaptureFixture
) -> None:
    theatre, page, _ = started()

    def fail_for_clip() -> None:
        if theatre.world.log[-1][1] == "clip":
            raise error

    theatre.world.hooks[stage] = fail_for_clip
    receiver, following = submit(theatre), submit(theatre, 1, "next")
    theatre.run(5000)
    assert [event[0] for event in receiver.events if isinstance(event, tuple)] == [code]
    assert following.events[-1] == "finished"
    assert theatre.world.num_freed == num_freed
    assert page.stalled_ms == 0
    assert theatre.counters.failures == 1


def test_engine_that_stops_tells_who_waits_for_a_clip() -> None:
    theatre = Theatre()
    receivers = [submit(theatre), submit(theatre)]
    theatre.worker.run_once()
    theatre.worker.end_all(None)
    assert [receiver.events[-1] for receiver in receivers] == [("stopped", "the server is stopping")] * 2
    assert theatre.worker.run_once() is None


def test_receiver_that_cannot_be_told_does_not_stop_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theatre = Theatre()
    receiver, following = submit(theatre, view="nowhere"), submit(theatre, 1)

    def raise_it(code: str, message: str) -> None:
        raise RuntimeError("gone")

    monkeypatch.setattr(receiver, "on_failed", raise_it)
    theatre.settle()
    assert following.events[-1] == "finished"
