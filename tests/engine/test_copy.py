"""A copy of a walk whose newest chunk is being shown: it holds what is shown of it."""

from typing import cast

import pytest

from support.fake_world import FakeWalk
from support.fakes import Page, Theatre
from worldplay.engine.admission import Admission
from worldplay.engine.worker import Worker
from worldplay.world.camera import Motion
from worldplay.world.snapshot import Snapshot


def copy_of(walk: FakeWalk) -> Snapshot:
    return cast("Snapshot", [list(chunk) for chunk in walk.chunks])


@pytest.mark.parametrize("delay_ms", [0, 1, 30, 120])
def test_key_after_a_copy_changes_nothing_that_was_copied(
    delay_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeWalk, "snapshot", copy_of)
    theatre = Theatre()
    theatre.worker = Worker(theatre.world, Admission(4, 2), theatre.clock, "latent")
    page: Page = theatre.open_page()
    theatre.run(2000)
    while page.num_frames % 16 != 1:
        theatre.run(1)
    copies: list[Snapshot] = []
    page.session.copy(copies.append)
    theatre.run(delay_ms)
    page.session.controls(1, 0.0, frozenset({"w"}))
    theatre.run(1500)
    copied = cast("list[list[Motion]]", copies[0])
    assert theatre.world.walks[0].chunks[: len(copied)] == copied
    assert theatre.world.walks[0].chunks[len(copied)][-1].forward > 0
    assert page.stalled_ms == 0


def test_later_chunks_are_cut_again() -> None:
    theatre = Theatre()
    theatre.worker = Worker(theatre.world, Admission(4, 2), theatre.clock, "latent")
    page = theatre.open_page()
    theatre.run(2000)
    page.session.copy(lambda snapshot: None)
    theatre.run(1500)
    while page.num_frames % 16 != 1:
        theatre.run(1)
    page.session.controls(1, 0.0, frozenset({"w"}))
    theatre.run(700)
    assert theatre.counters.cuts == 1
