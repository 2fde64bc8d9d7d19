"""When a stage counts as hung."""

from worldplay.engine.watchdog import Watchdog


def test_stage_that_takes_too_many_seconds_is_hung() -> None:
    dog = Watchdog(3)
    with dog.watch():
        hung = []
        for _ in range(5):
            dog.tick()
            hung.append(dog.is_hung)
    assert hung == [False, False, False, True, True]
    dog.tick()
    assert not dog.is_hung


def test_many_stages_are_not_one_that_hangs() -> None:
    dog = Watchdog(2)
    for _ in range(10):
        with dog.watch():
            dog.tick()
        assert not dog.is_hung


def test_worker_that_waits_does_not_hang() -> None:
    dog = Watchdog(2)
    for _ in range(10):
        dog.tick()
    assert not dog.is_hung
