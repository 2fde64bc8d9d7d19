"""What chunks take at the published sizes, as a table, and which size to serve."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worldplay.world.frames import show_size
from worldplay.world.pace import Pace

SIZES = ((480, 832), (352, 640), (240, 416))  # (height, width) that were published, the largest first


@dataclass(frozen=True, slots=True)
class SizePace:
    """What a size takes, and for how many sessions there is memory beside a clip."""

    size: tuple[int, int]
    pace: Pace | None  # None: not measured
    room: int
    tier: str = "exact"

    @property
    def sessions(self) -> int:
        """Return how many sessions fit, in time and in memory."""
        return 0 if self.pace is None else min(self.pace.sessions, self.room)


def choose_size(rows: Sequence[SizePace]) -> tuple[int, int]:
    """Choose the largest size that is in real time, or else the fastest that fits, or else the smallest."""
    in_time = (row for row in rows if row.sessions)
    measured = [(row.pace.made_s, row) for row in rows if row.pace is not None and row.room]
    fastest = min(measured, key=lambda each: each[0], default=(0.0, rows[-1]))[1]
    return next(in_time, fastest).size


def render_sizes(rows: Sequence[SizePace]) -> Iterator[str]:
    """Format the table for people."""
    yield f"{'size':9} {'chunk':>8} {'frames/s':>9} {'real time':>10} {'sessions':>9}"
    for row in rows:
        yield f"{show_size(row.size):9} {_describe(row)}"


def render_tiers(rows: Sequence[SizePace]) -> Iterator[str]:
    """Format the table of several tiers for people."""
    tiers = ["tier", *(row.tier for row in rows)]
    yield from (f"{tier:9} {line}" for tier, line in zip(tiers, render_sizes(rows), strict=True))


def _describe(row: SizePace) -> str:
    if not row.room:
        return f"{'does not fit':>39}"
    pace = row.pace
    if pace is None:
        return f"{'-':>8} {'-':>9} {'-':>10} {'-':>9}"
    times = f"{pace.times_real_time:.2f}x"
    return f"{1000 * pace.made_s:>5.0f} ms {pace.frames_per_s:>9.1f} {times:>10} {row.sessions:>9}"
