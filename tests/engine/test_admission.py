import pytest

from worldplay.engine.admission import Admission


def test_places_are_given_then_the_queue_then_nothing() -> None:
    admission = Admission(max_sessions=2, max_queued=1)
    assert [admission.enter(key, 0.0) for key in (1, 2, 3, 4)] == [True, True, True, False]
    assert [admission.has_slot(key) for key in (1, 2, 3, 4)] == [True, True, False, False]
    assert (admission.num_slots_taken, admission.num_queued, admission.queue) == (2, 1, [3])


def test_free_place_goes_to_who_waits_longest() -> None:
    admission = Admission(max_sessions=1, max_queued=3)
    for key in (1, 2, 3):
        admission.enter(key, 0.0)
    admission.leave(1, 10.0)
    assert admission.has_slot(2)
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
    assert admission.num_slots_taken == 1


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


def reserved(*addresses: str, max_sessions: int = 2) -> Admission:
    """Slots are reserved for the sessions s0, s1, … of clients with these addresses."""
    admission = Admission(max_sessions, max_queued=3)
    admission.reserved.make({f"s{number}": each for number, each in enumerate(addresses)}, until_ms=100.0)
    return admission


def test_who_is_back_goes_before_the_queue() -> None:
    admission = reserved("")
    for key in (1, 2):
        admission.enter(key, 0.0)
    assert (admission.queue, admission.num_free) == ([2], 0)
    admission.enter(3, 1.0, name="s0")
    assert admission.has_slot(3)
    assert admission.queue == [2]
    admission.enter(4, 1.0, name="s0")
    assert admission.queue == [2, 4]


def test_slots_that_nobody_comes_back_to_go_to_the_queue() -> None:
    admission = reserved("one", "one")
    for key in (1, 2):
        admission.enter(key, 0.0, "one")
    admission.check_reserved(99.0)
    assert admission.num_slots_taken == 0
    admission.check_reserved(100.0)
    assert admission.num_slots_taken == 2
    admission.enter(3, 101.0, name="s0")
    assert admission.queue == [3]


def test_slot_that_is_given_back_meanwhile_goes_to_the_queue() -> None:
    admission = reserved("")
    for key in (1, 2):
        admission.enter(key, 0.0)
    admission.yield_slot(1, 1.0, rests=True)
    assert admission.has_slot(2)
    assert admission.queue == [1]


def test_slots_of_who_walks_elsewhere_wait_for_others_or_for_nobody() -> None:
    admission = reserved("", "", "", max_sessions=3)
    admission.enter(1, 0.0, name="s0")
    for key in (2, 3):
        admission.enter(key, 0.0)
    admission.reserved.exchange(["s0", "s1", "s2"], {"s3": ""})  # the first one is back already
    assert admission.queue == [2, 3]
    admission.check_reserved(1.0)
    assert (admission.has_slot(2), admission.queue) == (True, [3])
    admission.enter(4, 2.0, name="s3")
    assert (admission.has_slot(4), admission.num_slots_taken, len(admission.reserved)) == (True, 3, 0)


def test_who_comes_back_late_waits_beyond_the_limit_of_the_queue() -> None:
    admission = Admission(max_sessions=1, max_queued=1)
    assert [admission.enter(key, 0.0) for key in (1, 2, 3)] == [True, True, False]
    assert admission.enter(4, 0.0, name="back")
    assert not admission.enter(5, 0.0, name="another")
    assert (admission.queue, admission.is_full) == ([2, 4], True)
    admission.leave(1, 1.0)
    assert (admission.has_slot(2), admission.enter(6, 1.0), admission.queue) == (True, False, [4])


def test_newcomer_is_refused_if_all_is_reserved_and_nobody_may_wait() -> None:
    admission = Admission(max_sessions=1, max_queued=0)
    admission.reserved.make({"s0": ""}, until_ms=100.0)
    assert not admission.enter(1, 0.0)
    assert admission.enter(2, 0.0, name="s0")


def test_address_holds_all_slots_only_against_itself() -> None:
    admission = reserved("one", "one", "one", max_sessions=3)
    admission.enter(1, 0.0, "one")
    admission.check_reserved(1.0)
    assert admission.num_slots_taken == 0
    for key, address in ((2, "two"), (3, "two")):
        admission.enter(key, 2.0, address)
        admission.check_reserved(2.0)
    assert [admission.has_slot(key) for key in (1, 2, 3)] == [False, True, False]
    assert "s0" in admission.reserved
    assert "s2" not in admission.reserved
