import pytest

from support.fake_world import FakeWalk
from support.fakes import Page, Recorder, Theatre, names, run_to_waiting_context, stages, started
from worldplay.world.camera import FORWARD_STEP, Motion
from worldplay.world.steering import WalkRequest

AHEAD = Motion(forward=FORWARD_STEP)


def test_nothing_follows_paused_until_step_which_makes_one_chunk() -> None:
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


def test_resume_goes_on() -> None:
    theatre, page, session = started()
    session.pause()
    theatre.run(3000)
    made = len(page.reports)
    session.resume()
    theatre.run(2000)
    assert ("resumed", {}) in page.events
    assert len(page.reports) >= made + 3
    assert theatre.counters.late_chunks == 0


def test_resume_forgets_steps_that_were_not_made_and_taps_that_nobody_saw() -> None:
    theatre, page, session = started()
    session.pause()
    theatre.run(2000)
    session.controls(50, 0.0, frozenset("w"))
    session.controls(51, 0.0, frozenset())
    session.resume()
    made = len(page.reports)
    theatre.run(500)
    assert page.reports[made].chunk.motions == [Motion()] * 4


def test_step_while_walking_is_refused() -> None:
    theatre, page, session = started()
    session.step()
    theatre.run(1000)
    assert ("error", "bad_request", "expected `pause` before `step`, got `step` while walking", False) in (
        page.events
    )
    assert len(page.reports) >= 3


def test_step_works_for_a_page_that_never_acknowledged() -> None:
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener)
    theatre.run(3000)
    session.pause()
    for _ in range(3):
        session.step()
    theatre.run(1000)
    assert len(listener.reports) == 5


def test_a_page_that_speaks_only_of_old_media_gets_a_walk_that_was_long_in_opening() -> None:
    theatre, listener = Theatre(open_ms=1500), Recorder()
    session = theatre.open(listener)
    theatre.world.hooks["open"] = lambda: session.playhead(5.0, 0.0, False)
    theatre.run(4000)
    assert len(listener.reports) == 2


def test_prompt_takes_effect_at_the_next_chunk_and_is_acknowledged() -> None:
    theatre, page, session = started()
    theatre.world.once("step", lambda: session.prompt("snow"))
    theatre.run(1000)
    made = page.events.index(("prompt", {"chunk": 3, "text": "snow"}))
    assert page.events[made - 1] == ("chunk", 2)
    assert theatre.world.walks[0].prompt == "snow"


def test_prompt_redoes_a_context_pass_that_was_made_for_the_old_one() -> None:
    theatre, _, session = started()
    run_to_waiting_context(theatre)
    session.prompt("snow")
    theatre.worker.run_once()
    theatre.worker.run_once()
    assert stages(theatre)[-3:] == ["context", "prompt", "context"]
    assert theatre.counters.speculation_misses == 1


@pytest.mark.parametrize("stage", ["context", "step", "decode"])
def test_reset_cancels_the_chunk_at_its_next_stage(stage: str) -> None:
    theatre, page, session = started()
    theatre.world.once(stage, session.reset)
    theatre.run(1000)
    assert (stage, "walk1") == theatre.world.log[theatre.world.log.index(("truncate", "walk1")) - 1]
    assert ("reset", {"chunk": 0}) in page.events
    assert [report.chunk.index for report in page.reports][-2:] in ([1, 0], [2, 0], [0, 1])
    assert theatre.counters.cancelled_chunks == 1


def test_rewind_goes_back_and_on() -> None:
    theatre = Theatre()
    page = theatre.open_page()
    theatre.run(2500)
    made = len(page.reports)
    page.session.rewind(2)
    theatre.run(1000)
    assert ("rewound", {"chunk": 2}) in page.events
    assert page.reports[made].chunk.index == 2
    assert page.stalled_ms == 0


def test_rewind_past_the_end_is_refused_and_disturbs_nothing() -> None:
    theatre, page, session = started()
    theatre.world.hooks["step"] = lambda: session.rewind(9)
    theatre.run(2000)
    assert (
        "error",
        "bad_request",
        "expected to rewind to chunk 0 to 2, got 9",
        False,
    ) in page.events
    assert theatre.counters.cancelled_chunks == 0
    assert [report.chunk.index for report in page.reports] == list(range(len(page.reports)))


def test_cancelled_chunk_does_not_take_inputs_sent_after_its_cancellation() -> None:
    theatre, page, session = started()

    def reset_and_turn() -> None:
        session.reset()
        session.controls(7, 0.0, frozenset(), look_yaw=0.4)

    theatre.world.once("context", reset_and_turn)
    theatre.run(1500)
    chunks = theatre.world.walks[0].chunks
    assert sum(step.yaw for steps in chunks for step in steps) == pytest.approx(0.4)
    assert page.reports[2].chunk.index == 0
    assert page.reports[2].latch.seq == 7


def test_cancelled_chunk_takes_its_taps_and_looks_with_it_but_not_the_held_keys() -> None:
    theatre, _, session = started()
    session.controls(7, 0.0, frozenset("w"), look_yaw=0.4)
    session.poses(8, [Motion(yaw=1.0)] * 40)
    theatre.world.once("step", session.reset)
    theatre.run(1000)
    assert theatre.world.walks[0].chunks[0] == [AHEAD] * 4


def test_another_start_leaves_the_walk_for_a_new_one() -> None:
    theatre, page, session = started()
    theatre.world.once("step", lambda: session.start(WalkRequest("other")))
    theatre.run(1000)
    assert names(page).count("started") == 2
    assert stages(theatre, "other").count("context") >= 1
    assert stages(theatre, "walk1").count("context") == 3
    assert page.reports[-1].chunk.index <= 1


def test_refused_start_leaves_the_walk_as_it_was() -> None:
    theatre, page, session = started()
    session.start(WalkRequest("nowhere"))
    theatre.run(1000)
    assert ("error", "bad_request", "unknown view 'nowhere'; expected one of court", False) in page.events
    assert [report.chunk.index for report in page.reports] == list(range(len(page.reports)))
    session.rewind(1)
    theatre.run(100)
    assert ("rewound", {"chunk": 1}) in page.events


def test_nothing_but_start_is_possible_without_a_walk() -> None:
    theatre, listener = Theatre(), Recorder()
    session = theatre.open(listener, start=False)
    session.prompt("snow")
    session.rewind(0)
    session.reset()
    theatre.settle()
    assert [event[:2] for event in listener.events] == [("error", "bad_request")] * 3


def test_flood_of_requests_is_bounded_and_refused() -> None:
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


def test_refused_start_leaves_a_walk_paused() -> None:
    theatre, page, session = started()
    session.pause()
    theatre.run(2000)
    num_made = len(page.reports)
    session.start(WalkRequest("nowhere"))
    theatre.run(3000)
    assert (session.is_paused, len(page.reports)) == (True, num_made)
    session.resume()
    theatre.run(3000)
    assert len(page.reports) > num_made


def test_walk_that_begins_is_not_paused_by_a_later_refusal() -> None:
    theatre, page, session = started()
    session.pause()
    session.start(WalkRequest("another"))
    theatre.run(2000)
    num_made = len(page.reports)
    session.start(WalkRequest("nowhere"))
    theatre.run(3000)
    assert not session.is_paused
    assert len(page.reports) > num_made


def test_refusal_of_a_start_that_another_followed_pauses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre, page, session = started()
    session.pause()
    theatre.run(2000)
    open_walk = theatre.world.open_walk

    def open_and_be_asked_again(request: WalkRequest) -> FakeWalk:
        if request.view == "nowhere":
            session.start(WalkRequest("another"))
        return open_walk(request)

    monkeypatch.setattr(theatre.world, "open_walk", open_and_be_asked_again)
    session.start(WalkRequest("nowhere"))
    theatre.run(3000)
    assert names(page)[-2:] != ["error", "started"]
    assert not session.is_paused


def test_refused_start_leaves_a_walk_that_waits_to_go_on() -> None:
    """After a restart of the server, while others have its slot."""
    theatre = Theatre(max_sessions=1, max_queued=3)
    first = theatre.open_page()
    theatre.run(500)
    page = Page(theatre.clock)
    theatre.open(page, start=False)
    page.session.start(WalkRequest("restored", is_saved=True))
    theatre.run(200)
    page.session.start(WalkRequest("nowhere"))
    first.session.close()
    theatre.run(1000)
    assert names(page)[:3] == ["queued", "started", "error"]
    assert page.session.walk is theatre.world.walks[-1]
