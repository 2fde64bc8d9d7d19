"""Clients that are away: nothing is made for them, their walk is saved, and others get the place."""

import pytest

from support.fakes import Page, Theatre, names, run_to_waiting_context, stages, started
from worldplay.engine.session import Session
from worldplay.world.snapshot import Snapshot


def test_nothing_is_made_for_a_client_that_is_away() -> None:
    theatre, page, session = started()
    session.leave()
    theatre.run(200)
    before = stages(theatre)
    theatre.run(3000)
    assert stages(theatre) == before
    session.come_back()
    theatre.run(1500)
    assert len(page.reports) >= 4
    assert [report.chunk.index for report in page.reports] == list(range(len(page.reports)))


def test_chunk_that_has_read_its_controls_is_finished_and_shown_later() -> None:
    theatre, page, session = started()
    run_to_waiting_context(theatre)
    theatre.world.once("step", session.leave)
    theatre.run(2000)
    num_made = len(theatre.world.walks[0].chunks)
    num_shown = len(page.reports)
    session.come_back()
    theatre.run(100)
    assert (num_made, num_shown) == (3, 2)
    assert len(page.reports) == 3


def test_walk_is_saved_when_its_client_leaves_and_when_the_session_ends() -> None:
    theatre, page, session = started()
    assert (page.num_changes, page.num_rests) == (3, 0)  # opened, and two chunks
    session.leave()
    theatre.run(10)
    assert page.num_rests == 1
    session.close()
    theatre.run(10)
    assert page.num_rests == 2


def test_held_keys_are_released() -> None:
    theatre, page, session = started()
    session.controls(1, 0.0, frozenset({"w"}))
    theatre.run(1500)
    assert page.reports[-1].chunk.motions[-1].forward > 0
    session.leave()
    session.come_back()
    theatre.run(1500)
    assert page.reports[-1].chunk.motions[-1].forward == 0


@pytest.mark.parametrize("is_lost", [True, False])
def test_seq_of_an_earlier_connection_is_in_no_later_chunk(is_lost: bool) -> None:
    """Without being lost, a connection ends when its client comes back on another one."""
    theatre, page, session = started()
    session.controls(5010, 0.0, frozenset({"w"}))
    theatre.run(1500)
    assert page.reports[-1].latch.seq == 5010
    num_before = len(theatre.world.walks[0].chunks)
    if is_lost:
        session.leave()
    session.come_back()
    theatre.run(1500)
    later = [report for report in page.reports if report.chunk.index >= num_before]
    assert [report.latch.seq for report in later] == [None] * len(later) != []
    assert page.reports[-1].chunk.motions[-1].forward == 0
    session.controls(1, 0.0, frozenset({"w"}))
    theatre.run(1500)
    assert page.reports[-1].latch.seq == 1


def test_chunk_begun_before_its_client_left_reads_the_keys_of_the_next_connection() -> None:
    theatre, page, session = started()
    session.controls(5010, 0.0, frozenset({"a"}))
    run_to_waiting_context(theatre)
    session.leave()
    session.come_back()
    session.controls(1, 0.0, frozenset({"w"}))
    theatre.run(700)
    assert page.reports[2].latch.seq == 1
    assert page.reports[2].chunk.motions[-1].forward > 0


def test_place_of_a_client_that_is_away_goes_to_who_arrives() -> None:
    theatre, _, session = started(max_sessions=1, max_queued=0)
    session.leave()
    other = theatre.open_page()
    theatre.run(1000)
    assert session.is_closed
    assert other.reports
    assert theatre.counters.sessions_refused == 0


def test_place_of_a_client_that_leaves_goes_to_who_waits() -> None:
    theatre, _, session = started(max_sessions=1, max_queued=1)
    other: Page = theatre.open_page()
    theatre.run(1000)
    assert names(other) == ["queued"]
    session.leave()
    theatre.run(1000)
    assert not session.is_closed
    assert other.reports


def test_place_of_a_client_that_left_in_mid_chunk_goes_to_who_waits() -> None:
    theatre, page, session = started(max_sessions=1, max_queued=1)
    theatre.world.once("decode", session.leave)
    theatre.run(1000)
    num_frames = page.num_frames
    other: Page = theatre.open_page()
    theatre.run(1000)
    assert other.reports
    other.session.close()
    session.come_back()
    theatre.run(1000)
    assert page.num_frames >= num_frames + 28  # what was left of that chunk, and another one


def test_client_that_comes_back_waits_if_others_have_its_place() -> None:
    theatre, page, session = started(max_sessions=1, max_queued=1)
    other: Page = theatre.open_page()
    session.leave()
    theatre.run(1000)
    num_reports = len(page.reports)
    session.come_back()
    theatre.run(1000)
    assert names(page)[-1] == "queued"
    assert len(page.reports) == num_reports
    other.session.close()
    theatre.run(1000)
    assert len(page.reports) > num_reports


def test_walk_of_a_client_that_is_away_is_not_given_up_where_that_helps_nobody() -> None:
    theatre, _, session = started(max_sessions=1, max_queued=1)
    session.leave()
    theatre.open_page()
    theatre.run(1000)
    theatre.open_page()
    theatre.run(100)
    assert not theatre.worker.has_room
    refused = theatre.open_page()
    theatre.run(100)
    assert refused.session.is_closed
    assert not session.is_closed


def test_place_is_kept_as_long_as_nobody_wants_it() -> None:
    theatre: Theatre
    theatre, _, session = started(max_sessions=2)
    session.leave()
    theatre.open_page()
    theatre.run(1000)
    assert not session.is_closed


def test_walk_can_be_copied_while_it_is_made() -> None:
    theatre, page, session = started()
    copies: list[Snapshot] = []
    session.copy(copies.append)
    theatre.run(1000)
    assert len(copies) == 1
    assert len(page.reports) >= 3


def test_client_that_comes_back_while_room_is_made_keeps_its_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theatre = Theatre(max_sessions=1, max_queued=0)
    page = theatre.open_page()
    theatre.run(700)
    page.session.leave()
    theatre.run(50)
    find = theatre.worker._find_away

    def find_and_come_back() -> Session | None:
        found = find()
        if found is not None:
            assert found.come_back()
        return found

    monkeypatch.setattr(theatre.worker, "_find_away", find_and_come_back)
    theatre.open(Page(theatre.clock))
    theatre.run(1000)
    assert not page.session.is_closed


def test_client_hears_that_its_session_has_just_ended() -> None:
    theatre = Theatre(max_sessions=1, max_queued=0)
    page = theatre.open_page()
    theatre.run(700)
    page.session.leave()
    assert page.session.close_if_away()
    assert not page.session.come_back()
