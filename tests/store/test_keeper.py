"""Walks that are saved while they are made: what is new, now and then, and all of it in the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, go_on, open_walk
from worldplay.store.chain import list_parts
from worldplay.store.files import Files
from worldplay.store.keeper import LOOK_EVERY_MS, RETRY_MS, SAVE_EVERY_MS, Keeper, KeptWalk
from worldplay.store.store import MissingWalkError, Store, new_id
from worldplay.world.live_walk import LiveWalk
from worldplay.world.snapshot_file import TooLongError, write_snapshot


class Saved:
    """A walk that is made under a clock, and saved."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = 0.0
        self.store = Store(Files(str(folder)), 10**7, 3600.0)
        self.keeper = Keeper(self.store, lambda: self.now_ms)
        self.id = new_id()
        self.kept = self.keeper.keep(self.id, "secret")
        self.walk: LiveWalk = open_walk(make_world())

    def go_on(self, time_ms: float) -> None:
        go_on(self.walk, [AHEAD])
        self.now_ms += time_ms
        self.kept.changed(self.walk)
        self.wait()

    def wait(self) -> None:
        if self.kept._task is not None:
            self.kept._task.result()

    def end(self) -> None:
        self.kept.finish(self.walk)
        self.keeper.close()


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Saved]:
    with torch.inference_mode():
        saved = Saved(tmp_path)
        yield saved
        saved.keeper.close()


def assert_whole(saved: Saved) -> None:
    assert write_snapshot(saved.store.load(saved.id)) == write_snapshot(saved.walk.snapshot())


def test_walk_is_saved_now_and_then_and_in_the_end(saved: Saved) -> None:
    saved.go_on(0.0)
    assert saved.store.load(saved.id).num_chunks == 1
    saved.go_on(SAVE_EVERY_MS / 2)
    assert saved.store.load(saved.id).num_chunks == 1
    saved.go_on(SAVE_EVERY_MS / 2)
    assert saved.store.load(saved.id).num_chunks == 3
    saved.go_on(1.0)
    saved.end()
    assert_whole(saved)


def test_what_could_not_be_written_is_written_later(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    saved.go_on(0.0)
    with monkeypatch.context() as context:
        context.setattr(saved.store, "append", _fail)
        saved.go_on(SAVE_EVERY_MS)
        saved.go_on(SAVE_EVERY_MS)
    assert saved.store.load(saved.id).num_chunks == 1
    saved.go_on(SAVE_EVERY_MS)
    assert saved.store.load(saved.id).num_chunks == 1
    saved.go_on(2 * RETRY_MS)
    assert_whole(saved)


def test_walk_that_is_too_long_is_not_tried_again(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def refuse(*part: object) -> None:
        tried.append(part)
        raise TooLongError

    monkeypatch.setattr(saved.store, "append", refuse)
    for _ in range(3):
        saved.go_on(100 * RETRY_MS)
    assert len(tried) == 1


def test_walk_is_whole_though_the_last_but_one_part_failed(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.go_on(0.0)
    with monkeypatch.context() as context:
        context.setattr(saved.store, "append", _fail)
        saved.go_on(SAVE_EVERY_MS)
    go_on(saved.walk, [AHEAD])
    saved.end()
    assert_whole(saved)


def test_forgotten_walk_is_gone(saved: Saved) -> None:
    saved.go_on(0.0)
    saved.kept.forget()
    saved.end()
    with pytest.raises(MissingWalkError):
        saved.store.load(saved.id)


def _fail(*arguments: object) -> None:
    raise OSError("disk full")


def test_kept_walk_goes_on_behind_its_parts(saved: Saved) -> None:
    saved.go_on(0.0)
    kept: KeptWalk = saved.keeper.keep(saved.id, "secret", saved.store.claim(saved.id))
    go_on(saved.walk, [AHEAD])
    kept.finish(saved.walk)
    saved.keeper.close()
    assert len(list_parts(saved.store._names(saved.id))) == 2
    assert_whole(saved)


def test_what_was_saved_is_counted(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    saved.go_on(0.0)
    with monkeypatch.context() as context:
        context.setattr(saved.store, "append", _fail)
        saved.go_on(SAVE_EVERY_MS)
    totals = saved.keeper.totals
    assert (totals.saved, totals.failed) == (1, 1)
    assert totals.num_bytes == len(write_snapshot(saved.store.load(saved.id)))


def test_walk_that_goes_on_elsewhere_is_neither_saved_nor_removed_here(saved: Saved) -> None:
    told: list[str] = []
    saved.kept.on_moved = lambda: told.append("moved")
    saved.go_on(0.0)
    saved.store.claim(saved.id)
    saved.go_on(LOOK_EVERY_MS)
    assert (told, saved.store.load(saved.id).num_chunks) == (["moved"], 1)
    saved.kept.forget()
    saved.end()
    assert saved.store.load(saved.id).num_chunks == 1
