"""What is posted of a session: everything in order, and what goes wrong."""

import threading
from queue import Queue
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from worldplay.media.track import VideoTrack
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.store.about import hash_address
from worldplay.web.listener import SessionListener
from worldplay.web.outlet import Sample

WORLD: Any = SimpleNamespace(width=16, height=16, fps=24, codec="libx264")
FRAMES = np.zeros((4, 16, 16, 3), np.uint8)


class FakeEngine:
    """Opens sessions that remember what they are told."""

    def __init__(self) -> None:
        self.encoded_s: list[float] = []
        self.dropped_s: list[float] = []
        self.addresses: list[str] = []
        self.was_closed = Event()

    def open(self, listener: object, media_s: float, address: str, name: str) -> SimpleNamespace:
        self.addresses.append(address)
        return SimpleNamespace(
            media_encoded=self.encoded_s.append,
            media_dropped=self.dropped_s.append,
            close=self.was_closed.set,
        )


def opened(*, tells_taken_as: bool = False) -> tuple[SessionListener, FakeEngine, "Queue[Any]"]:
    posted: Queue[Any] = Queue()
    listener = SessionListener(WORLD, posted.put)
    listener.tells_taken_as = tells_taken_as
    engine = FakeEngine()
    listener.open(engine, "192.0.2.1", "session")  # type: ignore[arg-type]
    return listener, engine, posted


def test_frames_follow_their_chunk_and_the_session_hears_of_them() -> None:
    listener, engine, posted = opened()
    report: Any = SimpleNamespace()
    listener.on_started("", "Day")
    listener.on_chunk(report)
    listener.on_frames(FRAMES, 8.0, 100.0)
    listener.on_state("paused", {})
    items = [posted.get(timeout=60.0) for _ in range(7)]
    listener.close()
    assert isinstance(items[0], VideoTrack)
    assert items[1] is report
    samples = [item for item in items if isinstance(item, Sample)]
    assert [(each.report, each.frame.key, each.decode_ms) for each in samples[:2]] == [
        (report, True, 2.0),
        (report, False, 2.0),
    ]
    assert items[6].what == "paused"
    assert engine.encoded_s == [4 / 24]


@pytest.mark.parametrize(("tells_taken_as", "told"), [(True, ["Day", "Night"]), (False, [None])])
def test_only_a_client_that_asks_is_told_what_prompts_are_taken_as(
    tells_taken_as: bool, told: list[str | None]
) -> None:
    listener, _, posted = opened(tells_taken_as=tells_taken_as)
    listener.on_started("a volcano", "Day")
    listener.on_state("prompt", {"chunk": 3, "text": "stars", "taken_as": "Night"})
    items = [posted.get(timeout=60.0) for _ in range(1 + len(told))]
    listener.close()
    assert [item.taken_as for item in items[1:]] == told
    assert items[-1].text == "stars"


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError("?"), ErrorCode.INTERNAL), (MemoryError(), ErrorCode.OUT_OF_MEMORY)]
)
def test_frame_that_cannot_be_encoded_ends_the_session(
    error: Exception, code: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(VideoTrack, "encode", fail)
    listener, engine, posted = opened()
    listener.on_chunk(SimpleNamespace())  # type: ignore[arg-type]
    listener.on_frames(FRAMES, 8.0, 100.0)
    posted.get(timeout=60.0)
    refusal = posted.get(timeout=60.0)
    assert isinstance(refusal, ProtocolError)
    assert (refusal.code, refusal.fatal) == (code, True)
    assert engine.was_closed.wait(60.0)  # or a client that comes back would get the session without video


def test_client_that_waits_takes_no_thread() -> None:
    listener, _, posted = opened()
    before = threading.active_count()
    listener.on_queued(1, None)
    listener.on_slot()
    assert [posted.get_nowait().type for _ in range(2)] == ["queued", "state"]
    assert threading.active_count() == before
    listener.close()
    listener.on_queued(1, None)
    assert posted.empty()


def test_session_is_opened_once_and_hears_of_dropped_frames() -> None:
    listener, engine, _ = opened()
    assert listener.open(engine, "192.0.2.2", "session") is listener.session  # type: ignore[arg-type]
    assert engine.addresses == [hash_address("192.0.2.1")]
    listener.drop(12)
    listener.close()
    assert engine.dropped_s == [0.5]
