"""The store is never too full, and one owner or address does not fill it for the others."""

import errno
import os
import time
from pathlib import Path

import pytest

from support.stores import OWNER, make_store
from support.waiting import Clock
from worldplay.store.about import About, hash_key
from worldplay.store.errors import MissingWalkError, OwnerFullError, StoreFullError
from worldplay.store.files import Files
from worldplay.store.store import new_id
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import write_snapshot


def test_full_store_gives_up_walks_that_nobody_came_back_to(tmp_path: Path, snapshot: Snapshot) -> None:
    clock = Clock(time.time())
    size = len(write_snapshot(snapshot))
    store = make_store(tmp_path, quota_bytes=5 * size // 2, now=clock)
    live = new_id()
    store.create(live, About(kind="live", key=hash_key("s")))
    store.append(live, 0, snapshot)
    for path in (tmp_path / live).iterdir():
        os.utime(path, (clock.now_s - 3600, clock.now_s - 3600))
    kept = store.keep(OWNER, "", snapshot)
    store.keep(OWNER, "", snapshot)
    with pytest.raises(MissingWalkError):
        store.load(live)
    with pytest.raises(StoreFullError):
        store.keep(OWNER, "", snapshot)
    assert store.load(kept)


def test_bookmarks_leave_room_for_walks_and_for_other_addresses(tmp_path: Path, snapshot: Snapshot) -> None:
    size = len(write_snapshot(snapshot))
    store = make_store(tmp_path, quota_bytes=10 * size)
    for _ in range(4):
        store.keep(OWNER, "", snapshot, "192.0.2.1")
    with pytest.raises(OwnerFullError):
        store.keep("another owner", "", snapshot, "192.0.2.1")
    for number in range(4):
        store.keep(OWNER, "", snapshot, f"192.0.2.{2 + number}")
    with pytest.raises(StoreFullError):
        store.keep(OWNER, "", snapshot, "192.0.2.9")


def test_address_keeps_few_bookmarks_under_however_many_keys(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldplay.store.shares.BOOKMARKS_PER_ADDRESS", 2)
    store = make_store(tmp_path)
    for number in range(2):
        store.keep(f"key {number} of a stranger", "", snapshot, "192.0.2.1")
    with pytest.raises(OwnerFullError):
        store.keep("key 2 of a stranger", "", snapshot, "192.0.2.1")
    store.keep("the key of another", "", snapshot, "192.0.2.2")


def test_key_keeps_as_many_bookmarks_as_are_listed(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldplay.store.store.MAX_LISTED", 2)
    store = make_store(tmp_path)
    for _ in range(2):
        store.keep(OWNER, "", snapshot)
    with pytest.raises(OwnerFullError):
        store.keep(OWNER, "", snapshot)
    assert store.keep("another owner", "", snapshot)


def test_live_walks_of_one_address_leave_room_for_others(tmp_path: Path, snapshot: Snapshot) -> None:
    size = len(write_snapshot(snapshot))
    store = make_store(tmp_path, size * 7)

    def begin(address: str) -> str:
        id = new_id()
        store.hold(id, store)
        store.create(id, About(kind="live", key="", address=address))
        store.append(id, 0, snapshot)
        return id

    for _ in range(5):
        begin("one")
    with pytest.raises(OwnerFullError):
        begin("one")
    assert store.load(begin("another"))
    assert store.load(begin(""))  # an address that is not known has no share


def fail(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_what_could_not_be_written_is_not_counted(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path)
    store.create(id := new_id(), About(kind="live", key=hash_key("s")))
    store.append(id, 0, snapshot)
    num_bytes = store.num_bytes
    monkeypatch.setattr(Files, "write", fail)
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output error"):
            store.append(id, 1, snapshot)
        with pytest.raises(OSError, match="Input/output error"):
            store.keep(OWNER, "", snapshot)
    assert store.num_bytes == num_bytes


def test_walk_that_cannot_be_removed_makes_no_room(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, quota_bytes=5 * len(write_snapshot(snapshot)) // 2)
    for _ in range(2):
        store.create(id := new_id(), About(kind="live", key=hash_key("s"), state="left"))
        store.append(id, 0, snapshot)
    monkeypatch.setattr(Files, "remove", fail)
    monkeypatch.setattr(Files, "remove_folder", fail)
    with pytest.raises(StoreFullError):
        store.keep(OWNER, "", snapshot)
