"""Parts that are joined while a walk is made: it stays the same, whenever the server is killed."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldplay.store import joining
from worldplay.store.about import About, hash_key
from worldplay.store.errors import MissingWalkError
from worldplay.store.files import Files
from worldplay.store.joining import FAN_IN, MAX_JOINED_BYTES, WrittenParts
from worldplay.store.keeper import SAVE_EVERY_MS, Keeper
from worldplay.store.store import Store, new_id
from worldplay.world.camera import DEFAULT_INTRINSICS, Motion
from worldplay.world.snapshot import Beginning, LoggedLatch, PromptChange, Snapshot, WorldIdentity, join
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.snapshot_reader import read_part
from worldplay.world.steering import PosedCamera

BEGINNING = Beginning(WorldIdentity("tiny", "", (8, 8)), "a", 1, None, PosedCamera(np.eye(4)), "sdpa")
ABOUT = About(kind="live", key=hash_key("secret"))


def make_part(first: int, end: int, mark: float) -> Snapshot:
    """Make a part whose latents tell when they were made."""
    count = end - first
    latches = [
        LoggedLatch(at, (Motion(forward=mark),) * (3 if at == 0 else 4)) for at in range(first, end, 4)
    ]
    return Snapshot(
        beginning=None if first else BEGINNING,
        first=first,
        latents=torch.full((count, 1, 1, 1), mark),
        c2w=np.tile(np.eye(4), (count, 1, 1)),
        labels=np.zeros(count, np.int64),
        intrinsics=np.tile(DEFAULT_INTRINSICS, (count, 1, 1)),
        latches=tuple(latches),
        prompts=() if first else (PromptChange(0, "x"),),
    )


def make_history(chance: random.Random, count: int) -> list[Snapshot]:
    """Make the parts of a walk that is cut, and goes back now and then."""
    parts = [make_part(0, 8, 0.0)]
    while len(parts) < count:
        back = chance.choice([0, 0, 0, 4, 4, chance.randrange(0, 40, 4)])
        first = max(4, parts[-1].end - back)
        parts.append(make_part(first, first + chance.choice([4, 8]), float(len(parts))))
    return parts


class Killed(BaseException):
    """The server was killed."""


class Walked:
    """A walk that is saved part by part, by servers that can be killed before any change of the store."""

    def __init__(self, url: str) -> None:
        self.url, self.id, self.writer = url, new_id(), ""
        self.number, self.left = 0, -1
        self.on_change: Callable[[], None] = lambda: None
        self.parts = WrittenParts()
        self.saved: list[Snapshot] = []
        self.store = self.start()
        self.store.create(self.id, ABOUT)

    def start(self) -> Store:
        store = Store(Files(self.url), 10**7, 3600.0)
        for name in ("write", "remove"):
            setattr(store._files, name, self._watch(getattr(store._files, name)))
        return store

    def _watch(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise Killed
            change(*arguments)
            self.on_change()

        return watched

    def save(self, part: Snapshot) -> None:
        size = self.store.append(self.id, self.number, part, self.writer)
        self.parts.add(self.number, size, part)
        self.number += 1
        self.saved.append(part)

    def join(self) -> bool:
        run = self.parts.find_run()
        if run:
            self.parts.replace(run, self.store.join(self.id, run, self.writer))
        return bool(run)

    def restart(self) -> None:
        """Go on on another server, which claims the walk."""
        self.store, self.left, self.parts, self.number = self.start(), -1, WrittenParts(), 0
        self.writer = self.store.claim(self.id)

    def assert_whole(self) -> None:
        found = Store(Files(self.url), 10**7, 3600.0).load(self.id)
        assert write_snapshot(found) == write_snapshot(join(self.saved))

    @property
    def num_files(self) -> int:
        return sum(name.endswith(".safetensors") for name in self.store._names(self.id))


@pytest.fixture
def threes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "FAN_IN", 3)


@pytest.mark.usefixtures("threes")
@pytest.mark.parametrize("seed", range(4))
def test_walk_is_whole_whenever_its_server_is_killed(seed: int) -> None:
    chance = random.Random(seed)
    walked, num_kills = Walked(f"memory://{new_id()}"), 0
    for part in make_history(chance, 40):
        walked.save(part)
        walked.left = chance.randrange(1, 6)
        try:
            while walked.join():
                pass
        except Killed:
            num_kills += 1
            walked.assert_whole()
            walked.restart()
        walked.left = -1
    walked.assert_whole()
    assert num_kills > 2


@pytest.mark.usefixtures("threes")
@pytest.mark.parametrize("seed", range(2))
def test_walk_is_whole_between_any_two_changes_and_for_whoever_claims_it_there(seed: int) -> None:
    walked = Walked(f"memory://{new_id()}")
    for part in make_history(random.Random(seed), 24):
        walked.save(part)
        walked.on_change = walked.assert_whole
        while walked.join():
            pass
        walked.on_change = lambda: None
    walked.store.claim(walked.id)
    walked.assert_whole()
    assert len(walked.parts._parts) == walked.num_files < 16


@pytest.mark.usefixtures("threes")
def test_claim_that_saw_the_parts_before_they_were_joined_counts_the_joined_one(tmp_path: Path) -> None:
    walked = Walked(str(tmp_path))
    for part in make_history(random.Random(1), 3):
        walked.save(part)
    names = walked.store._names(walked.id)
    walked.save(make_part(walked.saved[-1].end, walked.saved[-1].end + 4, 9.0))
    assert walked.join()
    walked.store._claims.make(walked.id, names)  # it was slow
    walked.saved.pop()
    walked.assert_whole()


@pytest.mark.usefixtures("threes")
def test_folder_holds_few_parts_however_long_the_walk_is(tmp_path: Path) -> None:
    walked = Walked(str(tmp_path))
    for number in range(3**2 + 1):
        walked.save(make_part(4 * number, 4 * number + 4, float(number)))
        while walked.join():
            pass
    walked.assert_whole()
    assert (walked.num_files, len(walked.parts._parts)) == (2, 2)
    assert list(tmp_path.rglob("*.part")) == []
    num_bytes = walked.store.num_bytes
    walked.store.clean()
    about = (tmp_path / walked.id / "about.json").stat().st_size
    assert num_bytes == walked.store.num_bytes - about


def test_every_latent_is_written_a_few_times() -> None:
    parts, written = WrittenParts(), 0
    for number in range(2000):
        parts.add(number, 50_000, make_part(4 * number, 4 * number + 4, 0.0))
        while run := parts.find_run():
            size = sum(part.num_bytes for part in run)
            assert size <= MAX_JOINED_BYTES
            parts.replace(run, size)
            written += size
    assert written < 3 * 2000 * 50_000
    assert len(parts._parts) < 2000 / FAN_IN**2 + 2 * FAN_IN


def test_parts_are_not_joined_while_the_walk_is_shorter_than_it_was() -> None:
    parts = WrittenParts()
    ends = [*range(0, 4 * FAN_IN, 4)]
    for number, first in enumerate([*ends, 4, 8]):
        parts.add(number, 1, make_part(first, first + 4, 0.0))
    assert parts.find_run() == []
    for number, first in enumerate(range(12, 4 * FAN_IN + 4, 4), FAN_IN + 2):
        parts.add(number, 1, make_part(first, first + 4, 0.0))
    run = parts.find_run()
    assert (run[0].number, run[-1].end) == (0, 4 * FAN_IN)


class Kept:
    """A walk that is saved by a keeper."""

    def __init__(self, folder: Path, quota_bytes: int = 10**7) -> None:
        self.now_ms, self.parts = 0.0, list[Snapshot]()
        self.store = Store(Files(str(folder)), quota_bytes, 3600.0)
        self.keeper, self.id = Keeper(self.store, lambda: self.now_ms), new_id()
        self.kept = self.keeper.keep(self.id, "secret")
        self.folder = folder / self.id

    def take_unsaved(self) -> Snapshot:
        end = self.parts[-1].end if self.parts else 0
        self.parts.append(make_part(end, end + 4, 1.0))
        return self.parts[-1]

    def count_unsaved(self, first: int) -> None:
        assert first == 0, "a part failed"

    def save(self, count: int) -> None:
        for _ in range(count):
            self.now_ms += SAVE_EVERY_MS
            self.kept.changed(self)
            self.wait()

    def wait(self) -> None:
        self.keeper._thread.submit(lambda: None).result()
        self.keeper._thread.submit(lambda: None).result()  # behind a join

    @property
    def num_files(self) -> int:
        return len(list(self.folder.glob("*.safetensors")))

    def assert_whole(self) -> None:
        assert write_snapshot(self.store.load(self.id)) == write_snapshot(join(self.parts))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_keeper_joins_what_it_saves(kept: Kept) -> None:
    kept.save(2 * FAN_IN + 1)
    assert kept.num_files == 3
    kept.assert_whole()


def test_walk_that_rested_is_joined_again(kept: Kept) -> None:
    kept.save(1)
    kept.kept.finish(kept)
    kept.wait()
    kept.save(FAN_IN)
    assert kept.num_files == 3
    kept.assert_whole()


def test_walk_that_ends_is_saved_at_once_and_not_joined(kept: Kept) -> None:
    kept.save(FAN_IN)
    kept.kept.leave(kept)
    kept.wait()
    assert kept.num_files == FAN_IN + 1


def test_walk_that_goes_on_elsewhere_is_not_joined_here(kept: Kept) -> None:
    kept.save(FAN_IN)
    kept.store.claim(kept.id)
    kept.save(1)
    assert kept.num_files == FAN_IN + 1


def test_joining_needs_room_and_removes_nobody(kept: Kept) -> None:
    kept.save(FAN_IN)
    kept.store.quota_bytes = kept.store.num_bytes + 3000
    kept.save(1)
    assert kept.num_files == FAN_IN + 1
    kept.store.quota_bytes = 10**7
    kept.save(1)
    assert kept.num_files == 2
    kept.assert_whole()


@pytest.mark.parametrize("data", [b"", b"garbage"])
def test_damaged_part_stays_as_it_is_and_later_ones_are_joined(kept: Kept, data: bytes) -> None:
    kept.save(FAN_IN)
    (kept.folder / "00000003.safetensors").write_bytes(data)
    kept.save(2 * FAN_IN + 2)
    assert (kept.folder / "00000003.safetensors").read_bytes() == data
    assert kept.num_files == FAN_IN + 1 + 3
    assert kept.store.load(kept.id).num_chunks == 3


@pytest.mark.parametrize("name", ["write", "remove"])
def test_disk_that_fails_while_parts_are_joined_loses_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kept.save(FAN_IN)
    write, removed = kept.store._files.write, list[object]()

    def fail(what: Any, *data: Any) -> None:
        if name == "write" and "00000000" not in what:
            return write(what, *data)
        removed.append(what)
        raise OSError("Input/output error")

    with monkeypatch.context() as context:
        context.setattr(kept.store._files, name, fail)
        kept.save(1)
    assert len(removed) == 1
    kept.assert_whole()
    kept.save(2 * FAN_IN)
    kept.assert_whole()
    assert kept.kept.fault is None


def test_damaged_joined_part_ends_the_walk_before_it(kept: Kept) -> None:
    kept.save(FAN_IN + 1)
    later = make_part(4, 12, 2.0)
    writer = kept.store.claim(kept.id)
    kept.store.append(kept.id, 0, later, writer)
    (kept.folder / "00000000.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="expected a safetensors file"):
        kept.store.load(kept.id)


def test_reader_looks_again_if_parts_are_joined_while_it_reads(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.save(FAN_IN)
    read_all = kept.store._files.read_all

    def join_first(names: list[str]) -> list[bytes]:
        monkeypatch.setattr(kept.store._files, "read_all", read_all)
        kept.save(1)
        return read_all(names)

    monkeypatch.setattr(kept.store._files, "read_all", join_first)
    found = kept.store.load(kept.id)
    assert (kept.num_files, found.num_chunks) == (2, FAN_IN + 1)


def test_walk_without_parts_is_missing(kept: Kept) -> None:
    kept.save(1)
    (kept.folder / "00000000.safetensors").unlink()
    with pytest.raises(MissingWalkError):
        kept.store.load(kept.id)


def test_joined_walk_that_expired_leaves_nothing(tmp_path: Path) -> None:
    walked = Walked(str(tmp_path))
    for number in range(FAN_IN + 1):
        walked.save(make_part(4 * number, 4 * number + 4, 0.0))
    walked.left = 3
    with pytest.raises(Killed):
        walked.join()
    walked.assert_whole()
    (tmp_path / walked.id / "00000000.safetensors.part").write_bytes(b"half")
    walked.store.delete(walked.id)
    assert list(tmp_path.iterdir()) == []


def test_prompts_and_cuts_of_joined_parts_are_theirs() -> None:
    parts = [make_part(0, 8, 0.0), make_part(8, 16, 1.0), make_part(12, 16, 2.0)]
    parts[1] = replace(parts[1], prompts=(PromptChange(8, "y"), PromptChange(12, "lost")))
    data = joining.join_files([write_snapshot(part) for part in parts[1:]])
    found = join([parts[0], read_part(data)])
    assert [(change.latent, change.text) for change in found.prompts] == [(0, "x"), (8, "y")]
    assert found.latents.flatten().tolist() == [0.0] * 8 + [1.0] * 4 + [2.0] * 4
