"""Threads for the store: one that hangs keeps neither others nor the process."""

import asyncio
import threading

import pytest

from support.waiting import wait_until
from worldplay.web import disk_threads
from worldplay.web.disk_threads import MAX_SLOW, MAX_SLOW_EACH, DiskThreads, SlowStoreError


async def hang(threads: DiskThreads, event: threading.Event, address: str = "a") -> None:
    with pytest.raises(SlowStoreError):
        await threads.run(address, event.wait, patience_s=0.01)


def test_result_and_error_come_back() -> None:
    async def test() -> None:
        threads = DiskThreads(1)
        assert await threads.run("a", divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads.run("a", divmod, 7, 0)

    asyncio.run(test())


def test_thread_that_hangs_leaves_its_place_to_others() -> None:
    async def test() -> None:
        threads, event = DiskThreads(1), threading.Event()
        for _ in range(MAX_SLOW_EACH):
            await hang(threads, event)
        with pytest.raises(SlowStoreError):  # too many of this address hang
            await threads.run("a", int)
        assert await threads.run("b", int) == 0
        event.set()
        await asyncio.to_thread(wait_until, lambda: not threads._slow)
        assert await threads.run("a", int) == 0

    asyncio.run(test())


def test_threads_that_hang_are_bounded() -> None:
    async def test() -> None:
        threads, event = DiskThreads(4), threading.Event()
        before = threading.active_count()
        for number in range(MAX_SLOW + 5):
            await hang(threads, event, str(number))
        assert threading.active_count() - before <= MAX_SLOW
        event.set()

    asyncio.run(test())


def test_task_whose_client_left_counts_until_it_ends() -> None:
    async def test() -> None:
        threads, event = DiskThreads(4), threading.Event()
        for _ in range(MAX_SLOW_EACH):
            waiting = asyncio.ensure_future(threads.run("a", event.wait))
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(SlowStoreError):
            await threads.run("a", int)
        event.set()

    asyncio.run(test())


def test_thread_that_hangs_gives_way_before_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_threads, "GIVE_WAY_S", 0.01)

    async def test() -> None:
        threads, event = DiskThreads(1), threading.Event()
        first = asyncio.ensure_future(threads.run("a", event.wait))
        assert await threads.run("b", int, patience_s=60.0) == 0
        event.set()
        assert await first

    asyncio.run(test())
