"""Decides whether a chunk is cut, and when: only if the new latents are in time and nobody else is late."""

from dataclasses import dataclass
from typing import Literal

from worldplay.engine.pacing import Costs

Refusal = Literal["same", "late", "stall", "often"]


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut of the newest chunk: its latents from `kept` on are made again."""

    kept: int
    begin_by_ms: float  # so that they are in time, and nobody else is late
    time_ms: float  # until they are generated


@dataclass(frozen=True, slots=True)
class Cuttable:
    """The latents of the newest chunk that can still be made again."""

    first: int  # number in the chunk of the first latent that is not decoded
    num_latents: int  # of the whole chunk
    due_ms: list[float]  # of each latent from `first` on: when it must be generated, to be decoded in time
    is_cached: bool  # whether the caches still hold the chunk's context


def plan_cut(chunk: Cuttable, costs: Costs, others_begin_ms: float, now_ms: float) -> Cut | Refusal:
    """Choose the earliest latent from which a cut is in time.

    Args:
        others_begin_ms: when the next other work must begin.
    """
    for kept, due_ms in enumerate(chunk.due_ms, start=chunk.first):
        time_ms = costs.cut_ms(chunk.num_latents - kept, is_cached=chunk.is_cached)
        begin_by_ms = due_ms - time_ms
        if begin_by_ms >= now_ms:
            begin_by_ms = min(begin_by_ms, others_begin_ms - time_ms)
            return Cut(kept, begin_by_ms, time_ms) if begin_by_ms >= now_ms else "stall"
    return "late"
