"""Kept walks that many open: each is in memory once, and not too many wait."""

import asyncio
import gc
from pathlib import Path

import pytest
import torch

from support.tiny_world import make_world
from support.waiting import wait_until
from support.walks import walk_about
from worldplay.protocol.errors import ProtocolError
from worldplay.store.files import Files
from worldplay.store.store import Store
from worldplay.web import opened_snapshots
from worldplay.web.disk_threads import DiskThreads
from worldplay.web.opened_snapshots import OpenedSnapshots
from worldplay.web.work_pace import GRACE_S, REST, WorkPace
from worldplay.world.snapshot import Snapshot


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    with torch.inference_mode():
        return walk_about(make_world()).snapshot()


def test_walk_that_many_open_is_in_memory_once(tmp_path: Path, snapshot: Snapshot) -> None:
    async def test() -> None:
        store = Store(Files(str(tmp_path)), 10**9, 60.0)
        id = store.keep("an owner's own key", "", snapshot)
        opened = OpenedSnapshots(store, DiskThreads(2), WorkPace())
        found = await asyncio.gather(*(opened.open(id, "a") for _ in range(5)))
        assert len({each.latents.data_ptr() for each in found}) == 1
        assert len({each.beginning.walk for each in found if each.beginning}) == 5
        assert list(opened._opened) == [id]
        del found
        gc.collect()
        # The thread that opened it may hold it for a moment.
        await asyncio.to_thread(wait_until, lambda: not opened._opened)

    asyncio.run(test())


def test_walk_that_was_deleted_meanwhile_is_opened_no_more(tmp_path: Path, snapshot: Snapshot) -> None:
    async def test() -> None:
        store = Store(Files(str(tmp_path)), 10**9, 60.0)
        id = store.keep("an owner's own key", "", snapshot)
        opened = OpenedSnapshots(store, DiskThreads(2), WorkPace())
        first = await opened.open(id, "a")
        store.delete(id)
        with pytest.raises(ProtocolError):
            await opened.open(id, "a")
        assert first.num_chunks == 3

    asyncio.run(test())


def test_walks_of_one_address_that_wait_are_bounded(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_snapshots, "MAX_WAITING_BYTES_EACH", snapshot.latents.nbytes * 2)

    async def test() -> None:
        store = Store(Files(str(tmp_path)), 10**9, 60.0)
        ids = [store.keep("an owner's own key", "", snapshot) for _ in range(3)]
        opened = OpenedSnapshots(store, DiskThreads(2), WorkPace())
        first = await opened.open(ids[0], "a")
        with pytest.raises(ProtocolError, match="too many large walks"):
            await opened.open(ids[1], "a")
        other = await opened.open(ids[2], "b")
        assert first.num_chunks == other.num_chunks

    asyncio.run(test())


def test_address_that_opens_large_walks_one_after_the_other_rests(
    tmp_path: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_snapshots, "RESTORE_S", GRACE_S / REST / snapshot.end * 0.9)

    async def test() -> None:
        store = Store(Files(str(tmp_path)), 10**9, 60.0)
        id = store.keep("an owner's own key", "", snapshot)
        opened = OpenedSnapshots(store, DiskThreads(2), WorkPace())
        for _ in range(2):
            await opened.open(id, "a")
        with pytest.raises(ProtocolError, match="for one address"):
            await opened.open(id, "a")
        await opened.open(id, "b")

    asyncio.run(test())
