"""What is said while a clip is made."""

import io

from support.waiting import Clock
from worldplay.commands.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(out: io.StringIO, num_passes: int, pass_s: float, num_frames: int = 125) -> list[str]:
    """Go through a clip of one chunk for every five passes. Returns: the lines."""
    clock = Clock(100.0)
    progress = Progress(num_frames, num_passes, out, clock)
    for number in range(num_passes):
        clock.now_s += pass_s
        progress.step(max(0, 16 * (number // 5) - 3))
    progress.close()
    return out.getvalue().split("\n")[:-1]


def test_short_clip_has_no_line() -> None:
    assert run(io.StringIO(), num_passes=40, pass_s=0.02) == []
    assert run(Terminal(), num_passes=40, pass_s=0.02) == []


def test_log_gets_a_line_every_second() -> None:
    said = run(io.StringIO(), num_passes=40, pass_s=0.25)
    assert len(said) == 10
    assert said[0] == "0 of 125 frames, 10%, 12.5 frames/s, 9 s left"
    assert said[4] == "45 of 125 frames, 50%, 12.5 frames/s, 5 s left"


def test_log_of_a_long_clip_does_not_grow_by_thousands_of_lines() -> None:
    said = run(io.StringIO(), num_passes=10_000, pass_s=1.0, num_frames=2397)
    assert 300 < len(said) < 800
    assert said[0].endswith(", 2 h 46 min left")


def test_slow_passes_are_all_said() -> None:
    assert len(run(io.StringIO(), num_passes=40, pass_s=30.0)) == 40


def test_terminal_has_one_line_that_changes() -> None:
    (said,) = run(Terminal(), num_passes=40, pass_s=3.0)
    assert said.count("\r\x1b[K") == 40
    assert said.endswith("100%, 1.0 frames/s, 0 s left")
    assert "1 min 57 s left" in said
