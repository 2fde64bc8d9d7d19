"""Sequences that a fuzzer found: each of them had lost, kept or invented something."""

import pytest

from engine.test_cuts import BESIDE, EMBEDDED, Walker, open_theatre, steady
from support.fake_chunks import make_chunk
from support.fake_decoder import FakeDecoder
from support.fake_world import FakeWalk
from support.fakes import Page, Recorder, Theatre, names, run_to_waiting_context, stages, started
from worldplay.engine.activity import SlotLimits
from worldplay.engine.admission import Admission
from worldplay.engine.ports import WalkPort
from worldplay.engine.worker import Worker
from worldplay.world.camera import Motion
from worldplay.world.chunk import Chunk
from worldplay.world.steering import WalkRequest


class Still(Page):
    """A page whose browser does not play: its buffer stays as it is."""

    def play(self) -> None:
        self.held_s += sum(time_s for _, time_s in self._coming)
        self._coming.clear()


def latent_theatre(limits: SlotLimits | None = None, decoder_ms: float | None = None) -> Theatre:
    costs = EMBEDDED if decoder_ms is None else {**EMBEDDED, "decode_ms": 0.0}
    theatre = Theatre(1, 2, **costs)
    decoder = None if decoder_ms is None else FakeDecoder(theatre.clock, decoder_ms)
    theatre.worker = Worker(theatre.world, Admission(1, 2, limits), theatre.clock, "latent", decoder)
    return theatre


def enter(theatre: Theatre, page: Page) -> None:
    theatre.open(page)
    theatre.clock.pages.append(page)
    theatre.run(3000)


@pytest.mark.parametrize("hidden", [False, True])
def test_slot_of_a_client_that_does_not_play_goes_to_who_waits(hidden: bool) -> None:
    theatre = latent_theatre(SlotLimits(idle_s=20))
    page, waiter = Still(theatre.clock), Recorder()
    enter(theatre, page)
    page.hidden = hidden
    theatre.open(waiter)
    theatre.run(30_000)
    assert waiter.num_slots_given == 1


def test_rewind_before_a_refused_start_is_carried_out() -> None:
    theatre, page = steady()
    session, num_made = page.session, theatre.world.walks[0].num_chunks
    theatre.world.hooks["prompt"] = lambda: theatre.clock.advance(100)  # the next command waits
    session.prompt("x")
    while ("prompt", "walk1") not in theatre.world.log:
        theatre.run(1)
    session.rewind(num_made - 2)
    theatre.run(50)
    session.start(WalkRequest("nowhere"))
    theatre.run(1500)
    assert ("rewound", {"chunk": num_made - 2}) in page.events


def test_step_is_not_used_up_by_a_chunk_that_had_read_its_controls_before() -> None:
    theatre, page, session = started()
    run_to_waiting_context(theatre)

    def ask() -> None:
        theatre.clock.advance(1)
        session.pause()
        session.step()

    theatre.world.once("step", ask)
    theatre.run(4000)
    told = names(page)
    assert told[told.index("paused") :] == ["paused", "chunk"]


class Reopened(FakeWalk):
    """A walk that goes on, whose last latent is shown again."""

    def show_last(self) -> Chunk:
        return make_chunk(self.num_chunks - 1, [Motion()] * 4, {"context": 0.0, "denoise": 0.0}, 3)


def test_last_latent_of_a_reopened_walk_is_no_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre, page, session = started()
    session.pause()
    theatre.run(1400)
    walk = Reopened(theatre.world, "again")
    walk.chunks = [[Motion()] * 4 for _ in range(page.reports[-1].chunk.index + 1)]

    def open_walk(request: WalkRequest) -> WalkPort:
        return walk

    monkeypatch.setattr(theatre.world, "open_walk", open_walk)
    session.start(WalkRequest("again"))
    theatre.run(30)
    assert next(each for each in page.reports if each.chunk.first_latent == 3).revision == 0


def test_nothing_is_decoded_without_a_slot() -> None:
    theatre = latent_theatre()
    page = Walker(theatre.clock)
    enter(theatre, page)
    while theatre.worker._undecoded[1].num_latents < 3:
        theatre.run(1)
    page.session.leave()
    theatre.open_page()
    theatre.run(300)
    page.session.come_back()
    theatre.world.log.clear()
    theatre.run(1500)
    assert "decode" not in stages(theatre, "walk1")


def test_walk_is_not_released_while_it_is_decoded() -> None:
    theatre, seen = latent_theatre(decoder_ms=40.0), list[bool]()
    page = Walker(theatre.clock)
    enter(theatre, page)
    decoder = theatre.worker._decoder
    while not decoder.is_busy:
        theatre.run(1)
    theatre.world.hooks["release"] = lambda: seen.append(decoder.is_busy)
    page.session.leave()
    theatre.open(Recorder())
    theatre.run(100)
    assert seen == [False]


def test_slot_that_comes_back_at_once_is_told() -> None:
    theatre = Theatre(2, 4)
    theatre.worker = Worker(theatre.world, Admission(2, 4, SlotLimits(visit_s=5)), theatre.clock)
    pages = [theatre.open_page(address=address) for address in "ab"]
    theatre.run(4000)
    for _ in range(2):
        theatre.open_page(address="x")
    theatre.run(1400)
    assert all(names(page).count("yielded") <= page.num_slots_given for page in pages)


def test_failure_on_both_threads_counts_once() -> None:
    theatre, (page,) = open_theatre(BESIDE)

    def fail() -> None:
        theatre.worker._decoder.failures.append((page.session, "out_of_memory"))
        raise MemoryError

    theatre.world.once("step", fail)
    theatre.run(1500)
    assert theatre.counters.failures == theatre.counters.out_of_memory == 1


def test_copy_that_was_asked_for_before_another_start_is_made() -> None:
    theatre, page, session = started()
    copied: list[object] = []
    theatre.world.hooks["prompt"] = lambda: theatre.clock.advance(100)  # the next command waits
    session.prompt("x")
    while ("prompt", "walk1") not in theatre.world.log:
        theatre.run(1)
    session.copy(copied.append)
    session.start(WalkRequest("another"))
    theatre.run(2000)
    assert len(copied) == 1
    assert page.session.walk is theatre.world.walks[-1]
