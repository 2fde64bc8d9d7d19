"""Walks that are saved while they are made: what is new, now and then, and all of it in the end."""

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from support.saved import Saved
from support.walks import AHEAD, go_on
from worldplay.store.chain import list_parts
from worldplay.store.errors import MissingWalkError, StoreFullError
from worldplay.store.files import Files
from worldplay.store.keeper import (
    LOOK_EVERY_MS,
    RETRY_MS,
    SAVE_EVERY_MS,
    SLOW_MS,
    Saving,
    WalkSaver,
)
from worldplay.store.store import SILENT_S, Store
from worldplay.world.snapshot_file import TooLongError, write_snapshot


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


@pytest.mark.parametrize("num_failures", [1, 2, 3])
def test_walk_that_is_saved_again_is_saved_as_often_as_before(
    saved: Saved, monkeypatch: pytest.MonkeyPatch, num_failures: int
) -> None:
    saved.go_on(0.0)
    append, failures = saved.store.append, list(range(num_failures))

    def fail_first(*arguments: Any) -> int:
        if failures:
            failures.pop()
            _fail()
        return append(*arguments)

    monkeypatch.setattr(saved.store, "append", fail_first)
    saved.go_on(SAVE_EVERY_MS)
    while saved.kept.fault is not None:
        saved.go_on(SAVE_EVERY_MS)
    for _ in range(8):
        saved.go_on(SAVE_EVERY_MS)
        assert_whole(saved)


def test_pause_after_failures_begins_short_and_grows(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def refuse(*arguments: object) -> None:
        tried.append(saved.now_ms)
        _fail()

    monkeypatch.setattr(saved.store, "append", refuse)
    while len(tried) < 6:
        saved.now_ms += 1000.0
        saved.kept.changed(saved.walk)
        saved.wait()
    pauses = [after - before for before, after in itertools.pairwise(tried)]
    assert pauses == [SAVE_EVERY_MS, RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS, 4 * RETRY_MS]


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


def test_log_says_why_a_walk_could_not_be_saved(
    saved: Saved, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: object) -> None:
        raise StoreFullError

    monkeypatch.setattr(saved.store, "append", refuse)
    saved.go_on(0.0)
    saved.end()
    assert "a walk could not be saved: StoreFullError" in caplog.messages


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
    kept: WalkSaver = saved.keeper.keep(saved.id, "secret", saved.store.claim(saved.id))
    go_on(saved.walk, [AHEAD])
    kept.finish(saved.walk)
    saved.keeper.close()
    assert len(list_parts(saved.store._names(saved.id))) == 2
    assert_whole(saved)


def test_who_comes_back_waits_until_the_session_before_has_left(saved: Saved) -> None:
    assert [kept.wait_left(0.0) for kept in saved.keeper.find(saved.id)] == [True]  # no session has begun
    saved.kept.begin()
    saved.go_on(0.0)
    go_on(saved.walk, [AHEAD])
    (kept,) = saved.keeper.find(saved.id)
    assert not kept.wait_left(0.0)
    kept.leave(saved.walk)
    assert kept.wait_left(10.0)
    assert saved.store.load(saved.id).num_chunks == 2
    assert saved.keeper.find("another") == []


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


def test_walk_that_was_not_opened_again_is_left(saved: Saved) -> None:
    """Its session waited in the queue, and its client left."""
    saved.go_on(0.0)
    saved.kept.finish(saved.walk)
    back = saved.keeper.keep(saved.id, "secret", saved.store.claim(saved.id))
    back.set_place(is_walking=False)
    back.leave(None)
    saved.keeper.close()
    assert saved.store.about(saved.id).state == "left"
    saved.store.release(saved.id, saved.kept)
    assert [walk.is_left for walk in saved.store._list()] == [True]


def test_fault_is_told_once_until_it_is_over(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    saved.kept.on_saving = told.append
    saved.go_on(0.0)
    with monkeypatch.context() as context:
        context.setattr(saved.store, "append", _fail)
        saved.go_on(SAVE_EVERY_MS)
        saved.go_on(SAVE_EVERY_MS)
    saved.go_on(4 * RETRY_MS)
    saved.go_on(4 * RETRY_MS)
    assert told == [Saving("disk", 4), Saving(None, 4)]


def test_disk_that_hangs_is_told(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Saving] = []
    saved.kept.on_saving = told.append
    goes_on, append = Event(), saved.store.append

    def hang(*arguments: Any) -> int:
        goes_on.wait(60.0)
        return append(*arguments)

    monkeypatch.setattr(saved.store, "append", hang)
    saved.kept.changed(saved.walk)
    for _ in range(3):
        saved.now_ms += SLOW_MS
        go_on(saved.walk, [AHEAD])
        saved.kept.changed(saved.walk)
        saved.keeper.give_signs()
    assert told == [Saving("disk", 0)]
    goes_on.set()
    saved.wait()
    assert told[1:] == [Saving(None, 0)]


def test_walk_that_is_too_long_is_told(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*part: object) -> None:
        raise TooLongError

    monkeypatch.setattr(saved.store, "append", refuse)
    saved.go_on(0.0)
    assert saved.kept.fault == "long"


def test_walk_that_was_removed_from_the_store_is_saved_again_from_its_beginning(saved: Saved) -> None:
    saved.go_on(0.0)
    saved.store.delete(saved.id)
    for _ in range(3):
        saved.go_on(LOOK_EVERY_MS)
    assert_whole(saved)


def test_walk_whose_description_was_removed_loses_nothing(saved: Saved) -> None:
    saved.go_on(0.0)
    for _ in range(4):
        saved.go_on(SAVE_EVERY_MS)
    (Path(saved.store._files._root) / saved.id / "about.json").unlink()
    for _ in range(3):
        saved.go_on(LOOK_EVERY_MS)
    assert_whole(saved)


def test_walk_loses_nothing_while_its_folder_cannot_be_listed(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: object) -> None:
        raise OSError("Input/output error")

    saved.go_on(0.0)
    for _ in range(4):
        saved.go_on(SAVE_EVERY_MS)
    with monkeypatch.context() as context:
        context.setattr("os.scandir", fail)
        saved.go_on(LOOK_EVERY_MS)
    for _ in range(3):
        saved.go_on(LOOK_EVERY_MS)
    assert_whole(saved)


def test_paused_walk_that_was_removed_is_saved_again_in_the_end(saved: Saved) -> None:
    saved.go_on(0.0)
    saved.store.delete(saved.id)
    saved.keeper.give_signs()
    saved.keeper._thread.submit(lambda: None).result()
    saved.end()
    assert_whole(saved)


def test_walk_that_nobody_goes_on_with_gives_signs_of_life(saved: Saved) -> None:
    saved.go_on(0.0)
    path = Path(saved.store._files._root) / saved.id / "about.json"
    before = path.stat().st_mtime_ns
    saved.keeper.give_signs()
    saved.keeper.close()
    assert path.stat().st_mtime_ns > before


def test_walk_of_another_server_is_live_while_it_gives_signs(saved: Saved) -> None:
    saved.go_on(0.0)
    other = Store(Files(saved.store._files._root), 1, 3600.0)
    other.clean()
    assert saved.store.has(saved.id)
    later = Store(Files(saved.store._files._root), 1, 3600.0, now=lambda: time.time() + SILENT_S + 1)
    later.clean()
    assert not saved.store.has(saved.id)


def test_walk_that_goes_on_elsewhere_is_not_left_here(saved: Saved) -> None:
    saved.go_on(0.0)
    saved.store.claim(saved.id)
    saved.kept.leave(saved.walk)
    saved.keeper.close()
    assert saved.store.about(saved.id).state == "walking"


def test_store_knows_who_has_a_slot(saved: Saved) -> None:
    saved.go_on(0.0)
    states = []
    acts: list[Callable[[], None]] = [
        lambda: saved.kept.set_place(is_walking=False),
        lambda: saved.kept.set_place(is_walking=True),
        lambda: saved.kept.leave(saved.walk),
    ]
    for act in acts:
        act()
        saved.keeper._thread.submit(lambda: None).result()
        states.append(saved.store.about(saved.id).state)
    assert states == ["waiting", "walking", "left"]


def test_disk_that_hangs_does_not_keep_the_process(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    event = threading.Event()
    monkeypatch.setattr(saved.store, "append", lambda *arguments: event.wait())
    saved.kept.changed(saved.walk)
    saved.keeper.close(0.05)  # or it would wait for ever
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "snapshots")
    event.set()
