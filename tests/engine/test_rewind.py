"""A rewind in the middle of a chunk: what stays is shown, and nothing else follows."""

from dataclasses import dataclass

import pytest

from support.fake_decoder import FakeDecoder
from support.fakes import FakeClock, Page, Theatre
from worldplay.engine.admission import Admission
from worldplay.engine.pacing import LatchMode
from worldplay.engine.worker import Worker
from worldplay.world.steering import WalkRequest


class Counting(Page):
    """A page that notes how many frames had come before each state."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.frames_before: dict[str, int] = {}

    def on_state(self, what: str, detail: dict[str, object]) -> None:
        super().on_state(what, detail)
        self.frames_before[what] = self.num_frames


@dataclass
class Walked:
    """A walk of which a chunk has shown its first frames, and not the others."""

    theatre: Theatre
    page: Counting
    chunk: int  # its number


def walked(latch: LatchMode = "latent", *, beside: bool = False) -> Walked:
    theatre = Theatre()
    decoder = FakeDecoder(theatre.clock, 13.0) if beside else None
    theatre.worker = Worker(theatre.world, Admission(4, 2), theatre.clock, latch, decoder)
    page = Counting(theatre.clock)
    theatre.open(page)
    theatre.clock.pages.append(page)
    theatre.run(2000)
    begun = len(page.reports)
    while len(page.reports) == begun or page.num_frames % 16 != 1:
        theatre.run(1)
    return Walked(theatre, page, page.reports[-1].chunk.index)


MODES = [("latent", False), ("latent", True), ("chunk", False)]


@pytest.mark.parametrize(("latch", "beside"), MODES)
def test_chunk_that_stays_is_shown_to_its_end(latch: LatchMode, beside: bool) -> None:
    walk = walked(latch, beside=beside)
    walk.page.session.rewind(walk.chunk + 1)
    walk.theatre.run(1500)
    assert walk.page.frames_before["rewound"] == 16 * (walk.chunk + 1) - 3
    assert [report.chunk.index for report in walk.page.reports][: walk.chunk + 2] == [*range(walk.chunk + 2)]
    assert walk.page.stalled_ms == 0


@pytest.mark.parametrize("what", ["rewound", "reset"])
@pytest.mark.parametrize(("latch", "beside"), MODES)
def test_nothing_of_a_chunk_that_does_not_stay_follows(latch: LatchMode, beside: bool, what: str) -> None:
    walk = walked(latch, beside=beside)
    session = walk.page.session
    num_frames, num_reports = walk.page.num_frames, len(walk.page.reports)
    session.reset() if what == "reset" else session.rewind(walk.chunk)
    walk.theatre.run(1500)
    kept = 0 if what == "reset" else walk.chunk
    assert walk.page.frames_before[what] <= num_frames + 4  # a latent may be in the decoder's hands
    assert walk.page.reports[num_reports].chunk.index == kept
    assert (walk.page.num_frames - walk.page.frames_before[what]) % 4 == (0 if kept else 1)


def test_chunk_that_is_cut_meanwhile_is_shown_to_its_end() -> None:
    """The cut is given up: its controls were sent before the rewind."""
    walk = walked()
    session = walk.page.session
    walk.theatre.world.once("cut", lambda: session.rewind(walk.chunk + 1))
    session.controls(1, 0.0, frozenset({"w"}))
    walk.theatre.run(1500)
    assert walk.page.frames_before["rewound"] == 16 * (walk.chunk + 1) - 3
    assert walk.page.stalled_ms == 0


def test_earliest_of_several_rewinds_counts() -> None:
    walk = walked()
    num_frames = walk.page.num_frames
    walk.page.session.rewind(walk.chunk + 1)
    walk.page.session.rewind(walk.chunk)
    walk.theatre.run(1500)
    assert walk.page.frames_before["rewound"] <= num_frames + 4


def test_rewind_does_not_wait_for_a_client_that_is_away() -> None:
    walk = walked()
    walk.page.session.rewind(walk.chunk + 1)
    walk.page.session.leave()
    num_rests = walk.page.num_rests
    walk.theatre.run(1500)
    assert "rewound" in walk.page.frames_before
    assert walk.page.num_rests == num_rests + 1
    walk.page.session.come_back()
    walk.theatre.run(1500)
    assert walk.page.reports[-1].chunk.index > walk.chunk


@pytest.mark.parametrize(("latch", "beside"), MODES)
def test_refused_start_takes_nothing_away(latch: LatchMode, beside: bool) -> None:
    walk = walked(latch, beside=beside)
    walk.page.session.start(WalkRequest("nowhere"))
    walk.theatre.run(1500)
    assert walk.page.events.count(("started",)) == 1
    assert walk.page.num_frames >= 16 * (walk.chunk + 2) - 3
    assert walk.page.stalled_ms == 0


@pytest.mark.parametrize(("latch", "beside"), MODES)
def test_nothing_of_an_earlier_walk_follows_another_start(latch: LatchMode, beside: bool) -> None:
    walk = walked(latch, beside=beside)
    walk.page.session.start(WalkRequest("walk2"))
    while walk.page.events.count(("started",)) == 1:
        walk.theatre.run(1)
    num_frames = walk.page.num_frames
    walk.theatre.run(1500)
    assert (walk.page.num_frames - num_frames) % 4 == 1
