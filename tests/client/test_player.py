"""When frames are due: a player that has none waits, and goes on from there."""

import pytest

from worldplay.client.player import Player
from worldplay.protocol.messages import Media


def frame(number: int) -> Media:
    return Media(
        chunk=0,
        frame=number,
        time=number / 10,
        duration=0.1,
        key=number == 0,
        decoded_at=0.0,
        decode=0.0,
        encode=0.0,
        data=b"",
    )


def test_frames_in_time_keep_their_deadlines() -> None:
    player = Player(plays=True)
    for number, now_s in enumerate((5.0, 5.05, 5.15, 5.29)):
        player.take(frame(number), now_s)
    assert (player.num_late, player.stalled_s) == (0, 0.0)
    assert player.shown_s == pytest.approx(0.29)
    assert player.buffered_s == pytest.approx(0.11)


def test_a_late_frame_stalls_the_player_and_those_after_it_are_in_time() -> None:
    player = Player(plays=True)
    player.take(frame(0), 5.0)
    player.advance(5.2)
    for number, now_s in enumerate((5.3, 5.3, 5.35), 1):
        player.take(frame(number), now_s)
    assert player.num_late == 1
    assert player.stalled_s == pytest.approx(0.2)
    assert player.shown_s == pytest.approx(0.15)


def test_frames_that_are_shown_when_they_arrive_are_never_late() -> None:
    player = Player(plays=False)
    player.take(frame(0), 5.0)
    player.take(frame(1), 9.0)
    assert (player.num_late, player.stalled_s, player.buffered_s) == (0, 0.0, 0.0)
    assert player.shown_s == pytest.approx(0.2)
