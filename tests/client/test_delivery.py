"""What is said about arrivals: a session that is fed by hand, at given times."""

from dataclasses import replace

import pytest

from worldplay.client.delivery import Delivery, Spread, describe, describe_all, render
from worldplay.client.visit import Visit
from worldplay.protocol import messages as m

STILL = m.LatentMotion(forward=0.0, right=0.0, yaw=0.0, pitch=0.0)


def chunk(index: int, controls_seq: int | None = None) -> m.Chunk:
    """A chunk of two frames, for which the model worked 40 ms, decoding apart."""
    return m.Chunk(
        index=index,
        first_frame=2 * index,
        frames=2,
        controls_seq=controls_seq,
        latched_at=0.0,
        labels=(),
        motions=(STILL,),
        poses=(),
        timings=m.Timings(select=1.0, context=9.0, denoise=30.0),
    )


def frame(number: int) -> m.Media:
    return m.Media(
        chunk=number // 2,
        frame=number,
        time=number / 24,
        duration=1 / 24,
        key=number % 2 == 0,
        decoded_at=0.0,
        decode=5.0,
        encode=1.0,
        data=b"",
    )


def visit_of(num_chunks: int, chunk_s: float) -> Visit:
    """A session whose chunks come in bursts."""
    visit = Visit()
    visit.began_s = 9.0
    for index in range(num_chunks):
        now_s = 10.0 + chunk_s * index
        visit.take(chunk(index, controls_seq=1 if index == 2 else None), now_s)
        visit.take(frame(2 * index), now_s)
        visit.take(frame(2 * index + 1), now_s + 0.001)
        list(visit.answer(now_s + 0.002))
    return visit


def test_a_session_is_described() -> None:
    found = describe(visit_of(4, chunk_s=0.1), None)
    assert (found.frames, found.ended, found.queued_s) == (8, None, None)
    assert found.first_frame_s == pytest.approx(1.0)
    assert found.frames_per_s == pytest.approx(20.0)
    assert found.model_frames_per_s == pytest.approx(2 / 0.050)
    assert found.in_time == pytest.approx(1 - 3 / 8)  # the first frame of each chunk but the first is late
    assert found.stalled_s == pytest.approx(3 * (0.1 - 2 / 24))
    assert found.interval_ms is not None
    assert found.interval_ms.median == pytest.approx(1.0)
    assert found.interval_ms.most == pytest.approx(99.0)
    assert found.key_to_fragment_ms is not None
    assert found.key_to_fragment_ms.median == pytest.approx(198.0)


def test_nothing_is_said_about_a_session_without_frames() -> None:
    assert describe(Visit(), "refused") == Delivery(0, "refused")


def test_a_chunk_that_did_not_come_completely_says_nothing_about_the_model() -> None:
    visit = Visit()
    visit.take(chunk(0), 1.0)
    visit.take(frame(0), 1.0)
    assert describe(visit, None).model_frames_per_s is None


def test_sessions_together_add_up() -> None:
    visits = [visit_of(4, chunk_s=0.1), visit_of(4, chunk_s=0.05), Visit()]
    together = describe_all(visits)
    assert (together.frames, together.first_frame_s) == (16, 1.0)
    assert together.frames_per_s == pytest.approx(15 / 0.301)
    assert together.model_frames_per_s == pytest.approx(2 / 0.050)
    assert together.in_time == pytest.approx(1 - 3 / 16)


def test_the_wait_in_the_queue_is_told() -> None:
    visit = visit_of(1, chunk_s=0.1)
    visit.take(m.Queued(position=2, eta=None), 9.0)
    visit.take(m.Init(codec="", mime="", data=b""), 9.75)
    assert describe(visit, None).queued_s == 0.75


def test_the_table_has_a_row_for_each_session_and_a_sentence_for_what_went_wrong() -> None:
    spread = Spread(41.0, 50.0, 60.0, 70.4)
    whole = Delivery(480, None, 1.25, 0.5, 24.0, 60.0, spread, 0.998, 0.1, spread)
    table = render([whole, Delivery(0, "no")], replace(whole, queued_s=None)).splitlines()
    assert [line.split()[0] for line in table[1:4]] == ["1", "2", "all"]
    cells = "1 0.50 s 480 24.0 60.0 99.8 % 0.1 s 41 50 60 70 41 50 70"
    assert table[1].split() == cells.split()
    assert table[2].split()[:5] == ["2", "-", "0", "-", "-"]
    assert table[4:] == [
        "session 1 waited 1.2 s until its walk was opened",
        "session 2 ended after 0 frames: no",
    ]
    assert len({len(line) for line in table[:4]}) == 1
