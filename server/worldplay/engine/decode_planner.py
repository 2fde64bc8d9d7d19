"""Chooses whose next latent is decoded, and when: just in time, so that cuts can throw away the others."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from worldplay.engine.chunk_run import ChunkRun
from worldplay.engine.decode_queue import DecodeQueue
from worldplay.engine.pacing import Costs, LatchMode
from worldplay.engine.session import Session


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode this session's next latent, at the latest at a time."""

    session: Session
    begin_by_ms: float


class DecodePlanner:
    """Looks at the latents that are not decoded yet. With the decoder's lock."""

    def __init__(self, queues: Mapping[int, DecodeQueue], costs: Costs, latch: LatchMode) -> None:
        """`queues`: by session; they come and go."""
        self._queues = queues
        self._costs = costs
        self._latch = latch

    def next(self, now_ms: float) -> Decode | None:
        """Return the session whose next latent must be decoded first, and when, so that all are in time."""
        waiting = [
            (self._due_ms(queue.session, now_ms), queue.session)
            for queue in self._queues.values()
            if queue and not queue.is_in_hand and not queue.session.is_away and not queue.session.lacks_slot
        ]
        if not waiting:
            return None
        begin_by_ms = math.inf
        for due_ms, _ in sorted(waiting, key=lambda each: each[0], reverse=True):
            begin_by_ms = min(begin_by_ms, due_ms) - self._costs.decode_ms
        return Decode(min(waiting, key=lambda each: each[0])[1], begin_by_ms)

    def _due_ms(self, session: Session, now_ms: float) -> float:
        """Return when a session's next latent must be decoded: at once if it cannot be cut any more."""
        if self._latch == "chunk" or session.is_paused or session.is_held or session.is_rewinding:
            return now_ms
        return session.decode_due_ms(self._costs, now_ms)

    def is_making_again(self, session: Session, run: ChunkRun | None) -> bool:
        """Return whether a session's next latent to decode is among those that this run makes again."""
        if run is None or run.cut is None or run.session is not session:
            return False
        return self._queues[session.number].num_before(run.cut.kept) == 0
