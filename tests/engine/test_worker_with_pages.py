"""A worker with pages that play, on the fake clock: chunks come in time, and none too early."""

import pytest

from support.fakes import Recorder, Theatre, run_to_waiting_context, stages, started


def test_page_that_never_acknowledges_gets_two_chunks() -> None:
    theatre, listener = Theatre(), Recorder()
    theatre.open(listener)
    theatre.run(5000)
    assert [report.chunk.index for report in listener.reports] == [0, 1]


def test_playing_page_gets_every_chunk_in_time_and_none_early() -> None:
    theatre = Theatre()
    page = theatre.open_page()
    theatre.run(20_000)
    assert page.stalled_ms == 0
    assert 20 <= page.shown_s + 1 < page.held_s + 1 <= page.shown_s + 1.8
    assert theatre.counters.late_chunks == 0


@pytest.mark.parametrize("delay_ms", [0, 15, 80, 200])
def test_page_far_away_does_not_stall_once_its_delay_is_known(delay_ms: float) -> None:
    theatre = Theatre()
    page = theatre.open_page(delay_ms=delay_ms)
    theatre.run(5000)
    stalled_ms = page.stalled_ms
    theatre.run(20_000)
    assert page.stalled_ms - stalled_ms <= 1


def leads_at_latch(context_ms: float, step_ms: float, decode_ms: float) -> list[float]:
    theatre = Theatre(context_ms=context_ms, step_ms=step_ms, decode_ms=decode_ms)
    page = theatre.open_page()
    leads_ms: list[float] = []
    theatre.world.hooks["latch"] = lambda: leads_ms.append(page.buffered_ms)
    theatre.run(10_000)
    assert page.stalled_ms < 5  # a short first chunk on a slow machine
    return leads_ms[2:]


def test_faster_hardware_lowers_the_lead_at_the_latch() -> None:
    slow_ms = leads_at_latch(context_ms=160, step_ms=80, decode_ms=16)
    fast_ms = leads_at_latch(context_ms=40, step_ms=20, decode_ms=4)
    assert 380 < min(slow_ms) < max(slow_ms) < 450  # 320 denoising, 16 decoding, 50 in hand
    assert 130 < min(fast_ms) < max(fast_ms) < 200


def test_slow_machine_works_without_a_pause_and_without_running_ahead() -> None:
    theatre = Theatre(context_ms=300, step_ms=200, decode_ms=20)
    page = theatre.open_page()
    theatre.run(20_000)
    assert theatre.counters.busy_ms > 19_000
    assert page.buffered_ms <= 667


def test_hidden_page_costs_nothing() -> None:
    theatre, page, _ = started()
    page.hidden = True
    theatre.run(200)
    before = len(theatre.world.log)
    theatre.run(10_000)
    assert len(theatre.world.log) == before
    page.hidden = False
    theatre.run(1000)
    assert len(theatre.world.log) > before


def test_page_that_falls_silent_costs_nothing() -> None:
    theatre, page, _ = started()
    page.next_ms = float("inf")
    theatre.run(1200)
    before = len(theatre.world.log)
    theatre.run(10_000)
    assert len(theatre.world.log) == before


def test_three_dry_pages_take_turns() -> None:
    theatre = Theatre(context_ms=300, step_ms=100)
    for view in "abc":
        theatre.open_page(view)
    theatre.run(20_000)
    order = [name for stage, name in theatre.world.log if stage == "context"]
    assert order[3:12] == order[:3] * 3
    assert set(order[:3]) == {"a", "b", "c"}


def test_three_pages_share_a_machine_that_is_fast_enough_without_stalls() -> None:
    theatre = Theatre(context_ms=40, step_ms=25, decode_ms=10)  # 180 of 667 ms each
    pages = [theatre.open_page(first_ms=37.0 * index) for index in range(3)]
    theatre.run(3000)
    stalled_ms = [page.stalled_ms for page in pages]
    theatre.run(20_000)
    assert [page.stalled_ms for page in pages] == stalled_ms


def test_page_that_never_acknowledges_does_not_hold_up_another() -> None:
    theatre = Theatre()
    theatre.open(Recorder(), "mute")
    page = theatre.open_page("walker")
    theatre.run(10_000)
    assert stages(theatre, "mute").count("context") == 2
    assert page.stalled_ms < 200
    assert len(page.reports) >= 15


def test_newcomer_takes_the_place_of_a_context_pass_that_nobody_waits_for() -> None:
    theatre, page, _ = started()
    run_to_waiting_context(theatre)
    page.hidden = True
    page.tick()
    theatre.open(Recorder(), "new")
    theatre.settle()
    assert theatre.world.log[-10:-8] == [("open", "new"), ("context", "new")]
    assert theatre.counters.speculation_misses == 1
    page.hidden = False
    theatre.run(1000)
    assert [report.chunk.index for report in page.reports] == list(range(len(page.reports)))


def test_newcomer_does_not_make_a_walker_stall() -> None:
    theatre, page, _ = started()
    theatre.world.open_ms = 300
    stalled_ms = page.stalled_ms
    run_to_waiting_context(theatre)
    theatre.open(Recorder(), "new")
    theatre.run(1000)
    assert ("open", "new") in theatre.world.log
    assert page.stalled_ms == stalled_ms


def test_frames_do_not_pile_up_before_a_slow_encoder() -> None:
    """Raw frames are large; and once a page is behind by a queue of them it would never catch up."""
    theatre = Theatre()
    page = theatre.open_page(encode_ms=60.0)  # at 24 fps it has 42 ms for a frame
    most = 0
    for _ in range(120):
        theatre.run(1000)
        most = max(most, page.num_raw)
    assert most <= 40
    assert page.num_frames > 0.9 * 120_000 / 60.0  # and the encoder never waits
