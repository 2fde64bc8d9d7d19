"""Ranks that wait for each other in vain: found by looks, and never while anything goes on."""

from threading import Event

import pytest

from support.waiting import wait_until
from worldplay.ranks.waiting import LOADING_S, DeviceWork, Waiting


def look(waiting: Waiting, count: int) -> list[bool]:
    return [waiting.look(0.5) for _ in range(count)]


def test_wait_that_does_not_end_is_in_vain() -> None:
    waiting = Waiting(2.0)
    with waiting.during():
        assert look(waiting, 5) == [False] * 4 + [True]
    assert look(waiting, 9) == [False] * 9


def test_every_exchange_that_ends_is_progress() -> None:
    waiting = Waiting(1.0)
    for _ in range(5):
        with waiting.during():
            assert look(waiting, 2) == [False] * 2


def test_work_that_was_queued_earlier_is_progress() -> None:
    waiting = Waiting(1.0)
    for _ in range(3):
        waiting.begin()
    for _ in range(2):
        assert look(waiting, 2) == [False] * 2
        waiting.end()
    assert look(waiting, 3) == [False, False, True]


def test_others_may_load_for_longer() -> None:
    waiting = Waiting(1.0)
    with waiting.during(LOADING_S):
        assert not any(look(waiting, 100))
    with waiting.during():
        assert look(waiting, 3) == [False, False, True]


class Work:
    """An event of a GPU's stream, which is reached when the test says so."""

    def __init__(self) -> None:
        self.reached = Event()
        self.fails = False

    def record(self) -> None:
        pass

    def synchronize(self) -> None:
        assert self.reached.wait(60.0)
        if self.fails:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize("fails", [False, True])
def test_work_of_a_gpu_is_waited_for_on_a_thread(fails: bool) -> None:
    """An error of the GPU is for the thread that computes. This one only ends."""
    waiting, made = Waiting(1.0), [Work(), Work()]
    queued = iter(made)
    work = DeviceWork(waiting, lambda: next(queued))
    for _ in made:
        work.note()
    made[0].reached.set()
    made[1].fails = fails
    made[1].reached.set()
    if fails:
        work.thread.join(60.0)
        assert not work.thread.is_alive()
        assert waiting.look(9.0)
    else:
        wait_until(lambda: not waiting.look(9.0))
        assert work.thread.is_alive()
