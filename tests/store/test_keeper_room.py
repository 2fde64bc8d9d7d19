"""Walks of several addresses in a store with little room: who is saved, and who makes room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.tiny_world import make_world
from support.walks import AHEAD, go_on, open_walk
from worldplay.store.files import Files
from worldplay.store.keeper import (
    Keeper,
    Saving,
    WalkSaver,
)
from worldplay.store.store import Store, new_id
from worldplay.world.snapshot_file import write_snapshot


class Crowd:
    """A store with room for some walks, each of one chunk, that several addresses make and leave."""

    def __init__(self, folder: Path, num_walks: float, walks_per_address: int = 20) -> None:
        self.now_ms = 0.0
        self.walk = open_walk(make_world())
        go_on(self.walk, [AHEAD])
        self.size = len(write_snapshot(self.walk.snapshot())) + 300  # with its description
        quota_bytes = int(num_walks * self.size)
        self.store = Store(Files(str(folder)), quota_bytes, 3600.0, walks_per_address=walks_per_address)
        self.keeper = Keeper(self.store, lambda: self.now_ms)

    def begin(self, address: str) -> WalkSaver:
        kept = self.keeper.keep(new_id(), "secret", address=address)
        self.save(kept)
        return kept

    def save(self, kept: WalkSaver) -> None:
        """Save all of the walk."""
        self.walk.count_unsaved(0)
        kept.finish(self.walk)
        self.wait()

    def leave(self, kept: WalkSaver) -> None:
        self.walk.count_unsaved(0)
        kept.leave(self.walk)
        self.wait()

    def wait(self) -> None:
        self.keeper._thread.submit(lambda: None).result()

    def has(self, kept: WalkSaver) -> bool:
        return self.store.has(kept.id)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with torch.inference_mode():
        crowd = Crowd(tmp_path, 4.5)
        yield crowd
        crowd.keeper.close()


def test_walk_that_is_made_takes_the_room_of_those_that_were_left(crowd: Crowd) -> None:
    own = crowd.begin("visitor")
    for _ in range(8):
        crowd.leave(crowd.begin("stranger"))
    crowd.save(own)
    assert own.fault is None
    assert crowd.store.load(own.id).num_chunks == 1
    assert crowd.store.num_removed["room"] > 0


def test_walks_that_are_made_and_bookmarks_make_no_room(crowd: Crowd) -> None:
    told: list[object] = []
    kept = [crowd.begin("visitor") for _ in range(3)]
    bookmark = crowd.store.keep("k" * 20, "", crowd.walk.snapshot())
    last = crowd.keeper.keep(new_id(), "secret")
    last.on_saving = told.append
    crowd.save(last)
    assert (told, crowd.keeper.num_unsaved) == ([Saving("full", 0)], 1)
    assert all(map(crowd.has, kept))
    assert crowd.store.has(bookmark)
    crowd.leave(kept[0])
    crowd.save(last)
    assert (told[1:], crowd.keeper.num_unsaved) == ([Saving(None, 0)], 0)
    assert not crowd.has(kept[0])


def test_address_keeps_its_newest_walks_and_takes_nothing_from_others(tmp_path: Path) -> None:
    with torch.inference_mode():
        crowd = Crowd(tmp_path, 100, walks_per_address=2)
        others = [crowd.begin("visitor") for _ in range(3)]
        crowd.leave(others[0])
        walks = [crowd.begin("stranger") for _ in range(5)]
        for kept in walks[:4]:
            crowd.leave(kept)
        crowd.keeper.close()
    assert [crowd.has(kept) for kept in walks] == [False, False, True, True, True]
    assert all(map(crowd.has, others))


def test_session_that_came_back_keeps_the_walk_although_the_earlier_one_ends_later(crowd: Crowd) -> None:
    earlier = crowd.begin("visitor")
    back = crowd.keeper.keep(earlier.id, "secret", crowd.store.claim(earlier.id), "visitor")
    back.set_place(is_walking=False)
    crowd.leave(earlier)
    for _ in range(8):
        crowd.leave(crowd.begin("stranger"))
    assert crowd.has(back)
    assert crowd.store.about(back.id).state == "waiting"


def test_walk_of_unknown_address_is_not_limited(tmp_path: Path) -> None:
    with torch.inference_mode():
        crowd = Crowd(tmp_path, 100, walks_per_address=1)
        walks = [crowd.begin("") for _ in range(3)]
        for kept in walks:
            crowd.leave(kept)
        crowd.keeper.close()
    assert all(map(crowd.has, walks))


def test_address_is_not_in_the_store(crowd: Crowd, tmp_path: Path) -> None:
    crowd.begin("192.0.2.7")
    assert all("192.0.2.7" not in path.read_text() for path in tmp_path.rglob("about.json"))
