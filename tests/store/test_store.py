"""The store: what is kept comes back, others' and old walks do not, and there is never too much."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, go_on, walk_about
from worldplay.store.files import Files
from worldplay.store.store import (
    About,
    MissingWalkError,
    OwnerFullError,
    Store,
    StoreFullError,
    hash_key,
    new_id,
)
from worldplay.store.walk_index import FRESH_S
from worldplay.world.live_walk import LiveWalk
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import write_snapshot

DAY_S = 24 * 3600.0
OWNER = "an owner's secret"


class Clock:
    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def walk() -> Iterator[LiveWalk]:
    with torch.inference_mode():
        yield walk_about(make_world())


@pytest.fixture(scope="module")
def snapshot(walk: LiveWalk) -> Snapshot:
    return walk.snapshot()


def make_store(folder: Path | str, quota_bytes: int = 10**6, now: Clock | None = None) -> Store:
    return Store(Files(str(folder)), quota_bytes, 30 * DAY_S, now or Clock())


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return make_store(tmp_path if request.param == "folder" else f"memory://{new_id()}")


def test_kept_snapshot_comes_back(store: Store, snapshot: Snapshot) -> None:
    id = store.keep(OWNER, "the fountain", snapshot)
    assert write_snapshot(store.load(id)) == write_snapshot(snapshot)
    assert [(each, about.name, about.chunks) for each, about in store.list_kept(OWNER)] == [
        (id, "the fountain", 3)
    ]
    assert store.list_kept("another owner") == []
    assert store.owns(id, OWNER)
    assert not store.owns(id, "another owner")


def test_deleted_snapshot_is_gone(store: Store, snapshot: Snapshot) -> None:
    id = store.keep(OWNER, "", snapshot)
    store.delete(id)
    with pytest.raises(MissingWalkError):
        store.load(id)
    assert store.list_kept(OWNER) == []


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "a" * 65, "x", "of-no-walk-at-all"])
def test_unknown_id_is_no_walk(store: Store, id: str) -> None:
    with pytest.raises(MissingWalkError):
        store.load(id)


def test_parts_are_joined(store: Store) -> None:
    with torch.inference_mode():
        walk = walk_about(make_world())
        id = new_id()
        store.create(id, About(kind="live", key=hash_key("s")))
        for number in range(3):
            store.append(id, number, walk.take_unsaved())
            go_on(walk, [AHEAD])
        assert store.load(id).num_chunks == 5
        walk.count_unsaved(0)
        store.append(id, 3, walk.take_unsaved())
    assert store.load(id).num_chunks == 6
    assert len([name for name in store._names(id) if name.endswith(".safetensors")]) == 1


def test_snapshots_expire(tmp_path: Path, snapshot: Snapshot) -> None:
    clock = Clock()
    store = make_store(tmp_path, now=clock)
    id = store.keep(OWNER, "", snapshot)
    clock.now_s += 29 * DAY_S
    assert store.load(id)
    clock.now_s += 2 * DAY_S
    with pytest.raises(MissingWalkError):
        store.load(id)
    store.clean()
    assert not list(tmp_path.iterdir())


def test_files_of_others_are_left_alone(tmp_path: Path, snapshot: Snapshot) -> None:
    clock = Clock()
    store = make_store(tmp_path, now=clock)
    others = ["notes.txt", "photos-of-the-holidays/1.jpg", f"{new_id()}/about.json.txt"]
    for name in (*others, f"{new_id()}/about.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    store.keep(OWNER, "", snapshot)
    clock.now_s += 99 * DAY_S
    store.clean()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == sorted(others)
    assert store.num_bytes == 0


def test_full_store_gives_up_walks_that_nobody_came_back_to(tmp_path: Path, snapshot: Snapshot) -> None:
    clock = Clock()
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


def test_description_is_read_again_only_if_it_has_changed(
    store: Store, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        store.keep(OWNER, "", snapshot)
    store.clean()
    live = new_id()
    store.create(live, About(kind="live", key=hash_key("s")))
    store.clean()
    store.describe(live, About(kind="live", key=hash_key("s"), state="left"))
    read: list[str] = []
    monkeypatch.setattr(store, "about", read.append)
    store.clean()
    assert read == [live]


def test_bookmark_that_cannot_be_read_at_the_moment_is_not_removed(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("the network is down")

    clock = Clock()
    store = make_store(tmp_path, now=clock)
    id = store.keep(OWNER, "", snapshot)
    clock.now_s += 2 * DAY_S
    with monkeypatch.context() as context:
        context.setattr(store._files, "read", fail)
        store.clean(10**9)
    assert store.load(id)


def test_damaged_walk_is_refused(tmp_path: Path, snapshot: Snapshot) -> None:
    store = make_store(tmp_path)
    id = store.keep(OWNER, "", snapshot)
    (path,) = (tmp_path / id).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="expected a safetensors file"):
        store.load(id)


def test_secrets_are_not_in_the_store(tmp_path: Path, snapshot: Snapshot) -> None:
    id = make_store(tmp_path).keep(OWNER, "", snapshot)
    assert OWNER not in (tmp_path / id / "about.json").read_text()


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))

    def fail(*arguments: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files._fs, "mv", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write("walk/part", b"data")
    assert list(tmp_path.rglob("*part*")) == []


def test_unknown_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a folder or a URL that fsspec knows"):
        Files("nonsense://bucket")


def test_questions_of_strangers_read_nothing(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, 10**9)
    id = store.keep(OWNER, "", snapshot)
    assert [each for each, _ in store.list_kept(OWNER)] == [id]
    monkeypatch.setattr(Files, "read", None)
    monkeypatch.setattr(Files, "list", None)
    for number in range(10):
        assert store.list_kept(f"a stranger's key {number}") == []
        store.limit("an address")
    assert [each for each, _ in store.list_kept(OWNER)] == [id]


def test_what_another_server_keeps_is_listed_a_moment_later(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, 10**9)
    assert store.list_kept(OWNER) == []
    id = make_store(tmp_path, 10**9).keep(OWNER, "", snapshot)
    later_s = time.monotonic() + FRESH_S + 1.0
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    assert [each for each, _ in store.list_kept(OWNER)] == [id]


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
