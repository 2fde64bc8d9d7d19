"""The end of a walk's saving, whatever goes wrong in it."""

import pytest

from support.saved import Saved
from support.walks import AHEAD, go_on


def test_walk_that_cannot_be_copied_at_its_end_is_released(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise MemoryError

    saved.go_on(0.0)
    go_on(saved.walk, [AHEAD])
    monkeypatch.setattr(saved.walk, "take_unsaved", fail)
    with pytest.raises(MemoryError):
        saved.kept.leave(saved.walk)
    saved.keeper.close()
    assert saved.kept.wait_left(0)
    assert saved.store.about(saved.id).state == "left"


def test_walk_that_is_ended_while_it_is_copied_is_not_written(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.go_on(0.0)
    go_on(saved.walk, [AHEAD])
    copy = saved.walk.take_unsaved

    def copy_and_forget() -> object:
        part = copy()
        saved.kept.forget()
        return part

    monkeypatch.setattr(saved.walk, "take_unsaved", copy_and_forget)
    saved.kept.finish(saved.walk)
    saved.keeper.close()
    assert saved.store._files.list(saved.id) == []


def test_visit_that_saves_nothing_leaves_its_claim_to_the_next(saved: Saved) -> None:
    """Otherwise each would leave a file."""
    saved.go_on(0.0)
    saved.kept.leave(saved.walk)
    assert saved.kept.wait_left(10)
    writers = []
    for _ in range(3):
        writers.append(saved.store.claim(saved.id))
        visit = saved.keeper.keep(saved.id, "secret", writers[-1])
        visit.leave(None)
        saved.keeper._thread.submit(lambda: None).result(10)  # what was submitted before is done
    assert len(set(writers)) == 1
