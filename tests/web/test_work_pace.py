"""How much of a core one address gets for requests that compute."""

import pytest

from worldplay.web.errors import ApiError
from worldplay.web.work_pace import GRACE_S, REST, WorkPace


class Clocks:
    """Two clocks: of the day, and of what was computed."""

    def __init__(self) -> None:
        self.now_s = self.computed_s = 100.0
        self.pace = WorkPace(lambda: self.now_s, lambda: self.computed_s)

    def compute(self, address: str, seconds: float) -> None:
        def work() -> None:
            self.now_s += 3 * seconds  # others computed meanwhile
            self.computed_s += seconds

        self.pace.counted(address, work)()


def test_short_work_may_be_asked_for_often() -> None:
    clocks = Clocks()
    for _ in range(20):
        clocks.pace.check("a")
        clocks.compute("a", 0.05)


def test_address_that_had_long_work_done_waits_and_others_do_not() -> None:
    clocks = Clocks()
    clocks.compute("a", 6.0)
    clocks.pace.check("b")
    with pytest.raises(ApiError, match="one address") as refused:
        clocks.pace.check("a")
    wait_s = 6.0 * REST - GRACE_S
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": f"{wait_s:.0f}"})
    clocks.now_s += wait_s
    clocks.pace.check("a")


def test_work_that_fails_counts_as_well() -> None:
    pace = Clocks()

    def fail() -> None:
        pace.computed_s += 60.0
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # the work's own
        pace.pace.counted("a", fail)()
    with pytest.raises(ApiError):
        pace.pace.check("a")
