"""A world that only takes time, pages that only play, and a clock that runs when they say so."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from worldplay.engine.admission import Admission
from worldplay.engine.session import Session
from worldplay.engine.worker import Worker
from worldplay.world.chunk import PendingChunk
from worldplay.world.steering import WalkRequest

FPS = 24
PICTURE = np.zeros((4, 2, 2, 3), np.uint8)


class FakeClock:
    """Runs when it is told to; pages speak at their time even if the worker is in the middle of a stage."""

    def __init__(self):
        self.now_ms = 1000.0
        self.pages = []

    def __call__(self):
        return self.now_ms

    def advance(self, time_ms):
        end_ms = self.now_ms + time_ms
        while due := [page for page in self.pages if page.next_ms <= end_ms]:
            page = min(due, key=lambda page: page.next_ms)
            self.now_ms = max(self.now_ms, page.next_ms)
            page.tick()
        self.now_ms = end_ms


@dataclass
class FakeWorld:
    """Costs in ms per stage; `log` has (stage, walk) in the order done; `hooks` run before a stage's cost."""

    clock: FakeClock
    context_ms: float = 40.0
    step_ms: float = 20.0
    decode_ms: float = 10.0
    open_ms: float = 0.0
    fps: float = FPS
    log: list = field(default_factory=list)
    hooks: dict = field(default_factory=dict)
    walks: list = field(default_factory=list)
    num_freed: int = 0

    def open_walk(self, request):
        if request.view == "nowhere":
            raise ValueError("unknown view 'nowhere'; expected one of court")
        self.spend("open", request.view, self.open_ms)
        self.walks.append(FakeWalk(self, request.view))
        return self.walks[-1]

    def free_memory(self):
        self.num_freed += 1

    def spend(self, stage, walk, time_ms):
        self.log.append((stage, walk))
        self.hooks.get(stage, lambda: None)()
        self.clock.advance(time_ms)


class FakeWalk:
    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.chunks = []  # the steps of each
        self.prompt = None
        self.taken_as = None

    @property
    def num_chunks(self):
        return len(self.chunks)

    def begin_chunk(self, steering):
        return PendingChunk(self.stages(steering))

    def stages(self, steering):
        yield "context"
        steering.predict(4)
        self.world.spend("context", self.name, self.world.context_ms)
        yield "step"
        steps = steering.latch(4)
        self.world.hooks.get("latch", lambda: None)()
        for index in range(4):
            if index:
                yield "step"
            self.world.spend("step", self.name, self.world.step_ms)
        self.chunks.append(steps)
        return SimpleNamespace(
            index=len(self.chunks) - 1,
            num_frames=16 if len(self.chunks) > 1 else 13,
            motions=steps,
            poses=np.zeros((4, 4, 4)),
            labels=[0] * 4,
            bumped=any(step.forward > 1 for step in steps),
            timings_ms={"context": self.world.context_ms, "denoise": 4 * self.world.step_ms},
        )

    def decode(self, chunk):
        first = chunk.num_frames - 12
        for count in (first, 4, 4, 4):
            self.world.spend("decode", self.name, self.world.decode_ms)
            yield PICTURE[:count]

    def truncate(self, num_chunks):
        self.world.spend("truncate", self.name, 0)
        del self.chunks[num_chunks:]

    def set_prompt(self, text):
        self.world.spend("prompt", self.name, 0)
        self.prompt = text


class Recorder:
    """A listener that remembers everything it hears, and encodes in no time for the session it is told of."""

    session = None

    def __init__(self):
        self.events = []  # (name, ...)
        self.reports = []
        self.num_frames = 0

    def on_queued(self, position, eta_s):
        self.events.append(("queued", position, eta_s))

    def on_started(self):
        self.events.append(("started",))

    def on_chunk(self, report):
        self.reports.append(report)
        self.events.append(("chunk", report.chunk.index))

    def on_frames(self, chunk_index, frames, decode_ms, decoded_at_ms):
        self.num_frames += len(frames)
        self.encode(len(frames), decoded_at_ms)

    def encode(self, num_frames, began_ms):
        if self.session is not None:
            self.session.media_encoded(num_frames / FPS)

    def on_state(self, what, detail):
        self.events.append((what, detail))

    def on_error(self, code, message, fatal):
        self.events.append(("error", code, message, fatal))


class Page(Recorder):
    """A page that plays what it gets `delay_ms` later and says so every 100 ms, from `first_ms` on.

    Before, each frame takes `encode_ms`, one after the other.
    """

    def __init__(self, clock, delay_ms=0.0, first_ms=0.0, encode_ms=0.0):
        super().__init__()
        self.clock = clock
        self.delay_ms = delay_ms
        self.encode_ms = encode_ms
        self.num_raw = 0  # frames that are not encoded yet
        self.hidden = False
        self.shown_s = self.held_s = self.stalled_ms = 0.0
        self._encoding = []  # (end, frames)
        self._coming = []  # (arrival, seconds)
        self._looked_ms = clock.now_ms
        self.next_ms = clock.now_ms + first_ms

    def encode(self, num_frames, began_ms):
        end_ms = max([began_ms, *(end_ms for end_ms, _ in self._encoding)]) + num_frames * self.encode_ms
        self._encoding.append((end_ms, num_frames))
        self._coming.append((end_ms + self.delay_ms, num_frames / FPS))
        self.num_raw += num_frames
        self._finish_encoding()

    def _finish_encoding(self):
        """Hand over what is done by now."""
        while self._encoding and self._encoding[0][0] <= self.clock.now_ms:
            num_frames = self._encoding.pop(0)[1]
            self.num_raw -= num_frames
            self.session.media_encoded(num_frames / FPS)

    def play(self):
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
    def buffered_ms(self):
        self.play()
        return (self.held_s - self.shown_s) * 1000

    def tick(self):
        self._finish_encoding()
        self.play()
        self.session.playhead(self.shown_s, self.held_s - self.shown_s, self.hidden)
        self.next_ms += 100


class Theatre:
    """A worker with sessions, stepped by hand."""

    def __init__(self, max_sessions=4, max_queued=2, **costs):
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock, **costs)
        self.worker = Worker(self.world, Admission(max_sessions, max_queued), self.clock)
        self.num_sessions = 0

    @property
    def counters(self):
        return self.worker.counters

    def open(self, listener, view=None, start=True):
        self.num_sessions += 1
        session = listener.session = Session(self.num_sessions, listener, self.clock, lambda: None)
        self.worker.arrivals.append(session)
        if start:
            session.start(WalkRequest(view or f"walk{self.num_sessions}"))
        return session

    def open_page(self, view=None, **options):
        page = Page(self.clock, **options)
        self.open(page, view)
        self.clock.pages.append(page)
        return page

    def settle(self):
        """Work until there is nothing to do at this moment of the clock, or it is 10 s later."""
        end_ms = self.clock.now_ms + 10_000
        while self.worker.run_once() == 0.0:
            assert self.clock.now_ms < end_ms, "the worker never rests"

    def run(self, time_ms):
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


def stages(theatre, walk=None):
    return [stage for stage, name in theatre.world.log if walk in (None, name)]


def names(listener):
    return [event[0] for event in listener.events]


def started(**options):
    """A theatre with one visitor who has got the first two chunks."""
    theatre = Theatre(**options)
    page = theatre.open_page()
    theatre.run(700)
    assert len(page.reports) == 2
    return theatre, page, page.session


def run_to_waiting_context(theatre):
    while theatre.world.log[-1] != ("context", "walk1"):
        theatre.run(1)
