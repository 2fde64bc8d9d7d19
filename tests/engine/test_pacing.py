import math

import pytest

from worldplay.engine.pacing import AckDelays, Costs, RecentTimes, latch_buffered_ms, margin_ms, needed_ms


def recent(*times_ms: float) -> RecentTimes:
    times = RecentTimes()
    for time_ms in times_ms:
        times.add(time_ms)
    return times


def test_nothing_measured_is_no_time() -> None:
    times = RecentTimes()
    assert (times.median_ms, times.p95_ms, times.jitter_ms) == (0.0, 0.0, 0.0)


def test_median_and_p95_are_nearest_ranks() -> None:
    times = recent(*range(20, 0, -1))
    assert (times.median_ms, times.p95_ms, times.jitter_ms) == (10, 19, 9)


def test_only_the_latest_32_times_count() -> None:
    times = recent(*[1000] * 50, *[10] * 32)
    assert (times.median_ms, times.p95_ms) == (10, 10)


def test_single_outlier_of_32_is_not_jitter() -> None:
    assert recent(*[100] * 31, 900).jitter_ms == 0


def test_target_is_at_least_50_ms() -> None:
    assert margin_ms(recent(100, 100, 100), AckDelays()) == 50


def test_target_is_the_sum_of_both_jitters() -> None:
    acks = AckDelays()
    for delay_ms in (10, 10, 70):
        acks.add(0.0, delay_ms, delay_ms + 100)
    assert margin_ms(recent(100, 100, 140), acks) == 40 + 60


def test_what_the_client_wants_replaces_the_least_target() -> None:
    assert margin_ms(recent(100, 100, 100), AckDelays(), wanted_ms=42) == 42
    assert latch_buffered_ms(recent(100, 100, 100), AckDelays(), wanted_ms=42) == 142


def test_what_the_client_wants_is_not_added_to_the_jitter_that_it_includes() -> None:
    assert margin_ms(recent(100, 100, 140), AckDelays(), wanted_ms=90) == 90
    assert margin_ms(recent(100, 100, 140), AckDelays(), wanted_ms=30) == 40


def test_lead_at_the_latch_is_target_plus_expected_times() -> None:
    acks = AckDelays()
    for _ in range(3):
        acks.add(0.0, 30.0, 130.0)
    assert latch_buffered_ms(recent(100, 100, 100), acks) == 50 + 100 + 80


def test_lead_is_bounded_on_a_hopelessly_slow_machine() -> None:
    assert latch_buffered_ms(recent(9000, 9000), AckDelays()) == 1333


@pytest.mark.parametrize(("fast_ms", "slow_ms"), [(60, 400)])
def test_faster_hardware_lowers_the_lead(fast_ms: float, slow_ms: float) -> None:
    assert latch_buffered_ms(recent(fast_ms), AckDelays()) == 110
    assert latch_buffered_ms(recent(slow_ms), AckDelays()) == 450


@pytest.mark.parametrize(
    ("lacked_ms", "held_ms", "median_ms"),
    [(80, 180, 30), (-20, 80, 0), (40, 140, 0), (200, 300, 150)],
)
def test_ack_delay_lies_half_way_between_playheads(
    lacked_ms: float, held_ms: float, median_ms: float
) -> None:
    acks = AckDelays()
    acks.add(100.0, lacked_ms, held_ms)
    assert acks.median_ms == median_ms


def test_period_of_playheads_is_no_jitter() -> None:
    acks = AckDelays()
    for phase_ms in range(0, 100, 10):  # a page that has everything at once
        acks.add(0.0, -phase_ms, 100 - phase_ms)
    assert acks.jitter_ms == 0


def test_need_counts_from_the_latch_less_the_media_before() -> None:
    assert needed_ms(since_latch_ms=300, media_before_ms=167) == 133


def costs(step_ms: float, decode_ms: float, *opens_ms: float) -> Costs:
    measured = Costs()
    for _ in range(2):  # the first of all does not count
        measured.count("step", step_ms)
        measured.count("decode", decode_ms)
    for open_ms in opens_ms:
        measured.count("open", open_ms)
    return measured


@pytest.mark.parametrize(
    ("opens_ms", "safe_ms"), [((), 50), ((4000,), 4000), ((4000, 10, 10), 4000), ((10, 10), 50)]
)
def test_opening_may_take_as_long_as_it_ever_did(opens_ms: tuple[int, ...], safe_ms: float) -> None:
    assert costs(30, 20, *opens_ms).safe_ms("open") == safe_ms


def test_opening_is_not_safe_before_a_step_was_measured() -> None:
    measured = Costs()
    measured.count("open", 10)
    assert measured.safe_ms("open") == math.inf


@pytest.mark.parametrize(
    ("decodes_beside", "delay_ms", "tail_ms"), [(False, 60.0, 180.0), (True, 0.0, 100.0)]
)
def test_decoding_beside_keeps_the_model_from_nothing(
    decodes_beside: bool, delay_ms: float, tail_ms: float
) -> None:
    costs = Costs(decodes_beside=decodes_beside)
    for _ in range(2):
        costs.count("decode", 20.0)
    costs.count_tail(generate_ms=100.0, decode_ms=40.0, num_undecoded=2)
    assert costs.decode_ms == 20.0
    assert costs.decoding_delay_ms(3) == delay_ms
    assert costs.tail.median_ms == tail_ms
