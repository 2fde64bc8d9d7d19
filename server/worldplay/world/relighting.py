"""After another prompt, shows the model the walk's first chunk in the new light.

A world whose prompt decides the light alone has the old light in its context, above all in the first latents,
which are always part of it. So the first chunk is generated again, as if the walk had begun with the new
prompt, and what lies between it and the change is forgotten. What is shown and saved stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from worldplay.world.rollout_config import RolloutConfig
from worldplay.world.walk import Walk


@dataclass(frozen=True, slots=True)
class Relit:
    """The first chunk in the light of a prompt."""

    latents: Tensor  # [1, C, n, h, w]
    prompt: str
    instead_of: Sequence[object]  # identities of the first chunk's latents, from LatentHistory.identify


class Relighting:
    """What a chunk sees of the walk before it, if the light has changed since the first chunk."""

    def __init__(self, config: RolloutConfig, walk: Walk) -> None:
        self._config = config
        self._walk = walk
        self._prompt = walk.log.prompt
        self._since = walk.log.light_since if config.relights else 0
        self.first_chunk = self._find()  # [1, C, n, h, w], instead of the walk's; None: the walk's

    @property
    def is_missing(self) -> bool:
        """Return whether the first chunk must be generated again."""
        return self._since > 0 and self.first_chunk is None

    def keep(self, latents: Tensor) -> None:
        """Keep the first chunk, [1, C, n, h, w], for this chunk and those that follow."""
        self.first_chunk = latents
        self._walk.relit = Relit(latents, self._prompt, self._first_latents())

    def _find(self) -> Tensor | None:
        """Return the first chunk as an earlier chunk with this prompt has kept it."""
        relit = self._walk.relit if self._since else None
        if relit is None or relit.prompt != self._prompt or relit.instead_of != self._first_latents():
            return None
        return relit.latents

    def remembered(self, start: int) -> Sequence[int]:
        """Return the latents from which the context of a chunk that begins at latent `start` is chosen.

        Right after the change the latest latents are among them, so that the light changes on the way.
        """
        if not self._since:
            return range(start)
        count = self._config.chunk_latents
        begin = max(count, min(self._since, start - self._config.recent_latents))
        return [*range(count), *range(begin, start)]

    def _first_latents(self) -> list[object]:
        return self._walk.latents.identify(range(self._config.chunk_latents))
