"""What the store removes because it is old, what it never removes, and clocks that are wrong."""

import json
import time
from pathlib import Path

import pytest

from support.stores import DAY_S, OWNER, make_store
from support.waiting import Clock
from worldplay.store.about import About, hash_key
from worldplay.store.errors import MissingWalkError
from worldplay.store.files import Files
from worldplay.store.store import Store, new_id
from worldplay.world.snapshot import Snapshot


def test_snapshots_expire(tmp_path: Path, snapshot: Snapshot) -> None:
    clock = Clock(time.time())
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
    clock = Clock(time.time())
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
        self.steady, self.jump_s = Clock(time.time()), 0.0
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
    clock = Clock(time.time())
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


@pytest.mark.parametrize(
    ("stray", "stays"), [(".nfs0000001", False), (".DS_Store", False), ("holiday.jpg", True)]
)
def test_stray_file_keeps_no_walk_for_ever(
    tmp_path: Path, snapshot: Snapshot, stray: str, stays: bool
) -> None:
    clock = Clock(time.time())
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
    clock = Clock(time.time())
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

    clock = Clock(time.time())
    store = make_store(tmp_path, now=clock)
    id = store.keep(OWNER, "", snapshot)
    clock.now_s += 2 * DAY_S
    with monkeypatch.context() as context:
        context.setattr(store._files, "read", fail)
        store.clean(10**9)
    assert store.load(id)
