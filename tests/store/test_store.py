"""The store: what is kept comes back, others' and old walks do not, and there is never too much."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, go_on, open_walk, walk_about
from worldplay.store.about import About, hash_key
from worldplay.store.errors import MissingWalkError, OwnerFullError, StoreFullError
from worldplay.store.files import Files
from worldplay.store.store import Store, new_id
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
    """Make a store under a clock that passes evenly."""
    clock = now or Clock()
    return Store(Files(str(folder)), quota_bytes, 30 * DAY_S, clock, monotonic=clock)


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


def save_in_parts(store: Store) -> tuple[str, LiveWalk]:
    """Save a walk of five chunks in three parts. Returns: its id, and the walk with one chunk more."""
    id, walk = new_id(), walk_about(make_world())
    store.create(id, About(kind="live", key=hash_key("s")))
    for number in range(3):
        store.append(id, number, walk.take_unsaved())
        go_on(walk, [AHEAD])
    return id, walk


def test_parts_are_joined(store: Store) -> None:
    with torch.inference_mode():
        id, walk = save_in_parts(store)
        assert store.load(id).num_chunks == 5
        walk.count_unsaved(0)
        store.append(id, 3, walk.take_unsaved())
    assert store.load(id).num_chunks == 6
    assert len([name for name in store._names(id) if name.endswith(".safetensors")]) == 1


def test_walk_is_not_claimed_while_it_cannot_be_listed(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, id = make_store(tmp_path), new_id()
    store.create(id, About(kind="live", key=hash_key("s")))
    store.append(id, 0, snapshot)

    def fail(path: object) -> None:
        raise OSError("Input/output error")

    with monkeypatch.context() as context:
        context.setattr(os, "scandir", fail)
        for look in (store.claim, store.load, store.has):
            with pytest.raises(OSError, match="Input/output error"):
                look(id)
    assert store.load(id).num_chunks == 3


def test_walk_that_begins_again_has_no_old_parts(store: Store) -> None:
    with torch.inference_mode():
        id, walk = save_in_parts(store)
        walk.count_unsaved(0)
        store.append(id, 0, walk.take_unsaved())
    assert store.load(id).num_chunks == 6


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


@pytest.mark.parametrize("change", [{"color": "x"}, {"format": 2}, None])
def test_bookmark_with_an_unknown_description_is_kept_as_long_as_any(
    tmp_path: Path, snapshot: Snapshot, change: dict[str, object] | None
) -> None:
    """A newer version may have written it, or a power cut may have emptied it."""
    clock = Clock()
    store = make_store(tmp_path, now=clock)
    id = store.keep(OWNER, "", snapshot)
    path = tmp_path / id / "about.json"
    path.write_text("" if change is None else json.dumps({**json.loads(path.read_text()), **change}))
    clock.now_s += 29 * DAY_S
    store.clean(10**9)
    assert path.exists()
    clock.now_s += 2 * DAY_S
    store.clean()
    assert not path.parent.exists()


class Jumping:
    """A store with a bookmark and a walk that was left, under a clock that can jump."""

    def __init__(self, folder: Path, snapshot: Snapshot) -> None:
        self.steady, self.jump_s = Clock(), 0.0
        self.folder = folder
        self.store = self.open()
        self.ids = [self.store.keep(OWNER, "", snapshot), new_id()]
        self.store.create(self.ids[1], About(kind="live", key=hash_key("s"), state="left"))
        self.store.append(self.ids[1], 0, snapshot)

    def open(self) -> Store:
        return Store(Files(str(self.folder)), 10**6, 30 * DAY_S, self.now, monotonic=self.steady)

    def now(self) -> float:
        return self.steady.now_s + self.jump_s

    def pass_time(self, time_s: float, step_s: float = 600.0) -> None:
        for _ in range(int(time_s / step_s)):
            self.steady.now_s += step_s
            self.store.clean()

    @property
    def is_whole(self) -> bool:
        return all((self.folder / id / "00000000.safetensors").exists() for id in self.ids)


@pytest.mark.parametrize("days", [31, -31, 3650])
@pytest.mark.parametrize("age_s", [0.0, 7200.0])
def test_jump_of_the_clock_removes_nothing(
    tmp_path: Path, snapshot: Snapshot, days: float, age_s: float
) -> None:
    jumping = Jumping(tmp_path, snapshot)
    jumping.pass_time(age_s)
    jumping.jump_s = days * DAY_S
    jumping.pass_time(1800.0)
    assert jumping.store.load(jumping.ids[0])
    assert jumping.is_whole
    jumping.jump_s = 0.0
    jumping.pass_time(7200.0)
    assert jumping.is_whole


def test_jump_that_lasts_is_the_time(tmp_path: Path, snapshot: Snapshot) -> None:
    jumping = Jumping(tmp_path, snapshot)
    jumping.jump_s = 31 * DAY_S
    jumping.pass_time(7200.0)
    assert list(tmp_path.iterdir()) == []


def test_server_that_starts_with_a_wrong_clock_removes_nothing(tmp_path: Path, snapshot: Snapshot) -> None:
    jumping = Jumping(tmp_path, snapshot)
    jumping.jump_s = 31 * DAY_S
    jumping.store = jumping.open()
    jumping.pass_time(1800.0)
    jumping.jump_s = 0.0
    jumping.pass_time(7200.0)
    assert jumping.is_whole


def test_walks_of_unknown_age_are_kept_for_as_long_as_any_after_they_were_made(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems do not say when a file was changed."""
    monkeypatch.setattr("worldplay.store.files._changed_s", lambda info: 0.0)
    clock = Clock()
    store = make_store(f"memory://{new_id()}", now=clock)
    kept, live, unknown = store.keep(OWNER, "", snapshot), new_id(), new_id()
    for id in (live, unknown):
        store.create(id, About(kind="live", key=hash_key("s")))
        store.append(id, 0, snapshot)
    store._files.write(f"{unknown}/about.json", b"")
    clock.now_s += 29 * DAY_S
    store.clean(10**9)
    assert [len(store._names(id)) for id in (kept, live, unknown)] == [2, 2, 2]
    assert len(store.list_kept(OWNER)) == 1
    clock.now_s += 2 * DAY_S
    store.clean()
    assert [len(store._names(id)) for id in (kept, live, unknown)] == [0, 0, 2]


@pytest.mark.parametrize("failing", [".safetensors", "about.json"])
def test_bookmark_that_could_not_be_kept_leaves_nothing(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store = make_store(tmp_path)
    write = store._files.write

    def fail(name: str, data: bytes) -> None:
        if name.endswith(failing):
            raise OSError("disk full")
        write(name, data)

    monkeypatch.setattr(store._files, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        store.keep(OWNER, "", snapshot)
    assert (list(tmp_path.iterdir()), store.list_kept(OWNER)) == ([], [])


def test_bookmark_without_its_walk_is_not_listed(tmp_path: Path, snapshot: Snapshot) -> None:
    store = make_store(tmp_path)
    id = store.keep(OWNER, "", snapshot)
    (tmp_path / id / "00000000.safetensors").unlink()
    assert make_store(tmp_path).list_kept(OWNER) == []


@pytest.mark.parametrize(
    ("stray", "stays"), [(".nfs0000001", False), (".DS_Store", False), ("holiday.jpg", True)]
)
def test_stray_file_keeps_no_walk_for_ever(
    tmp_path: Path, snapshot: Snapshot, stray: str, stays: bool
) -> None:
    clock = Clock()
    store = make_store(tmp_path, now=clock)
    id = store.keep(OWNER, "", snapshot)
    (tmp_path / id / stray).write_bytes(b"x" * 900_000)
    store.clean()
    assert store.num_bytes == sum(path.stat().st_size for path in (tmp_path / id).iterdir())
    assert len(store.list_kept(OWNER)) == 1
    clock.now_s += 31 * DAY_S
    store.clean()
    assert [path.name for path in tmp_path.rglob("*")] == ([id, stray] if stays else [])


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


def save_parts(store: Store, walk: LiveWalk, id: str, *numbers: int, writer: str = "") -> None:
    """Save one chunk in each part."""
    for number in numbers:
        go_on(walk, [AHEAD])
        store.append(id, number, walk.take_unsaved(), writer)


@pytest.mark.parametrize("damaged", [1, 2, 3])
@pytest.mark.parametrize("data", [b"", b"garbage"])
def test_walk_goes_on_before_a_damaged_part(tmp_path: Path, damaged: int, data: bytes) -> None:
    """What is saved afterwards counts, whoever reads it."""
    store, id = make_store(tmp_path), new_id()
    with torch.inference_mode():
        walk = open_walk(make_world())
        store.create(id, About(kind="live", key=hash_key("s")))
        save_parts(store, walk, id, 0, 1, 2, 3)
        (tmp_path / id / f"{damaged:08d}.safetensors").write_bytes(data)
        assert make_store(tmp_path).load(id).num_chunks == damaged
        writer = store.claim(id)
        found = store.load(id)
        assert found.num_chunks == damaged
        back = open_walk(make_world(), snapshot=found, is_saved=True)
        save_parts(store, back, id, 0, 1, writer=writer)
        for each in (store, make_store(tmp_path)):
            assert write_snapshot(each.load(id)) == write_snapshot(back.snapshot())
        again = store.claim(id)
        save_parts(store, back, id, 0, writer=again)
    assert store.load(id).num_chunks == damaged + 3
    assert (tmp_path / id / f"{damaged:08d}.safetensors").read_bytes() == data


def test_reader_changes_nothing_of_a_damaged_walk(tmp_path: Path) -> None:
    store, id = make_store(tmp_path), new_id()
    with torch.inference_mode():
        walk = open_walk(make_world())
        store.create(id, About(kind="live", key=hash_key("s")))
        save_parts(store, walk, id, 0, 1)
    path = tmp_path / id / "00000001.safetensors"
    data = path.read_bytes()
    path.write_bytes(b"")
    assert store.load(id).num_chunks == 1
    path.write_bytes(data)
    assert store.load(id).num_chunks == 2


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
