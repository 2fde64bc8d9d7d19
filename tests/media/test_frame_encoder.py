"""The encoding thread of a video."""

from threading import Event

import numpy as np
import pytest

from worldplay.media.frame_encoder import FrameEncoder

FRAMES = np.zeros((4, 16, 16, 3), np.uint8)


class Failures:
    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.came = Event()

    def __call__(self, error: Exception) -> None:
        self.errors.append(error)
        self.came.set()


def finish(encoder: FrameEncoder) -> None:
    """Wait until all that was given is done."""
    done = Event()
    encoder.run(done.set)
    assert done.wait(60.0)


def test_tasks_are_done_in_their_order() -> None:
    encoder = FrameEncoder(16, 16, 24, Failures())
    done: list[int] = []
    for number in range(100):
        encoder.run(done.append, number)
    finish(encoder)
    encoder.close()
    assert done == list(range(100))


def test_first_frame_of_each_chunk_is_a_keyframe() -> None:
    encoder = FrameEncoder(16, 16, 24, Failures())
    keys = []
    for _ in range(2):
        encoder.begin_chunk()
        for _ in range(2):
            keys += [frame.key for frame, _ in encoder.encode(FRAMES)]
    assert keys == [True, *[False] * 7] * 2


def test_video_has_one_track() -> None:
    encoder = FrameEncoder(16, 16, 24, Failures())
    assert encoder.track is encoder.track


def test_time_of_each_frame_is_told() -> None:
    encoder = FrameEncoder(16, 16, 24, Failures())
    assert all(0 < time_ms < 10_000 for _, time_ms in encoder.encode(FRAMES))


def test_task_that_fails_is_the_last(caplog: pytest.LogCaptureFixture) -> None:
    failures, goes_on = Failures(), Event()
    encoder = FrameEncoder(16, 16, 24, failures)
    done: list[str] = []

    def wait_and_fail() -> None:
        goes_on.wait()
        raise ZeroDivisionError

    encoder.run(wait_and_fail)
    encoder.run(done.append, "after")
    goes_on.set()
    assert failures.came.wait(60.0)
    encoder.run(done.append, "later")
    assert [type(error) for error in failures.errors] == [ZeroDivisionError]
    assert done == []
    assert "encoding failed" in caplog.text


def test_closed_encoder_takes_no_task() -> None:
    done: list[str] = []
    encoder = FrameEncoder(16, 16, 24, Failures())
    encoder.close()
    encoder.run(done.append, "late")
    assert done == []
