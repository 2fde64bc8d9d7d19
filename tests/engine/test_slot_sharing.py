"""Who gets a slot, when others do not use theirs."""

import pytest

from support.fakes import Page, Recorder, Theatre, names, stages
from worldplay.engine.activity import PAUSED_S, SILENT_S, SlotLimits
from worldplay.engine.admission import Admission
from worldplay.engine.worker import Worker
from worldplay.world.steering import WalkRequest


def theatre_with(limits: SlotLimits, max_sessions: int = 1) -> Theatre:
    theatre = Theatre(max_sessions)
    theatre.worker = Worker(theatre.world, Admission(max_sessions, 2, limits), theatre.clock)
    return theatre


def states(page: Recorder) -> list[tuple[object, ...]]:
    return [event for event in page.events if event[0] in ("queued", "yielded")]


def test_idle_walker_keeps_its_slot_while_nobody_waits() -> None:
    theatre = theatre_with(SlotLimits(idle_s=20))
    page = theatre.open_page()
    theatre.run(60_000)
    assert states(page) == []
    assert len(page.reports) > 80


def test_idle_walker_makes_room_and_its_walk_goes_on_later() -> None:
    theatre = theatre_with(SlotLimits(idle_s=20))
    first = theatre.open_page()
    theatre.run(10_000)
    second = theatre.open_page()
    theatre.run(15_000)
    assert names(second)[:2] == ["queued", "started"]
    assert [event[:2] for event in states(first)] == [("yielded", {"text": "idle"}), ("queued", 1)]
    num_chunks = len(first.reports)
    second.session.controls(0, 0.0, frozenset(["w"]))
    first.session.controls(0, 0.0, frozenset(["w"]))
    theatre.run(1000)
    assert len(first.reports) == num_chunks
    second.session.close()
    theatre.clock.pages.remove(second)
    theatre.run(3000)
    assert [report.chunk.index for report in first.reports] == list(range(len(first.reports)))
    assert len(first.reports) > num_chunks


def test_chunk_in_progress_is_finished_before_the_slot_is_given_away() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5))
    first = theatre.open_page()
    theatre.open_page()
    theatre.run(10_000)
    assert first.num_frames == sum(report.chunk.num_frames for report in first.reports)


def test_walker_that_does_something_again_before_its_chunk_is_finished_goes_on() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5.2))
    first = theatre.open_page()
    theatre.open_page()
    theatre.run(5200)
    while not first.session.is_held:  # in the middle of a chunk
        theatre.run(1)
        assert "yielded" not in names(first)
    first.session.controls(0, 0.0, frozenset(["w"]))
    num_chunks = len(first.reports)
    theatre.run(3000)
    assert len(first.reports) > num_chunks + 3
    assert "yielded" not in names(first)


def test_who_has_waited_longer_than_walkers_may_be_idle_keeps_the_slot_that_it_gets() -> None:
    theatre = theatre_with(SlotLimits(idle_s=20))
    first, second, third = (theatre.open_page() for _ in range(3))
    for _ in range(6):
        first.session.controls(0, 0.0, frozenset(["w"]))
        theatre.run(5000)
    first.session.close()
    theatre.clock.pages.remove(first)
    theatre.run(3000)
    assert "yielded" not in names(second)
    assert second.reports
    assert not third.reports


def test_silent_walkers_lose_their_slots_to_one_who_plays() -> None:
    theatre = theatre_with(SlotLimits())
    silent = Recorder()
    theatre.open(silent)
    theatre.run(1000)
    page = theatre.open_page()
    theatre.run(SILENT_S * 1000 + 3000)
    assert page.reports
    assert ("yielded", {"text": "silent"}) in silent.events


def test_paused_walker_loses_its_slot() -> None:
    theatre = theatre_with(SlotLimits())
    first = theatre.open_page()
    theatre.run(1000)
    first.session.pause()
    second = theatre.open_page()
    theatre.run(PAUSED_S * 1000 + 3000)
    assert second.reports
    assert ("yielded", {"text": "paused"}) in first.events


def test_one_who_waits_takes_only_one_slot() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5), max_sessions=2)
    pages = [theatre.open_page() for _ in range(3)]
    theatre.run(8000)
    yielded = [page for page in pages if "yielded" in names(page)]
    assert len(yielded) == 1


class Deaf(Page):
    """A page that cannot be told that it is idle."""

    def on_state(self, what: str, detail: dict[str, object]) -> None:
        if what == "idle":
            raise RuntimeError("gone")
        super().on_state(what, detail)


def test_walker_that_cannot_be_asked_ends_alone() -> None:
    theatre = theatre_with(SlotLimits(idle_s=1, visit_s=1))
    deaf = Deaf(theatre.clock)
    theatre.open(deaf)
    theatre.clock.pages.append(deaf)
    theatre.run(100)
    deaf.session.controls(1, 0.0, frozenset(["w"]))
    theatre.run(1500)
    waiting = [theatre.open_page() for _ in range(2)]
    theatre.run(5000)
    assert deaf.events[-1][:2] == ("error", "internal")
    assert all(page.reports for page in waiting)


class Starter(Page):
    """A page that asks for another walk as soon as it has its slot again; there is none of that name."""

    def on_slot(self) -> None:
        super().on_slot()
        if self.num_slots_given == 2:
            self.session.start(WalkRequest("nowhere"))
            self.session.controls(0, 0.0, frozenset(["w"]))


def test_walk_goes_on_if_a_start_after_waiting_is_refused() -> None:
    """What it released while it had no slot is computed again."""
    theatre = theatre_with(SlotLimits(idle_s=5))
    first = Starter(theatre.clock)
    theatre.open(first)
    theatre.clock.pages.append(first)
    theatre.run(2000)
    second = theatre.open_page()
    theatre.run(6000)
    assert ("yielded", {"text": "idle"}) in first.events
    num_chunks = len(first.reports)
    second.session.close()
    theatre.clock.pages.remove(second)
    theatre.run(2000)
    assert ("error", "bad_request") in [event[:2] for event in first.events]
    assert len(first.reports) > num_chunks
    walked = stages(theatre, "walk1")
    assert "prepare" in walked[len(walked) - walked[::-1].index("release") - 1 :]


def test_visits_may_be_limited_so_that_all_take_turns() -> None:
    theatre = theatre_with(SlotLimits(visit_s=5))
    pages = [theatre.open_page() for _ in range(3)]
    for page in pages:
        page.session.controls(0, 0.0, frozenset(["w"]))
    theatre.run(46_000)
    made = [len(page.reports) for page in pages]
    assert min(made) > 0.7 * max(made)
    assert all(_are_continuous(page) for page in pages)


def _are_continuous(page: Page) -> bool:
    return [report.chunk.index for report in page.reports] == list(range(len(page.reports)))


def test_queue_keeps_its_order() -> None:
    admission = Admission(1, 3)
    for key in (1, 2, 3):
        admission.enter(key, 0.0)
    admission.yield_slot(1, 1.0, rests=True)
    assert admission.has_slot(2)
    assert admission.queue == [3, 1]
    admission.enter(4, 2.0)
    assert admission.queue == [3, 4, 1]
    admission.wake(1)
    assert admission.queue == [3, 4, 1]
    admission.leave(2, 3.0)
    admission.leave(3, 3.0)
    assert admission.has_slot(4)


def test_slot_that_nobody_else_wants_goes_back_to_one_that_rests() -> None:
    admission = Admission(1, 3)
    for key in (1, 2):
        admission.enter(key, 0.0)
    admission.yield_slot(1, 1.0, rests=True)
    admission.leave(2, 2.0)
    assert admission.has_slot(1)


def test_those_that_rest_do_not_keep_others_out() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5))
    pages = []
    for _ in range(8):
        pages.append(theatre.open_page())
        theatre.run(8000)
    assert all(page.reports for page in pages)
    assert sum("error" in names(page) for page in pages) > 0  # those that have rested longest
    assert theatre.worker.admission.num_queued <= 3


def test_clients_that_are_away_do_not_fill_the_queue() -> None:
    theatre = Theatre(max_sessions=1, max_queued=2)
    theatre.open_page()
    for _ in range(2):
        gone = Recorder()
        theatre.open(gone).leave()
        theatre.run(100)
    newcomer = Recorder()
    theatre.open(newcomer)
    theatre.run(100)
    assert "queued" in names(newcomer)
    assert "error" not in names(newcomer)


def test_address_with_all_slots_gives_one_to_another_that_waits() -> None:
    theatre = theatre_with(SlotLimits(), max_sessions=2)
    crowd = [theatre.open_page(address="one") for _ in range(3)]
    theatre.run(1000)
    other = theatre.open_page(address="other")
    theatre.run(3000)
    assert ["yielded" in names(page) for page in crowd] == [False, True, False]
    assert other.reports
    assert not crowd[2].reports
    assert all(_are_continuous(page) for page in crowd)


@pytest.mark.parametrize(("per_address", "holders"), [(0, [1, 2, 4]), (1, [1, 4, 5]), (3, [1, 2, 3])])
def test_share_of_an_address(per_address: int, holders: list[int]) -> None:
    admission = Admission(3, 9, SlotLimits(per_address=per_address))
    for key, address in enumerate(["one", "one", "one", "two", "two"], start=1):
        admission.enter(key, float(key), address if key < 5 else "three")
    for _ in range(3):
        if (crowding := admission.find_crowding()) is not None:
            admission.yield_slot(crowding, 10.0, rests=False)
    assert [key for key in range(1, 6) if admission.has_slot(key)] == holders


def test_slots_are_used_though_nobody_else_wants_them() -> None:
    admission = Admission(2, 9, SlotLimits(per_address=1))
    for key in range(1, 5):
        admission.enter(key, 0.0, "one")
    assert admission.num_slots_taken == 2
    admission.leave(1, 1.0)
    assert admission.has_slot(3)
    assert admission.find_crowding() is None


def test_full_queue_has_room_for_another_address() -> None:
    theatre = Theatre(max_sessions=1, max_queued=2)
    crowd = [theatre.open_page(address="one") for _ in range(3)]
    theatre.run(100)
    other = theatre.open_page(address="other")
    theatre.run(100)
    assert ["busy" in str(page.events) for page in (*crowd, other)] == [False, False, True, False]
    another = theatre.open_page(address="one")
    theatre.run(100)
    assert "busy" in str(another.events)


def test_resting_walk_holds_no_memory_that_can_be_computed_again() -> None:
    theatre = theatre_with(SlotLimits(idle_s=20))
    first = theatre.open_page("first")
    theatre.run(15_000)
    second = theatre.open_page("second")
    theatre.run(7000)
    assert "yielded" in names(first)
    assert stages(theatre, "first")[-1] == "release"
    second.session.close()
    theatre.clock.pages.remove(second)
    theatre.run(2000)
    after = stages(theatre, "first")
    assert after[after.index("release") + 1] == "prepare"
    assert after.count("prepare") == 1
    assert "context" in after[after.index("prepare") :]
    assert _are_continuous(first)


def test_wait_is_told_again_while_the_order_stays() -> None:
    theatre = Theatre(max_sessions=1)
    theatre.open_page()
    waiting = Recorder()
    theatre.open(waiting)
    theatre.run(20_000)
    assert [event[:2] for event in waiting.events] == [("queued", 1)]
    assert [position for position, _, _ in waiting.waits] == [1, 1, 1]
    waited = [waited_s for _, _, waited_s in waiting.waits]
    assert waited == pytest.approx([5, 10, 15], abs=0.6)


def queue_up(count: int) -> tuple[Theatre, list[Recorder]]:
    """Let visitors wait behind one that walks."""
    theatre, waiting = Theatre(max_sessions=1, max_queued=9), [Recorder() for _ in range(count)]
    theatre.open_page()
    for each in waiting:
        theatre.open(each)
    return theatre, waiting


def test_wait_begins_anew_at_another_position() -> None:
    theatre, waiting = queue_up(2)
    theatre.run(7000)
    waiting[0].session.close()
    theatre.run(7000)
    assert [(position, round(waited_s)) for position, _, waited_s in waiting[1].waits] == [(2, 5), (1, 5)]


def test_only_those_whose_position_changes_are_told_at_once() -> None:
    theatre, waiting = queue_up(3)
    theatre.run(100)
    waiting[1].session.close()
    theatre.run(100)
    assert [[event[1] for event in each.events] for each in waiting] == [[1], [2], [3, 2]]


def test_paused_walker_hears_that_it_has_its_place_back() -> None:
    theatre = theatre_with(SlotLimits())
    first = theatre.open_page()
    theatre.run(1000)
    first.session.pause()
    second = theatre.open_page()
    theatre.run(PAUSED_S * 1000 + 3000)
    assert (first.num_slots_given, second.num_slots_given) == (1, 1)
    second.session.close()
    theatre.clock.pages.remove(second)
    theatre.run(1000)
    assert first.num_slots_given == 2


def test_newcomer_walks_when_nobody_has_come_back() -> None:
    theatre = Theatre(max_sessions=1)
    theatre.worker.admission.reserved.make({"back": ""}, theatre.clock.now_ms + 3000)
    page = theatre.open_page()
    theatre.run(2000)
    assert not page.reports
    theatre.run(2000)
    assert page.reports


def test_who_is_back_ends_nobody_who_waits() -> None:
    theatre = Theatre(max_sessions=1, max_queued=1)
    theatre.worker.admission.reserved.make({"back": ""}, theatre.clock.now_ms + 3000)
    waiting, back = theatre.open_page(), Recorder()
    theatre.run(100)
    theatre.open(back, name="back")
    theatre.run(100)
    assert names(waiting) == ["queued"]
    assert (waiting.num_slots_given, back.num_slots_given) == (0, 1)
