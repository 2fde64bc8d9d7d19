"""Visits to servers that leave out what they may, or break off: each ends in time and tells the truth."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import pytest

from support.scripted import _welcome
from support.waiting import Clock
from worldplay.client import visit as visiting
from worldplay.client.delivery import Delivery, describe, render
from worldplay.client.visit import Visit
from worldplay.client.wire import VisitEndedError, Wire
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ClientConnection
from worldplay.protocol.errors import ProtocolError
from worldplay.protocol.fields import Record
from worldplay.protocol.wire import pack

FRAME_S = 1 / 24
CHUNK_S = 16 * FRAME_S
INIT = m.Init(codec="c", mime="m", data=b"")
STILL = m.LatentMotion(forward=0.0, right=0.0, yaw=0.0, pitch=0.0)


class FakeWire:
    """Delivers a script, each message when it is due, and what is sent is checked as a server would."""

    def __init__(self, script: Sequence[tuple[float, Record]], clock: Clock) -> None:
        self._script = [(clock.now_s + at_s, message) for at_s, message in script]
        self._clock = clock
        self._order = ClientConnection()

    def send(self, message: m.ClientMessage) -> None:
        pack(message)

    def receive(self, timeout_s: float) -> m.ServerMessage | None:
        if not self._script or self._script[0][0] > self._clock.now_s + timeout_s:
            self._clock.now_s += timeout_s
            return None
        at_s, message = self._script.pop(0)
        self._clock.now_s = max(self._clock.now_s, at_s)
        try:
            return self._order.receive(pack(message))
        except ProtocolError as error:
            raise VisitEndedError(f"the server broke protocol 1: {error}") from None


def welcome(**changed: object) -> m.Welcome:
    return _welcome("as_is").model_copy(update=changed)


def chunk(index: int, seq: int | None = None, first_frame: int | None = None) -> m.Chunk:
    return m.Chunk(
        index=index,
        first_frame=16 * index if first_frame is None else first_frame,
        frames=16,
        controls_seq=seq,
        latched_at=0.0,
        labels=(),
        motions=(STILL,),
        poses=(),
        timings=m.Timings(select=1.0, context=1.0, denoise=1.0),
    )


def media(chunk: int, frame: int, time: float | None = None, duration: float = FRAME_S) -> m.Media:
    return m.Media(
        chunk=chunk,
        frame=frame,
        time=frame / 24 if time is None else time,
        duration=duration,
        key=True,
        decoded_at=0.0,
        decode=1.0,
        encode=1.0,
        data=b"x",
    )


def stream(
    chunks: int, seqs: Sequence[int | None], begins_s: float = 0.1
) -> Iterator[tuple[float, m.ServerMessage]]:
    """Stream in real time. Args: seqs: of the chunks; the last one counts for all after it."""
    for index in range(chunks):
        at_s = 0.1 + CHUNK_S * index
        yield at_s, chunk(index, seqs[min(index, len(seqs) - 1)])
        yield from ((at_s, media(index, 16 * index + frame)) for frame in range(16))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(100.0)
    monkeypatch.setattr(visiting, "monotonic", clock)
    return clock


def walk(
    script: Sequence[tuple[float, Record]],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float = 5.0,
    patience_s: float = 20.0,
) -> tuple[Visit, str | None, float]:
    """Walk against a script. Returns: the visit, why it ended early, and how long it took."""

    @contextmanager
    def open_wire(url: str) -> Iterator[FakeWire]:
        yield FakeWire(script, clock)

    monkeypatch.setattr(visiting, "open_wire", open_wire)
    visit, began_s, ended = Visit(patience_s=patience_s), clock.now_s, None
    try:
        visit.walk("ws://host", seconds)
    except VisitEndedError as error:
        ended = str(error)
    return visit, ended, clock.now_s - began_s


def test_a_server_that_never_tells_which_keys_it_included(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [(0.0, welcome()), (0.1, INIT), *stream(200, [None])]
    visit, ended, took_s = walk(script, clock, monkeypatch)
    assert ended is None
    assert took_s == pytest.approx(5.1, abs=0.1)
    delivery = describe(visit, ended)
    assert (delivery.key_to_fragment_ms, delivery.unanswered) == (None, 8)
    assert (
        render([delivery], delivery).splitlines()[-1] == "session 1: no chunk included any of 8 key presses"
    )


def test_a_slow_server_is_waited_for_until_it_includes_a_key(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [
        (0.1 + 9 * (f // 16), message) for f, message in enumerate(media(f // 16, f) for f in range(48))
    ]
    script: list[tuple[float, Record]] = [(0.0, welcome()), (0.1, INIT)]
    for index, seq in enumerate((None, None, 1)):
        script += [(0.1 + 9 * index, chunk(index, seq)), *frames[16 * index : 16 * index + 16]]
    visit, ended, took_s = walk(script, clock, monkeypatch, seconds=2.0)
    assert ended is None
    assert took_s == pytest.approx(18.1, abs=0.1)
    assert len(visit.latencies_ms) == 1


def test_a_visit_ends_within_its_seconds_and_patience(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [(at_s * 12, message) for at_s, message in stream(9, [None])]
    _, ended, took_s = walk([(0.0, welcome()), (0.1, INIT), *slow], clock, monkeypatch, 2.0, patience_s=9.0)
    assert (ended, took_s <= 11.1) == (None, True)


def test_a_server_that_falls_silent_is_told(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [(0.0, welcome()), (0.1, INIT), *stream(6, [None, None, 1])]
    visit, ended, took_s = walk(script, clock, monkeypatch, seconds=12.0)
    assert ended == "no video came for the last 8.7 s"
    assert took_s == pytest.approx(12.1, abs=0.1)
    found = describe(visit, ended)
    assert found.frames_per_s == pytest.approx(8.0, abs=0.1)
    assert found.in_time == pytest.approx(1 / 3, abs=0.03)
    assert found.stalled_s == pytest.approx(8.0, abs=0.1)


def test_a_server_that_breaks_off_and_goes_on_is_slower(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = list(stream(15, [1])), 8.0
    script = [(at_s + (late if at_s > 3 else 0.0), message) for at_s, message in early]
    visit, ended, _ = walk([(0.0, welcome()), (0.1, INIT), *script], clock, monkeypatch, seconds=15.0)
    found = describe(visit, ended)
    assert ended is None
    assert found.frames_per_s == pytest.approx(11.2, abs=0.5)


def test_a_chunk_that_is_announced_twice_counts_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    again = [(0.1, chunk(0)), (0.1, chunk(1, 5, first_frame=0)), (0.1, media(1, 0))]
    visit, ended, _ = walk([(0.0, welcome()), (0.1, INIT), *again], clock, monkeypatch)
    assert ended == "no video came for 20 s"
    assert [each.chunk.index for each in visit.chunks] == [1]
    assert describe(visit, ended).frames == 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([welcome(resumed=True), media(0, 0)], "expected a new session, got one that was resumed"),
        ([welcome(protocol=2)], "expected protocol 1, got 2"),
        ([welcome(fps=0.0)], "expected frames per second over 0, got 0"),
        ([welcome(), INIT, chunk(0), media(0, 0, 9.0), media(0, 1, 0.0)], "expected frame 0 at 0 s for "),
        ([welcome(), INIT, chunk(0), media(0, 0, duration=0.0)], "expected frame 0 at 0 s for 0.04"),
        ([welcome(), INIT, chunk(0), media(0, 0, 1e9, 1e9)], "expected frame 0 at 0 s for 0.04"),
        ([welcome(), INIT, media(0, 0)], "bad_order: expected media of the last chunk announced, got"),
    ],
)
def test_a_server_that_breaks_the_protocol_is_told(
    script: list[m.ServerMessage], expected: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit, ended, _ = walk([(0.1, message) for message in script], clock, monkeypatch)
    assert (ended or "").startswith(f"the server broke protocol 1: {expected}")
    assert describe(visit, ended).frames <= 1


def test_a_session_that_lost_its_place_later_did_not_wait_at_first(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = m.Queued(position=3, eta=None)
    script = [(0.0, welcome()), (0.1, INIT), *stream(6, [1]), (4.0, lost)]
    visit, ended, _ = walk(script, clock, monkeypatch, seconds=60.0, patience_s=9.0)
    assert ended == "no video came for 9 s at place 3 of the queue"
    assert describe(visit, ended).queued_s is None


def test_a_moment_says_nothing_about_the_rate(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [(0.0, welcome()), (0.1, INIT), (0.1, chunk(0)), (0.1, media(0, 0)), (0.2, m.Bye(reason="no"))]
    visit, ended, _ = walk(script, clock, monkeypatch)
    found = describe(visit, ended)
    assert (ended, found.frames, found.frames_per_s) == ("the server ended the walk: no", 1, None)
    assert len(render([found], found).splitlines()) == 3


def test_a_server_may_say_goodbye_at_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ended, _ = walk([(0.1, m.Bye(reason="it restarts"))], clock, monkeypatch)
    assert ended == "the server ended the walk: it restarts"


def test_nothing_is_said_about_presses_that_were_never_made() -> None:
    nothing = Delivery(0, "refused")
    assert render([nothing], nothing).splitlines()[2:] == ["session 1 ended after 0 frames: refused"]


class SilentWire:
    """A connection on which nothing comes; whoever waits for it leaves meanwhile."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.waited_s = 0.0

    def send(self, message: m.ClientMessage) -> None: ...

    def receive(self, timeout_s: float) -> m.ServerMessage | None:
        self.waited_s += timeout_s
        self._visit.leave()
        return None


def test_visit_can_be_left_before_the_server_answers() -> None:
    visit = Visit()
    wire = SilentWire(visit)
    visit._be_welcomed(cast(Wire, wire))
    assert wire.waited_s < 1
