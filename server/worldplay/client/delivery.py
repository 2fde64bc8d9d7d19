"""What a server delivered: one session's numbers, those of all sessions together, and a table of both."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from worldplay.client.visit import Announced, Visit

LEAST_S = 1.0  # a shorter time says nothing about a rate

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
    # Share of frames that came before the frame before them had been shown. Those that were due by the end
    # and never came count as well.
    in_time: float | None = None
    stalled_s: float = 0.0  # in which there was no frame to show
    key_to_fragment_ms: Spread | None = None
    unanswered: int = 0  # key presses that no chunk included


def describe(visit: Visit, ended: str | None) -> Delivery:
    """Describe one session. Args: ended: why it ended early."""
    arrivals_s = visit.arrivals_s
    return Delivery(
        frames=len(arrivals_s),
        ended=ended,
        queued_s=visit.queued_s,
        first_frame_s=arrivals_s[0] - visit.began_s if arrivals_s else None,
        frames_per_s=_find_rate(visit),
        model_frames_per_s=_find_model_rate(visit.chunks),
        interval_ms=_spread(_find_intervals(visit)),
        in_time=_find_share_in_time([visit]),
        stalled_s=visit.player.stalled_s,
        key_to_fragment_ms=_spread(visit.latencies_ms),
        unanswered=visit.num_unanswered,
    )


def describe_all(visits: Sequence[Visit]) -> Delivery:
    """Describe all sessions together. The rate counts from the first frame of any to the last one of all.

    If frames had stopped, it counts to the end.
    """
    first = [visit.arrivals_s[0] - visit.began_s for visit in visits if visit.arrivals_s]
    arrivals_s = sorted(each for visit in visits for each in visit.arrivals_s)
    ends_s = [visit.ended_s for visit in visits if visit.ended_s is not None and visit.arrivals_s]
    return Delivery(
        frames=len(arrivals_s),
        first_frame_s=statistics.median(first) if first else None,
        frames_per_s=_find_rate_of_all(arrivals_s, max(ends_s, default=None)),
        model_frames_per_s=_find_model_rate([chunk for visit in visits for chunk in visit.chunks]),
        interval_ms=_spread([each for visit in visits for each in _find_intervals(visit)]),
        in_time=_find_share_in_time(visits),
        stalled_s=sum(visit.player.stalled_s for visit in visits),
        key_to_fragment_ms=_spread([each for visit in visits for each in visit.latencies_ms]),
        unanswered=sum(visit.num_unanswered for visit in visits),
    )


def _find_rate(visit: Visit) -> float | None:
    """Count frames a second, from burst to burst; of what came until the end, if that is less."""
    rates = [find_chunk_rate(visit.chunks), _find_whole_rate(visit)]
    return min((rate for rate in rates if rate is not None), default=None)


def find_chunk_rate(chunks: Sequence[Announced]) -> float | None:
    """Count frames a second from the first chunk's first frame to the last one's, so bursts do not matter."""
    if len(chunks) < 2 or chunks[-1].first_at_s <= chunks[0].first_at_s:
        return None
    frames = sum(len(each.media) for each in chunks[:-1])
    return frames / (chunks[-1].first_at_s - chunks[0].first_at_s)


def _find_whole_rate(visit: Visit) -> float | None:
    """Count all frames from the first one to the end, when some may have been missing for long."""
    first_s = visit.arrivals_s[0] if visit.arrivals_s else None
    if first_s is None or visit.ended_s is None or visit.ended_s < first_s + LEAST_S:
        return None
    return len(visit.arrivals_s) / (visit.ended_s - first_s)


def _find_rate_of_all(arrivals_s: Sequence[float], ended_s: float | None) -> float | None:
    if len(arrivals_s) < 2 or arrivals_s[-1] <= arrivals_s[0]:
        return None
    rate = (len(arrivals_s) - 1) / (arrivals_s[-1] - arrivals_s[0])
    return rate if ended_s is None else min(rate, len(arrivals_s) / (ended_s - arrivals_s[0]))


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
    missing = sum(visit.player.num_missing for visit in visits)
    late = sum(visit.player.num_late for visit in visits)
    return (frames - late) / (frames + missing) if frames else None


def _spread(values_ms: Sequence[float]) -> Spread | None:
    if not values_ms:
        return None
    if len(values_ms) == 1:
        return Spread(*[values_ms[0]] * 4)
    ranks = statistics.quantiles(values_ms, n=100, method="inclusive")
    return Spread(ranks[49], ranks[94], ranks[98], max(values_ms))


def render(sessions: Sequence[Delivery], together: Delivery) -> str:
    """Format the table for people, then sentences about sessions: queued, ended early, not steered."""
    lines = [_align(_HEAD)]
    lines += [_render_row(str(number), each) for number, each in enumerate(sessions, 1)]
    if len(sessions) > 1:
        lines.append(_render_row("all", together))
    for number, each in enumerate(sessions, 1):
        if each.queued_s is not None:
            lines.append(f"session {number} waited {each.queued_s:.1f} s until its walk was opened")
        if each.ended is not None:
            lines.append(f"session {number} ended after {each.frames} frames: {each.ended}")
        elif each.unanswered and each.key_to_fragment_ms is None:
            lines.append(f"session {number}: no chunk included any of {each.unanswered} key presses")
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
