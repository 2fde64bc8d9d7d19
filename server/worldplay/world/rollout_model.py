"""What generating a chunk needs: the transformer, its caches, and the settings of the rollout."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldplay.model.kv_cache import KVCache
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.kept_rollout import Keeping
from worldplay.world.rollout_config import RolloutConfig


@dataclass(frozen=True, slots=True)
class RolloutModel:
    """What generating a chunk needs. The caches are scratch memory; a chunk fills them again if needed."""

    transformer: WorldPlayTransformer
    caches: list[KVCache]  # one per guidance branch, the prompt's own last; none if bidirectional
    points: NDArray[np.float32]  # [N, 3], sample points of the memory selection
    config: RolloutConfig
    keeping: Keeping | None = None  # None: the whole context is encoded for every chunk
    more_caches: tuple[list[KVCache], ...] = ()  # so that walks in turns each find what they encoded

    @property
    def cache_sets(self) -> tuple[list[KVCache], ...]:
        return self.caches, *self.more_caches

    def forget_contexts(self) -> None:
        """Let every context be encoded again, though the caches may hold it."""
        for caches in self.cache_sets:
            for cache in caches:
                cache.holds = None
