"""Input-to-photon latency from playheads."""

import pytest

from worldplay.web.latency import MAX_PENDING, LatencyTracker


def test_latency_ends_when_the_first_frame_is_shown() -> None:
    tracker = LatencyTracker()
    tracker.receive(seq=7, now_ms=1000.0)
    tracker.send(controls_seq=7, media_s=2.0)
    assert tracker.show(1.9, now_ms=1200.0) == []
    assert tracker.show(2.0, now_ms=1300.0) == [300.0]
    assert tracker.show(2.1, now_ms=1400.0) == []


def test_playhead_that_comes_late_is_dated_back() -> None:
    tracker = LatencyTracker()
    tracker.receive(seq=7, now_ms=1000.0)
    tracker.send(controls_seq=7, media_s=2.0)
    assert tracker.show(2.05, now_ms=1300.0) == pytest.approx([250.0])


def test_message_after_the_latch_waits_for_the_next_chunk() -> None:
    tracker = LatencyTracker()
    tracker.receive(seq=1, now_ms=0.0)
    tracker.receive(seq=2, now_ms=10.0)
    tracker.send(controls_seq=1, media_s=0.0)
    tracker.send(controls_seq=2, media_s=1.0)
    assert tracker.show(0.0, now_ms=100.0) == [100.0]
    assert tracker.show(1.0, now_ms=1100.0) == [1090.0]


def test_flood_is_bounded() -> None:
    tracker = LatencyTracker()
    for seq in range(10 * MAX_PENDING):
        tracker.receive(seq, now_ms=0.0)
    tracker.send(10 * MAX_PENDING, media_s=0.0)
    assert len(tracker.show(0.0, now_ms=1.0)) == MAX_PENDING
