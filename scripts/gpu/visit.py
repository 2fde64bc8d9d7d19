"""Describes a walk through a real server as a row of the report."""

import statistics
from collections.abc import Sequence

from gpu.setup import Row
from worldplay.client.delivery import describe, find_chunk_rate
from worldplay.client.visit import Visit


def describe_visit(visit: Visit, *, plays: bool) -> Row:
    """Summarise a walk; the rate is of the last half of the chunks, when the context is fullest."""
    row: Row = {"frames": len(visit.arrivals_s)}
    delivered = describe(visit, None)
    row |= {"first frame s": delivered.first_frame_s or 0.0}
    late = visit.chunks[len(visit.chunks) // 2 :]
    if (rate := find_chunk_rate(late)) is not None:
        row["frames/s"] = rate
    row |= {"presses": len(visit.latencies_ms), "worst ms": max(visit.latencies_ms, default=0.0)}
    row |= _medians("key to fragment ms", visit.latencies_ms)
    timings = [each.chunk.timings for each in late]
    row |= _medians("context ms", [each.context for each in timings])
    row |= _medians("denoise ms", [each.denoise for each in timings])
    media = [each for chunk in visit.chunks for each in chunk.media]
    row |= _medians("decode ms a latent", [each.decode for each in media if each.decode])
    return row | ({"stalled s": delivered.stalled_s} if plays else {})


def _medians(name: str, values: Sequence[float]) -> Row:
    return {name: statistics.median(values)} if values else {}
