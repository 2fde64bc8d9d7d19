"""What a server delivered: one session's numbers, those of all sessions together, and a table of both."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from worldplay.client.visit import Announced, Visit

_WIDTHS = (7, 7, 6, 8, 7, 8, 8, 14, 5, 5, 5, 12, 5, 5)
_HEAD = (
    *("session", "first", "frames", "frames/s", "model", "in time", "stalled"),
    *("apart, ms: p50", "p95", "p99", "most", "key, ms: p50", "p95", "most"),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """How a time spreads, in ms."""

    median: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """What arrived in one session, or in all together. A number is None if nothing was measured."""

    frames: int
    ended: str | None = None  # why, in one sentence, if it did not walk to the end
    queued_s: float | None = None  # until the walk was opened, if it was queued
    first_frame_s: float | None = None  # from asking for the walk
    frames_per_s: float | None = None
    model_frames_per_s: float | None = None  # by the times that the server tells
    interval_ms: Spread | None = None  # between frames that follow each other
    in_time: float | None = None  # share of frames that came before the frame before them had been shown
    stalled_s: float = 0.0  # in which there was no frame to show
    key_to_fragment_ms: Spread | None = None


def describe(visit: Visit, ended: str | None) -> Delivery:
    """Describe one session. Args: ended: why it ended early."""
    arrivals_s = visit.arrivals_s
    opened_s = visit.opened_s if visit.queued else None
    return Delivery(
        frames=len(arrivals_s),
        ended=ended,
        queued_s=None if opened_s is None else opened_s - visit.began_s,
        first_frame_s=arrivals_s[0] - visit.began_s if arrivals_s else None,
        frames_per_s=_find_rate(visit.chunks),
        model_frames_per_s=_find_model_rate(visit.chunks),
        interval_ms=_spread(_find_intervals(visit)),
        in_time=_find_share_in_time([visit]),
        stalled_s=visit.player.stalled_s,
        key_to_fragment_ms=_spread(visit.latencies_ms),
    )


def describe_all(visits: Sequence[Visit]) -> Delivery:
    """Describe all sessions together. The rate counts from the first frame of any to the last one of all."""
    first = [visit.arrivals_s[0] - visit.began_s for visit in visits if visit.arrivals_s]
    arrivals_s = sorted(each for visit in visits for each in visit.arrivals_s)
    span_s = arrivals_s[-1] - arrivals_s[0] if arrivals_s else 0.0
    return Delivery(
        frames=len(arrivals_s),
        first_frame_s=statistics.median(first) if first else None,
        frames_per_s=(len(arrivals_s) - 1) / span_s if span_s else None,
        model_frames_per_s=_find_model_rate([chunk for visit in visits for chunk in visit.chunks]),
        interval_ms=_spread([each for visit in visits for each in _find_intervals(visit)]),
        in_time=_find_share_in_time(visits),
        stalled_s=sum(visit.player.stalled_s for visit in visits),
        key_to_fragment_ms=_spread([each for visit in visits for each in visit.latencies_ms]),
    )


def _find_rate(chunks: Sequence[Announced]) -> float | None:
    """Count frames a second from the first chunk's first frame to the last one's, so bursts do not matter."""
    if len(chunks) < 2:
        return None
    frames = chunks[-1].chunk.first_frame - chunks[0].chunk.first_frame
    return frames / (chunks[-1].first_at_s - chunks[0].first_at_s)


def _find_model_rate(chunks: Sequence[Announced]) -> float | None:
    """Count frames a second of the model's work on chunks that came completely."""
    whole = [each for each in chunks if len(each.media) == each.chunk.frames and each.model_ms > 0]
    if not whole:
        return None
    return 1000.0 * sum(len(each.media) for each in whole) / sum(each.model_ms for each in whole)


def _find_intervals(visit: Visit) -> list[float]:
    return [1000.0 * (after - before) for before, after in pairwise(visit.arrivals_s)]


def _find_share_in_time(visits: Sequence[Visit]) -> float | None:
    frames = sum(len(visit.arrivals_s) for visit in visits)
    return 1.0 - sum(visit.player.num_late for visit in visits) / frames if frames else None


def _spread(values_ms: Sequence[float]) -> Spread | None:
    if not values_ms:
        return None
    if len(values_ms) == 1:
        return Spread(*[values_ms[0]] * 4)
    ranks = statistics.quantiles(values_ms, n=100, method="inclusive")
    return Spread(ranks[49], ranks[94], ranks[98], max(values_ms))


def render(sessions: Sequence[Delivery], together: Delivery) -> str:
    """Format the table for people, then a sentence about each session that ended early or was queued."""
    lines = [_align(_HEAD)]
    lines += [_render_row(str(number), each) for number, each in enumerate(sessions, 1)]
    if len(sessions) > 1:
        lines.append(_render_row("all", together))
    for number, each in enumerate(sessions, 1):
        if each.queued_s is not None:
            lines.append(f"session {number} waited {each.queued_s:.1f} s until its walk was opened")
        if each.ended is not None:
            lines.append(f"session {number} ended after {each.frames} frames: {each.ended}")
    return "\n".join(lines) + "\n"


def _render_row(name: str, row: Delivery) -> str:
    percent = None if row.in_time is None else 100 * row.in_time
    apart, key = _list_ms(row.interval_ms), _list_ms(row.key_to_fragment_ms)
    del key[2]  # there are too few key presses for a 99th percentile
    return _align(
        [
            name,
            _cell(row.first_frame_s, 2, " s"),
            str(row.frames),
            _cell(row.frames_per_s, 1),
            _cell(row.model_frames_per_s, 1),
            _cell(percent, 1, " %"),
            _cell(row.stalled_s, 1, " s"),
            *apart,
            *key,
        ]
    )


def _list_ms(spread: Spread | None) -> list[str]:
    if spread is None:
        return ["-"] * 4
    return [_cell(value, 0) for value in (spread.median, spread.p95, spread.p99, spread.most)]


def _align(cells: Sequence[str]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


def _cell(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"
