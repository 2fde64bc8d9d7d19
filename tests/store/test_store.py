"""The store: what is kept comes back, whole or as far as it can be read, and only to its owner."""

import os
import time
from pathlib import Path

import pytest
import torch

from support.stores import OWNER, make_store
from support.tiny_world import make_world
from support.walks import AHEAD, go_on, open_walk, walk_about
from worldplay.store.about import About, hash_key
from worldplay.store.errors import MissingWalkError
from worldplay.store.files import Files
from worldplay.store.store import Store, new_id
from worldplay.store.walk_index import FRESH_S
from worldplay.world.live_walk import LiveWalk
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import write_snapshot


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
