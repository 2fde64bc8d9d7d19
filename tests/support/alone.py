"""A plugin of pytest: a test marked `alone` runs while no other does, though several processes run tests."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)  # waiting is not part of the test
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if not hasattr(item.config, "workerinput"):  # this process runs all tests
        return (yield)
    shared = Path(item.config.option.basetemp).parent
    with turn(shared, alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until this test may run: beside others, or when they have ended.

    Who waits to be alone keeps the door locked, so that nobody else comes in meanwhile.

    Args: folder: of all the processes, for two files that they lock.
    """
    with (folder / "door").open("w") as door, (folder / "room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:  # closing is not enough: a forked process that is still there has the file, too
            fcntl.flock(room, fcntl.LOCK_UN)
