import pytest

from worldplay.engine.playback import Playback, Playhead


def hand_chunk(playback: Playback, now_ms: float, duration_s: float = 0.6) -> bool:
    late = playback.begin_chunk(now_ms)
    playback.hand(duration_s, now_ms)
    return late


def acknowledge(
    playback: Playback, now_ms: float, shown_s: float, buffered_s: float = 0.0, hidden: bool = False
) -> None:
    playback.acknowledge(Playhead(shown_s, buffered_s, hidden, now_ms))


def lead_ms(playback: Playback, now_ms: float) -> float:
    return round(playback.underrun_ms(now_ms) - now_ms, 6)


def test_page_without_media_is_dry() -> None:
    assert lead_ms(Playback(), 5000) == 0


def test_page_that_never_acknowledged_gets_two_chunks() -> None:
    playback = Playback()
    assert playback.wants_chunk(0)
    hand_chunk(playback, 0)
    assert playback.wants_chunk(300)
    hand_chunk(playback, 500)
    assert not playback.wants_chunk(600)
    assert not playback.wants_chunk(1_000_000)


def test_page_that_never_acknowledged_is_taken_to_play_from_its_first_frames() -> None:
    playback = Playback()
    hand_chunk(playback, 1000)
    assert lead_ms(playback, 1400) == 200
    hand_chunk(playback, 1500)
    assert lead_ms(playback, 1500) == 700


def test_dry_page_plays_on_when_media_comes() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 700, 0.6)
    hand_chunk(playback, 790)
    assert lead_ms(playback, 790) == 600


def test_acknowledging_page_gets_more() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    hand_chunk(playback, 500)
    acknowledge(playback, 600, 0.5, 0.7)
    assert playback.wants_chunk(700)


def test_lead_is_extrapolated_while_the_page_plays() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 100, 0.1, 0.5)
    assert lead_ms(playback, 100) == 500
    assert lead_ms(playback, 180) == 420
    assert lead_ms(playback, 900) == 0


def test_page_that_falls_silent_for_a_second_wants_nothing() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 100, 0.1, 0.5)
    assert playback.wants_chunk(1100)
    assert not playback.wants_chunk(1101)
    acknowledge(playback, 5000, 0.6)
    assert playback.wants_chunk(5000)


def test_hidden_page_wants_nothing_until_it_is_seen_again() -> None:
    playback = Playback()
    acknowledge(playback, 0, 0.0, hidden=True)
    assert not playback.wants_chunk(0)
    acknowledge(playback, 900, 0.0, hidden=False)
    assert playback.wants_chunk(900)


def test_request_is_a_sign_of_life_worth_two_chunks() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 100, 0.1, 0.5)
    playback.renew()
    for now_ms in (3000, 4000):
        assert playback.wants_chunk(now_ms)
        hand_chunk(playback, now_ms)
    assert not playback.wants_chunk(5000)


def test_page_cannot_claim_to_show_what_it_was_not_given() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 100, 0.2, 0.1)
    acknowledge(playback, 200, 0.6)
    assert lead_ms(playback, 200) == 0


def test_dropped_media_is_no_lead() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 100, 0.1, 0.5)
    hand_chunk(playback, 400)
    playback.drop(0.6)
    assert lead_ms(playback, 400) == 200


def test_media_that_never_comes_is_written_off() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    hand_chunk(playback, 500)  # lost
    acknowledge(playback, 600, 0.6)
    assert lead_ms(playback, 600) == 600
    acknowledge(playback, 2400, 0.6)
    assert lead_ms(playback, 2400) == 600
    acknowledge(playback, 2600, 0.6)
    assert lead_ms(playback, 2600) == 0


def test_media_written_off_too_soon_counts_when_it_comes() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 2100, 0.0)
    assert lead_ms(playback, 2100) == 0
    acknowledge(playback, 2200, 0.0, 0.6)
    assert lead_ms(playback, 2200) == 600


@pytest.mark.parametrize(("shown_s", "buffered_s"), [(0.0, 0.0), (1.2, 0.0), (99.0, 0.0), (99.0, 5.0)])
def test_page_that_is_back_needs_a_picture_at_once_whatever_it_shows(
    shown_s: float, buffered_s: float
) -> None:
    """Whatever was on its way to the lost connection has not come."""
    playback = Playback()
    for now_ms in (0, 500):
        hand_chunk(playback, now_ms)
    acknowledge(playback, 600, 0.5, 0.7)
    playback.come_back(0.0, 0.0, 700)
    assert lead_ms(playback, 700) == 0
    acknowledge(playback, 710, shown_s, buffered_s)
    assert lead_ms(playback, 710) == 0


def test_page_that_is_back_has_what_it_is_sent_again() -> None:
    playback = Playback(40.0)
    hand_chunk(playback, 0)
    playback.come_back(0.4, 10.0, 700)
    assert lead_ms(playback, 700) == 400
    acknowledge(playback, 800, 50.3, 0.3)
    assert lead_ms(playback, 800) == 300


def test_page_that_is_back_is_seen_until_it_says_that_it_is_not() -> None:
    playback = Playback()
    acknowledge(playback, 0, 0.0, hidden=True)
    playback.come_back(0.0, 0.0, 100)
    assert playback.wants_chunk(100)


@pytest.mark.parametrize(("first_ms", "is_late"), [(500, False), (700, True)])
def test_chunk_is_late_if_the_page_ran_dry_before_it(first_ms: float, is_late: bool) -> None:
    playback = Playback()
    assert not hand_chunk(playback, 0)
    acknowledge(playback, 100, 0.1, 0.5)
    assert hand_chunk(playback, first_ms) is is_late


def test_chunk_after_a_wanted_break_is_not_late() -> None:
    playback = Playback()
    hand_chunk(playback, 0)
    acknowledge(playback, 100, 0.1, 0.5)
    playback.renew()
    assert not hand_chunk(playback, 9000)


def test_ack_delay_is_measured_on_the_first_frame_of_each_chunk() -> None:
    playback = Playback()
    acknowledge(playback, 0, 0.0)
    hand_chunk(playback, 50)
    acknowledge(playback, 100, 0.0)
    acknowledge(playback, 200, 0.0, 0.04)  # came between 50 and 150 ms after it was handed over
    acknowledge(playback, 300, 0.0, 0.6)
    assert playback.ack_delays.median_ms == 100
