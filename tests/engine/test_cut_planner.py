"""Which session's chunk is cut next, if several have new controls."""

from dataclasses import replace

import pytest

from engine.test_cuts import BESIDE, open_theatre
from support.fakes import Theatre, stages
from worldplay.engine.cut_planner import PlannedCut, begin_in_time
from worldplay.engine.cuts import Cut
from worldplay.engine.session import Session


def planned(number: int, begin_by_ms: float, time_ms: float) -> PlannedCut:
    session = Session(number, None, lambda: 0.0, lambda: None)  # type: ignore[arg-type]
    return PlannedCut(session, Cut(1, begin_by_ms, time_ms))


@pytest.mark.parametrize(
    ("cuts", "first"),
    [
        ([(1, 100.0, 50.0)], (1, 100.0)),
        ([(1, 100.0, 50.0), (2, 400.0, 50.0)], (1, 100.0)),
        ([(1, 100.0, 50.0), (2, 110.0, 50.0)], (1, 60.0)),  # the second one ends at 160
        ([(1, 120.0, 30.0), (2, 110.0, 60.0)], (1, 80.0)),  # the end counts, not the beginning
    ],
)
def test_first_cut_begins_so_early_that_the_next_one_is_in_time(
    cuts: list[tuple[int, float, float]], first: tuple[int, float]
) -> None:
    found = begin_in_time([planned(*cut) for cut in cuts])
    assert (found.session.number, found.cut.begin_by_ms) == first


def run_until_chunks_follow_each_other(theatre: Theatre) -> None:
    """Until the first walk's chunk was made, and the second one's must be made soon."""
    while stages(theatre)[-1] != "step" or theatre.world.log[-1][1] != "walk1":
        theatre.run(1)
    theatre.run(30)


def test_chunk_that_a_cut_would_make_late_is_made_before_it() -> None:
    theatre, (first, second) = open_theatre(replace(BESIDE, num_pages=2))
    run_until_chunks_follow_each_other(theatre)
    count = len(theatre.world.log)
    theatre.run(60)
    first.press()
    theatre.run(250)
    done = [name for stage, name in theatre.world.log[count:] if stage in ("context", "cut")]
    assert done.index("walk2") < done.index("walk1")
    assert theatre.counters.cuts == 1
    assert theatre.counters.cuts_refused == {}
    assert first.stalled_ms == second.stalled_ms == 0
