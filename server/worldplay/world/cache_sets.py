"""Chooses the caches of a chunk: with a set for every walk, walks that take turns keep their context."""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import ref

from worldplay.model.kv_cache import KVCache
from worldplay.world.kept_rollout import ChunkContext
from worldplay.world.walk import Walk


@dataclass(frozen=True, slots=True)
class Holds:
    """What a cache holds beside its text: the context of a chunk."""

    walk: ref[Walk]
    context: list[object]  # identities of the latents, from LatentHistory.identify
    read_back: ref[ChunkContext] | None  # where some of the context came from; None: all of it was encoded
    used_at: float  # perf_counter

    def is_for(self, context: list[object], read_back: ChunkContext | None) -> bool:
        """Return whether the cache holds this context, made in this way."""
        source = None if self.read_back is None else self.read_back()
        return self.context == context and source is read_back


def choose_caches(sets: Sequence[list[KVCache]], walk: Walk) -> list[KVCache]:
    """Choose the walk's own set, or else one that no walk uses any more, or else the one used longest ago."""
    return min(sets, key=lambda caches: _rank(caches[-1].holds, walk))


def _rank(holds: object, walk: Walk) -> tuple[int, float]:
    user = holds.walk() if isinstance(holds, Holds) else None
    if user is walk:
        return 0, 0.0
    return (1, 0.0) if user is None or not isinstance(holds, Holds) else (2, holds.used_at)
