"""Pages that only play, a clock that runs when they say so, and a worker that serves them."""

from __future__ import annotations

from typing import Protocol

from support.fake_world import FakeWorld
from worldplay.engine.admission import Admission
from worldplay.engine.ports import ChunkReport, Frames, WalkPort
from worldplay.engine.session import Session
from worldplay.engine.stats import Counters
from worldplay.engine.worker import Worker
from worldplay.world.frames import FPS
from worldplay.world.steering import WalkRequest


class Ticking(Protocol):
    """What does something at a time of the clock: a page, or a decoder."""

    next_ms: float

    def tick(self) -> None: ...

    def play(self) -> None: ...


class FakeClock:
    """Runs when it is told to; pages speak at their time even if the worker is in the middle of a stage."""

    def __init__(self) -> None:
        self.now_ms = 1000.0
        self.pages: list[Ticking] = []

    def __call__(self) -> float:
        return self.now_ms

    def advance(self, time_ms: float) -> None:
        end_ms = self.now_ms + time_ms
        while due := [page for page in self.pages if page.next_ms <= end_ms]:
            page = min(due, key=lambda page: page.next_ms)
            self.now_ms = max(self.now_ms, page.next_ms)
            page.tick()
        self.now_ms = end_ms


class Recorder:
    """A listener that remembers everything it hears, and encodes in no time for the session it is told of."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self.events: list[tuple[object, ...]] = []  # (name, ...)
        self.reports: list[ChunkReport] = []
        self.num_frames = 0
        self.num_changes = 0
        self.num_rests = 0
        self.num_slots_given = 0
        self.waits: list[tuple[int, float | None, float]] = []

    @property
    def session(self) -> Session:
        assert self._session is not None, "a listener that no worker knows"
        return self._session

    @session.setter
    def session(self, session: Session) -> None:
        self._session = session

    def on_queued(self, position: int, eta_s: float | None) -> None:
        self.events.append(("queued", position, eta_s))

    def on_still_queued(self, position: int, eta_s: float | None, waited_s: float) -> None:
        self.waits.append((position, eta_s, waited_s))

    def on_slot(self) -> None:
        self.num_slots_given += 1

    def on_started(self, prompt: str, taken_as: str | None) -> None:
        self.events.append(("started",))

    def on_chunk(self, report: ChunkReport) -> None:
        self.reports.append(report)
        self.events.append(("chunk", report.chunk.index))

    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        self.num_frames += len(frames)
        self.encode(len(frames), decoded_at_ms)

    def encode(self, num_frames: int, began_ms: float) -> None:
        self.tell_encoded(num_frames)

    def tell_encoded(self, num_frames: int) -> None:
        if self._session is not None:
            self._session.media_encoded(num_frames / FPS)

    def on_state(self, what: str, detail: dict[str, object]) -> None:
        self.events.append((what, detail))

    def on_error(self, code: str, message: str, fatal: bool) -> None:
        self.events.append(("error", code, message, fatal))

    def on_changed(self, walk: WalkPort) -> None:
        self.num_changes += 1

    def on_resting(self, walk: WalkPort) -> None:
        self.num_rests += 1

    def on_ended(self, walk: WalkPort | None) -> None:
        self.num_rests += walk is not None


class Page(Recorder):
    """A page that plays what it gets `delay_ms` later and says so every 100 ms, from `first_ms` on.

    Before, each frame takes `encode_ms`, one after the other.
    """

    def __init__(
        self, clock: FakeClock, delay_ms: float = 0.0, first_ms: float = 0.0, encode_ms: float = 0.0
    ) -> None:
        super().__init__()
        self.clock = clock
        self.delay_ms = delay_ms
        self.encode_ms = encode_ms
        self.num_raw = 0  # frames that are not encoded yet
        self.hidden = False
        self.wanted_s: float | None = None  # what it tells that it wants to have buffered
        self.shown_s = self.held_s = self.stalled_ms = 0.0
        self._encoding: list[tuple[float, int]] = []  # (end, frames)
        self._coming: list[tuple[float, float]] = []  # (arrival, seconds)
        self._looked_ms = clock.now_ms
        self.next_ms = clock.now_ms + first_ms

    def encode(self, num_frames: int, began_ms: float) -> None:
        end_ms = max([began_ms, *(end_ms for end_ms, _ in self._encoding)]) + num_frames * self.encode_ms
        self._encoding.append((end_ms, num_frames))
        self._coming.append((end_ms + self.delay_ms, num_frames / FPS))
        self.num_raw += num_frames
        self._finish_encoding()

    def _finish_encoding(self) -> None:
        """Hand over what is done by now."""
        while self._encoding and self._encoding[0][0] <= self.clock.now_ms:
            num_frames = self._encoding.pop(0)[1]
            self.num_raw -= num_frames
            self.tell_encoded(num_frames)

    def play(self) -> None:
        """Bring the page up to the clock, ms by ms."""
        while self._looked_ms < self.clock.now_ms:
            while self._coming and self._coming[0][0] <= self._looked_ms:
                self.held_s += self._coming.pop(0)[1]
            if self.shown_s < self.held_s:
                self.shown_s = min(self.held_s, self.shown_s + 0.001)
            elif self.held_s:
                self.stalled_ms += 1
            self._looked_ms += 1

    @property
    def buffered_ms(self) -> float:
        self.play()
        return (self.held_s - self.shown_s) * 1000

    def tick(self) -> None:
        self._finish_encoding()
        self.play()
        self.session.playhead(self.shown_s, self.held_s - self.shown_s, self.hidden, self.wanted_s)
        self.next_ms += 100


class Theatre:
    """A worker with sessions, stepped by hand."""

    def __init__(self, max_sessions: int = 4, max_queued: int = 2, **costs: float) -> None:
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock, **costs)
        self.worker = Worker(self.world, Admission(max_sessions, max_queued), self.clock)
        self.num_sessions = 0

    @property
    def counters(self) -> Counters:
        return self.worker.counters

    def open(
        self,
        listener: Recorder,
        view: str | None = None,
        start: bool = True,
        address: str = "",
        name: str = "",
    ) -> Session:
        self.num_sessions += 1
        session = Session(self.num_sessions, listener, self.clock, lambda: None, address=address, name=name)
        listener.session = session
        self.worker.arrivals.append(session)
        if start:
            session.start(WalkRequest(view or f"walk{self.num_sessions}"))
        return session

    def open_page(self, view: str | None = None, address: str = "", **options: float) -> Page:
        page = Page(self.clock, **options)
        self.open(page, view, address=address)
        self.clock.pages.append(page)
        return page

    def settle(self) -> None:
        """Work until there is nothing to do at this moment of the clock, or it is 10 s later."""
        end_ms = self.clock.now_ms + 10_000
        while self.worker.run_once() == 0.0:
            assert self.clock.now_ms < end_ms, "the worker never rests"

    def run(self, time_ms: float) -> None:
        """Let workers work and pages play for a while."""
        end_ms = self.clock.now_ms + time_ms
        while self.clock.now_ms < end_ms:
            wait_ms = self.worker.run_once()
            if wait_ms != 0.0:
                next_ms = min(end_ms, *(page.next_ms for page in self.clock.pages), end_ms)
                if wait_ms is not None:
                    next_ms = min(next_ms, self.clock.now_ms + wait_ms)
                self.clock.advance(max(0.01, next_ms - self.clock.now_ms))
        for page in self.clock.pages:
            page.play()


def stages(theatre: Theatre, walk: str | None = None) -> list[str]:
    return [stage for stage, name in theatre.world.log if walk in (None, name)]


def names(listener: Recorder) -> list[object]:
    return [event[0] for event in listener.events]


def started(max_sessions: int = 4, max_queued: int = 2, **costs: float) -> tuple[Theatre, Page, Session]:
    """A theatre with one visitor who has got the first two chunks."""
    theatre = Theatre(max_sessions, max_queued, **costs)
    page = theatre.open_page()
    theatre.run(700)
    assert len(page.reports) == 2
    return theatre, page, page.session


def run_to_waiting_context(theatre: Theatre) -> None:
    while theatre.world.log[-1] != ("context", "walk1"):
        theatre.run(1)
