"""What generating a chunk needs: the transformer, its caches, and the settings of the rollout."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.cache_sets import CacheSet
from worldplay.world.kept_rollout import Keeping
from worldplay.world.rollout_config import RolloutConfig


@dataclass(frozen=True, slots=True)
class RolloutModel:
    """What generating a chunk needs. The caches are scratch memory; a chunk fills them again if needed."""

    transformer: WorldPlayTransformer
    caches: CacheSet
    points: NDArray[np.float32]  # [N, 3], sample points of the memory selection
    config: RolloutConfig
    keeping: Keeping | None = None  # None: the whole context is encoded for every chunk
    more_caches: tuple[CacheSet, ...] = ()  # so that walks that take turns each find what they encoded

    def __post_init__(self) -> None:
        have_latest = [caches.latest is not None for caches in self.cache_sets]
        assert have_latest == [self.config.guides_by_history] * len(have_latest), (
            "caches for another guidance"
        )

    @property
    def cache_sets(self) -> tuple[CacheSet, ...]:
        return self.caches, *self.more_caches

    def forget_contexts(self) -> None:
        """Let every context be encoded again, though the caches may hold it."""
        for caches in self.cache_sets:
            for cache in caches.all:
                cache.holds = None
