"""A clip's file in the making, with an engine that only listens."""

from queue import Queue
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from worldplay.clips.file import ChunkDone, ClipFile, Data, Decorate, Failed, Finished, PassDone
from worldplay.media.track import VideoTrack

WORLD: Any = SimpleNamespace(width=16, height=16, fps=24)
PLAN: Any = SimpleNamespace(request="the request")
FRAMES = np.zeros((4, 16, 16, 3), np.uint8)


class FakeEngine:
    """Takes a clip and remembers what becomes of it."""

    def __init__(self) -> None:
        self.requests: list[object] = []
        self.allowed: list[bool] = []
        self.cancelled: list[bool] = []

    def render(self, request: object, listener: object) -> SimpleNamespace:
        self.requests.append(request)
        return SimpleNamespace(
            allow_chunk=lambda: self.allowed.append(True), cancel=lambda: self.cancelled.append(True)
        )


def begun(decorate: Decorate | None = None) -> tuple[ClipFile, Any, "Queue[Any]"]:
    pieces: Queue[Any] = Queue()
    clip, engine = ClipFile(WORLD, pieces.put, decorate), FakeEngine()
    clip.begin(engine, PLAN)  # type: ignore[arg-type]
    return clip, engine, pieces


def report(num_frames: int) -> Any:
    return SimpleNamespace(chunk=SimpleNamespace(num_frames=num_frames, labels=[9, 27]))


def take(pieces: "Queue[Any]", count: int) -> list[Any]:
    return [pieces.get(timeout=60.0) for _ in range(count)]


def test_pieces_come_in_the_order_of_the_engines_calls() -> None:
    clip, engine, pieces = begun()
    clip.on_opened()
    clip.on_pass()
    clip.on_chunk(report(8))
    clip.on_frames(FRAMES, 5.0)
    clip.on_frames(FRAMES, 6.0)
    clip.on_finished()
    came = take(pieces, 12)
    kinds = [type(piece) for piece in came]
    assert kinds == [Data, PassDone, *[Data] * 8, ChunkDone, Finished]
    assert came[10].decode_ms == 11.0
    assert came[0].data[4:8] == b"ftyp"
    assert (engine.requests, engine.allowed, engine.cancelled) == (["the request"], [True], [])


def test_frames_are_decorated_with_the_label_of_their_latent() -> None:
    labels: list[int] = []

    def decorate(frames: Any, label: int) -> Any:
        labels.append(label)
        return frames

    clip, _, pieces = begun(decorate)
    clip.on_chunk(report(8))
    clip.on_frames(FRAMES, 5.0)
    clip.on_frames(FRAMES, 5.0)
    take(pieces, 9)
    assert labels == [9, 27]


@pytest.mark.parametrize(("error", "code"), [(MemoryError(), "out_of_memory"), (ValueError("?"), "internal")])
def test_frame_that_cannot_be_encoded_ends_the_clip(
    error: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(VideoTrack, "encode", fail)
    clip, engine, pieces = begun()
    clip.on_chunk(report(8))
    clip.on_frames(FRAMES, 5.0)
    (failed,) = take(pieces, 1)
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert engine.cancelled == [True]
