import pytest

from worldplay.engine.admission import Admission


def test_places_are_given_then_the_queue_then_nothing() -> None:
    admission = Admission(max_sessions=2, max_queued=1)
    assert [admission.enter(key, 0.0) for key in (1, 2, 3, 4)] == [True, True, True, False]
    assert [admission.is_seated(key) for key in (1, 2, 3, 4)] == [True, True, False, False]
    assert (admission.num_seated, admission.num_queued, admission.queue) == (2, 1, [3])


def test_free_place_goes_to_who_waits_longest() -> None:
    admission = Admission(max_sessions=1, max_queued=3)
    for key in (1, 2, 3):
        admission.enter(key, 0.0)
    admission.leave(1, 10.0)
    assert admission.is_seated(2)
    assert admission.queue == [3]


def test_newcomer_does_not_pass_the_queue() -> None:
    admission = Admission(max_sessions=1, max_queued=3)
    for key in (1, 2):
        admission.enter(key, 0.0)
    admission.leave(1, 10.0)
    admission.enter(3, 10.0)
    assert admission.queue == [3]


def test_who_gives_up_waiting_frees_no_place() -> None:
    admission = Admission(max_sessions=1, max_queued=3)
    for key in (1, 2, 3):
        admission.enter(key, 0.0)
    admission.leave(2, 10.0)
    assert admission.queue == [3]
    assert admission.num_seated == 1


def test_leaving_twice_is_leaving_once() -> None:
    admission = Admission(max_sessions=1, max_queued=3)
    for key in (1, 2, 3):
        admission.enter(key, 0.0)
    admission.leave(1, 10.0)
    admission.leave(1, 10.0)
    assert admission.queue == [3]


def test_wait_is_unknown_until_somebody_has_left() -> None:
    admission = Admission(max_sessions=1, max_queued=2)
    admission.enter(1, 0.0)
    assert admission.eta_s(1) is None


def test_wait_follows_from_how_long_visits_last() -> None:
    admission = Admission(max_sessions=2, max_queued=2)
    admission.enter(1, 0.0)
    admission.leave(1, 60_000.0)
    assert admission.eta_s(1) == 30.0
    assert admission.eta_s(2) == 60.0


def test_no_places_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="expected slots >= 1"):
        Admission(max_sessions=0, max_queued=2)


def reserved(num_slots: int, max_sessions: int = 2) -> Admission:
    admission = Admission(max_sessions, max_queued=3)
    admission.reserve(num_slots, until_ms=100.0)
    return admission


def test_who_is_back_goes_before_the_queue() -> None:
    admission = reserved(1)
    for key in (1, 2):
        admission.enter(key, 0.0)
    assert (admission.queue, admission.num_free) == ([2], 0)
    admission.enter(3, 1.0, is_back=True)
    assert admission.is_seated(3)
    assert admission.queue == [2]


def test_slots_that_nobody_comes_back_to_go_to_the_queue() -> None:
    admission = reserved(2)
    for key in (1, 2):
        admission.enter(key, 0.0)
    admission.expire(99.0)
    assert admission.num_seated == 0
    admission.expire(100.0)
    assert admission.num_seated == 2
    admission.enter(3, 101.0, is_back=True)
    assert admission.queue == [3]


def test_no_more_slots_are_reserved_than_there_are() -> None:
    admission = reserved(9)
    for key in (1, 2, 3):
        admission.enter(key, 0.0, is_back=True)
    assert (admission.num_seated, admission.queue) == (2, [3])


def test_slot_that_is_given_back_meanwhile_goes_to_the_queue() -> None:
    admission = reserved(1)
    for key in (1, 2):
        admission.enter(key, 0.0)
    admission.yield_seat(1, 1.0, rests=True)
    assert admission.is_seated(2)
    assert admission.queue == [1]


def test_newcomer_is_refused_if_all_is_reserved_and_nobody_may_wait() -> None:
    admission = Admission(max_sessions=1, max_queued=0)
    admission.reserve(1, until_ms=100.0)
    assert not admission.enter(1, 0.0)
    assert admission.enter(2, 0.0, is_back=True)
