import pytest

from engine.fakes import Recorder, Theatre
from worldplay.world.camera import FORWARD_STEP, Motion

AHEAD = Motion(forward=FORWARD_STEP)


def stages(theatre, walk=None):
    return [stage for stage, name in theatre.world.log if walk in (None, name)]


def names(listener):
    return [event[0] for event in listener.events]


def started(**options):
    """A theatre with one visitor who has got the first two chunks."""
    theatre = Theatre(**options)
    page = theatre.open_page()
    theatre.run(700)
    assert len(page.reports) == 2
    return theatre, page, page.session


# -- one session: from start to frames


def test_start_opens_a_walk_and_makes_a_chunk():
    theatre, listener = Theatre(), Recorder()
    theatre.open(listener, "court")
    theatre.settle()
    assert stages(theatre)[:10] == ["open", "context", *["step"] * 4, *["decode"] * 4]
    assert names(listener)[:2] == ["started", "chunk"]
    assert listener.num_frames == 13


def test_session_that_was_not_started_does_nothing():
    theatre, listener = Theatre(), Recorder()
    theatre.open(listener, start=False)
    theatre.settle()
    assert theatre.world.log == []


def test_report_tells_what_was_latched():
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    session.controls(4, 0.0, frozenset("w"))
    theatre.settle()
    report = listener.reports[0]
    assert (report.index, report.frames, report.controls_seq) == (0, 13, 4)
    assert report.motions == [AHEAD] * 4
    assert report.latched_at_ms == 1040.0  # after the context pass
    assert report.timings_ms == {"context": 40.0, "denoise": 80.0}


def test_controls_sent_during_the_context_pass_are_in_the_chunk():
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    theatre.world.hooks["context"] = lambda: session.controls(9, 0.0, frozenset("w"))
    theatre.settle()
    assert listener.reports[0].controls_seq == 9


def test_frames_come_latent_by_latent_with_their_times():
    theatre, listener = Theatre(decode_ms=10), Recorder()
    times = []
    listener.on_frames = lambda chunk, frames, decode_ms, at_ms: times.append((chunk, decode_ms, at_ms))
    theatre.open(listener)
    theatre.settle()
    assert times[:4] == [(0, 10.0, 1130.0), (0, 10.0, 1140.0), (0, 10.0, 1150.0), (0, 10.0, 1160.0)]


def test_bump_is_told_after_its_chunk():
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    session.poses(1, [Motion(forward=5.0)] * 4)
    theatre.settle()
    assert listener.events[1:3] == [("chunk", 0), ("bump", {"chunk": 0})]


# -- pacing


def test_page_that_never_acknowledges_gets_two_chunks():
    theatre, listener = Theatre(), Recorder()
    theatre.open(listener)
    theatre.run(5000)
    assert [report.index for report in listener.reports] == [0, 1]


def test_playing_page_gets_every_chunk_in_time_and_none_early():
    theatre = Theatre()
    page = theatre.open_page()
    theatre.run(20_000)
    assert page.stalled_ms == 0
    assert 20 <= page.shown_s + 1 < page.held_s + 1 <= page.shown_s + 1.8
    assert theatre.counters.late_chunks == 0


@pytest.mark.parametrize("delay_ms", [0, 15, 80, 200])
def test_page_far_away_does_not_stall_once_its_delay_is_known(delay_ms):
    theatre = Theatre()
    page = theatre.open_page(delay_ms=delay_ms)
    theatre.run(5000)
    stalled_ms = page.stalled_ms
    theatre.run(20_000)
    assert page.stalled_ms - stalled_ms <= 1


def leads_at_latch(**costs):
    theatre = Theatre(**costs)
    page = theatre.open_page()
    leads_ms = []
    theatre.world.hooks["latch"] = lambda: leads_ms.append(page.buffered_ms)
    theatre.run(10_000)
    assert page.stalled_ms < 5  # a short first chunk on a slow machine
    return leads_ms[2:]


def test_faster_hardware_lowers_the_lead_at_the_latch():
    slow_ms = leads_at_latch(context_ms=160, step_ms=80, decode_ms=16)
    fast_ms = leads_at_latch(context_ms=40, step_ms=20, decode_ms=4)
    assert 380 < min(slow_ms) < max(slow_ms) < 450  # 320 denoising, 16 decoding, 50 in hand
    assert 130 < min(fast_ms) < max(fast_ms) < 200


def test_slow_machine_works_without_a_pause_and_without_running_ahead():
    theatre = Theatre(context_ms=300, step_ms=200, decode_ms=20)
    page = theatre.open_page()
    theatre.run(20_000)
    assert theatre.counters.busy_ms > 19_000
    assert page.buffered_ms <= 667


def test_hidden_page_costs_nothing():
    theatre, page, _ = started()
    page.hidden = True
    theatre.run(200)
    before = len(theatre.world.log)
    theatre.run(10_000)
    assert len(theatre.world.log) == before
    page.hidden = False
    theatre.run(1000)
    assert len(theatre.world.log) > before


def test_page_that_falls_silent_costs_nothing():
    theatre, page, _ = started()
    page.next_ms = float("inf")
    theatre.run(1200)
    before = len(theatre.world.log)
    theatre.run(10_000)
    assert len(theatre.world.log) == before


# -- several sessions


def test_three_dry_pages_take_turns():
    theatre = Theatre(context_ms=300, step_ms=100)
    for view in "abc":
        theatre.open_page(view)
    theatre.run(20_000)
    order = [name for stage, name in theatre.world.log if stage == "context"]
    assert order[3:12] == order[:3] * 3
    assert sorted(order[:3]) == ["a", "b", "c"]


def test_three_pages_share_a_machine_that_is_fast_enough_without_stalls():
    theatre = Theatre(context_ms=40, step_ms=25, decode_ms=10)  # 180 of 667 ms each
    pages = [theatre.open_page(first_ms=37.0 * index) for index in range(3)]
    theatre.run(3000)
    stalled_ms = [page.stalled_ms for page in pages]
    theatre.run(20_000)
    assert [page.stalled_ms for page in pages] == stalled_ms


def test_page_that_never_acknowledges_does_not_hold_up_another():
    theatre = Theatre()
    theatre.open(Recorder(), "mute")
    page = theatre.open_page("walker")
    theatre.run(10_000)
    assert stages(theatre, "mute").count("context") == 2
    assert page.stalled_ms < 200
    assert len(page.reports) >= 15


def run_to_waiting_context(theatre):
    while theatre.world.log[-1] != ("context", "walk1"):
        theatre.run(1)


def test_newcomer_takes_the_place_of_a_context_pass_that_nobody_waits_for():
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
    assert [report.index for report in page.reports] == list(range(len(page.reports)))


def test_newcomer_does_not_make_a_walker_stall():
    theatre, page, _ = started()
    theatre.world.open_ms = 300
    stalled_ms = page.stalled_ms
    run_to_waiting_context(theatre)
    theatre.open(Recorder(), "new")
    theatre.run(1000)
    assert ("open", "new") in theatre.world.log
    assert page.stalled_ms == stalled_ms


# -- pause and step


def test_nothing_follows_paused_until_step_which_makes_one_chunk():
    theatre, page, session = started()
    theatre.world.hooks["step"] = session.pause  # in the middle of a chunk
    theatre.run(2000)
    theatre.world.hooks.clear()
    assert page.events[-1] == ("paused", {})
    made = len(page.reports)
    theatre.run(3000)
    assert len(page.reports) == made
    session.step()
    theatre.run(3000)
    assert len(page.reports) == made + 1


def test_resume_goes_on():
    theatre, page, session = started()
    session.pause()
    theatre.run(3000)
    made = len(page.reports)
    session.resume()
    theatre.run(2000)
    assert ("resumed", {}) in page.events
    assert len(page.reports) >= made + 3
    assert theatre.counters.late_chunks == 0


def test_resume_forgets_steps_that_were_not_made_and_taps_that_nobody_saw():
    theatre, page, session = started()
    session.pause()
    theatre.run(2000)
    session.controls(50, 0.0, frozenset("w"))
    session.controls(51, 0.0, frozenset())
    session.resume()
    made = len(page.reports)
    theatre.run(500)
    assert page.reports[made].motions == [Motion()] * 4


def test_step_while_walking_is_refused():
    theatre, page, session = started()
    session.step()
    theatre.run(1000)
    assert ("error", "bad_request", "expected `pause` before `step`, got `step` while walking", False) in (
        page.events
    )
    assert len(page.reports) >= 3


def test_step_works_for_a_page_that_never_acknowledged():
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    theatre.run(3000)
    session.pause()
    for _ in range(3):
        session.step()
    theatre.run(1000)
    assert len(listener.reports) == 5


# -- prompt, reset, rewind, another start


def test_prompt_takes_effect_at_the_next_chunk_and_is_acknowledged():
    theatre, page, session = started()
    theatre.world.hooks["step"] = lambda: session.prompt("snow") or theatre.world.hooks.clear()
    theatre.run(1000)
    made = page.events.index(("prompt", {"chunk": 3, "text": "snow"}))
    assert page.events[made - 1] == ("chunk", 2)
    assert theatre.world.walks[0].prompt == "snow"


def test_prompt_redoes_a_context_pass_that_was_made_for_the_old_one():
    theatre, _, session = started()
    run_to_waiting_context(theatre)
    session.prompt("snow")
    theatre.worker.run_once()
    theatre.worker.run_once()
    assert stages(theatre)[-3:] == ["context", "prompt", "context"]
    assert theatre.counters.speculation_misses == 1


@pytest.mark.parametrize("stage", ["context", "step", "decode"])
def test_reset_cancels_the_chunk_at_its_next_stage(stage):
    theatre, page, session = started()
    theatre.world.hooks[stage] = lambda: session.reset() or theatre.world.hooks.clear()
    theatre.run(1000)
    assert (stage, "walk1") == theatre.world.log[theatre.world.log.index(("truncate", "walk1")) - 1]
    assert ("reset", {"chunk": 0}) in page.events
    assert [report.index for report in page.reports][-2:] in ([1, 0], [2, 0], [0, 1])
    assert theatre.counters.cancelled_chunks == 1


def test_rewind_goes_back_and_on():
    theatre = Theatre()
    page = theatre.open_page()
    theatre.run(2500)
    made = len(page.reports)
    page.session.rewind(2)
    theatre.run(1000)
    assert ("rewound", {"chunk": 2}) in page.events
    assert page.reports[made].index == 2
    assert page.stalled_ms == 0


def test_rewind_past_the_end_is_refused_and_disturbs_nothing():
    theatre, page, session = started()
    theatre.world.hooks["step"] = lambda: session.rewind(9)
    theatre.run(2000)
    assert (
        "error",
        "bad_request",
        "expected to go back to one of 2 chunks, got chunk 9",
        False,
    ) in page.events
    assert theatre.counters.cancelled_chunks == 0
    assert [report.index for report in page.reports] == list(range(len(page.reports)))


def test_cancelled_chunk_does_not_take_inputs_sent_after_its_cancellation():
    theatre, page, session = started()

    def reset_and_turn():
        theatre.world.hooks.clear()
        session.reset()
        session.controls(7, 0.0, frozenset(), look_yaw=0.4)

    theatre.world.hooks["context"] = reset_and_turn
    theatre.run(1500)
    chunks = theatre.world.walks[0].chunks
    assert sum(step.yaw for steps in chunks for step in steps) == pytest.approx(0.4)
    assert page.reports[2].index == 0
    assert page.reports[2].controls_seq == 7


def test_cancelled_chunk_takes_its_taps_and_looks_with_it_but_not_the_held_keys():
    theatre, _, session = started()
    session.controls(7, 0.0, frozenset("w"), look_yaw=0.4)
    session.poses(8, [Motion(yaw=1.0)] * 40)
    theatre.world.hooks["step"] = lambda: session.reset() or theatre.world.hooks.clear()
    theatre.run(1000)
    assert theatre.world.walks[0].chunks[0] == [AHEAD] * 4


def test_another_start_leaves_the_walk_for_a_new_one():
    theatre, page, session = started()
    theatre.world.hooks["step"] = lambda: (
        session.start("other", None, None, None) or theatre.world.hooks.clear()
    )
    theatre.run(1000)
    assert names(page).count("started") == 2
    assert stages(theatre, "other").count("context") >= 1
    assert stages(theatre, "walk1").count("context") == 3
    assert page.reports[-1].index <= 1


def test_refused_start_leaves_the_walk_as_it_was():
    theatre, page, session = started()
    session.start("nowhere", None, None, None)
    theatre.run(1000)
    assert ("error", "bad_request", "expected a view out of court, got 'nowhere'", False) in page.events
    assert [report.index for report in page.reports] == list(range(len(page.reports)))
    session.rewind(1)
    theatre.run(100)
    assert ("rewound", {"chunk": 1}) in page.events


def test_nothing_but_start_is_possible_without_a_walk():
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener, start=False)
    session.prompt("snow")
    session.rewind(0)
    session.reset()
    theatre.settle()
    assert [event[:2] for event in listener.events] == [("error", "bad_request")] * 3


def test_flood_of_requests_is_bounded_and_refused():
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    for _ in range(10_000):
        session.reset()
        session.prompt("again")
        session.rewind(-1)
    assert len(session._commands) == 8
    theatre.settle()
    assert names(listener).count("error") == 32
    assert listener.reports


# -- leaving


@pytest.mark.parametrize("stage", ["open", "context", "step", "decode"])
def test_disconnect_in_mid_chunk_frees_the_worker_within_one_stage(stage):
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    theatre.world.hooks[stage] = session.close
    theatre.settle()
    assert stages(theatre)[-1] == stage
    assert stages(theatre).count(stage) == 1
    assert theatre.worker.admission.num_seated == 0
    assert session.walk is None


def test_closing_twice_ends_once():
    theatre, page, session = started()
    session.close()
    session.close()
    theatre.clock.pages.clear()
    theatre.run(100)
    assert theatre.counters.sessions_ended == 1
    assert page.events[-1][0] == "chunk"


def test_requests_after_closing_do_nothing():
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    session.close()
    theatre.settle()
    session.start("court", None, None, None)
    session.reset()
    session.step()
    session.playhead(0.0, 0.0, False)
    theatre.settle()
    assert listener.events == []
    assert theatre.world.log == []


# -- admission


def test_who_waits_hears_of_it_and_starts_when_a_place_is_free():
    theatre = Theatre(max_sessions=1)
    first = theatre.open(Recorder())
    second, third = Recorder(), Recorder()
    theatre.open(second)
    theatre.open(third)
    theatre.settle()
    assert second.events == [("queued", 1, None)]
    assert third.events == [("queued", 2, None)]
    theatre.run(1000)
    first.close()
    theatre.settle()
    assert second.events[1:3] == [("started",), ("chunk", 0)]
    assert third.events[1][:2] == ("queued", 1)
    assert third.events[1][2] > 1.0


def test_no_place_and_no_queue_is_busy():
    theatre = Theatre(max_sessions=1, max_queued=0)
    theatre.open(Recorder())
    turned_away = Recorder()
    theatre.open(turned_away)
    theatre.settle()
    assert [event[:2] for event in turned_away.events] == [("error", "busy")]
    assert turned_away.events[0][3] is True
    assert theatre.counters.sessions_refused == 1


# -- failures


def failing(error):
    def fail():
        raise error

    return fail


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    ("error", "code", "num_freed"),
    [
        (RuntimeError("boom"), "internal", 0),
        (StopIteration(), "internal", 0),
        (MemoryError(), "out_of_memory", 1),
        (OutOfMemoryError("CUDA"), "out_of_memory", 1),
    ],
)
@pytest.mark.parametrize("stage", ["open", "context", "step", "decode"])
def test_failure_ends_its_session_and_no_other(error, code, num_freed, stage, caplog):
    theatre, listener = Theatre(), Recorder()
    page = theatre.open_page("fine")
    theatre.run(300)
    theatre.open(listener, "bad")

    def fail_for_bad():
        if theatre.world.log[-1][1] == "bad":
            raise error

    theatre.world.hooks[stage] = fail_for_bad
    theatre.run(3000)
    assert [event[1] for event in listener.events if event[0] == "error"] == [code]
    assert listener.events[-1][3] is True
    assert theatre.world.num_freed == num_freed
    assert theatre.counters.failures == 1
    assert len(page.reports) >= 4
    assert "session 2 failed" in caplog.text
    assert "Traceback" in caplog.text


def test_listener_that_fails_ends_its_session_only(caplog):
    theatre, listener = Theatre(), Recorder()
    listener.on_chunk = lambda report: failing(RuntimeError("loop is closed"))()
    listener.on_error = lambda *details: failing(RuntimeError("loop is closed"))()
    theatre.open(listener)
    page = theatre.open_page()
    theatre.run(2000)
    assert theatre.worker.admission.num_seated == 1
    assert len(page.reports) >= 2
    assert "could not be told" in caplog.text


# -- counting


def test_counters_add_up():
    theatre = Theatre()
    page = theatre.open_page()
    theatre.run(10_000)
    counters = theatre.counters
    assert counters.chunks == len(page.reports)
    assert counters.frames == page.num_frames == 16 * counters.chunks - 3
    assert counters.stage_ms == {
        "context": 40.0 * counters.chunks,
        "denoise": 80.0 * counters.chunks,
        "decode": 40.0 * counters.chunks,
    }
    assert (counters.chunk_median_ms, counters.chunk_p95_ms) == (160.0, 160.0)
    assert counters.busy_ms == 160.0 * counters.chunks
    assert counters.speculation_hits == counters.chunks
    assert counters.walks_opened == counters.sessions_opened == 1
