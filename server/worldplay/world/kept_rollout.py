"""Decides which latents of a chunk's context are encoded, and which are read back from earlier chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worldplay.model.kept_context import KeptLatent, KeptLatents
from worldplay.model.kv_cache import KVCache, TextKV


@dataclass(frozen=True, slots=True)
class Keeping:
    """How context is kept."""

    newest: int  # this many of a context's latents are encoded for every chunk
    most: int  # latents kept of a walk between chunks; those that are missing are encoded


class Latents(Protocol):
    """Brings a walk's latents, by their indices, to time positions in a cache."""

    def encode(
        self, indices: list[int], positions: list[int], kept: Sequence[KeptLatent], cache: KVCache
    ) -> None: ...

    def restore(
        self, indices: list[int], positions: list[int], kept: Sequence[KeptLatent], cache: KVCache
    ) -> None: ...


class ChunkContext:
    """The context of one chunk in one guidance branch.

    Nothing is kept for later chunks before this one is finished. What was encoded for this chunk is not
    encoded again for it. So the result does not depend on predicted poses, or on what else uses the cache.
    """

    def __init__(self, newest: int, kept: KeptLatents, text: TextKV) -> None:
        self._newest = newest
        self._kept = kept
        self._text = text
        self._context: list[int] | None = None
        self._held: dict[int, KeptLatent] = {}

    def fill(self, latents: Latents, context: list[int], cache: KVCache) -> None:
        """Bring a context into a cache that holds only the text, always in the same order."""
        if context != self._context:
            self._context, self._held = context, self._kept.find(self._text, context[: -self._newest])
        back = list(self._held)  # what was encoded for this chunk comes last, as when it was encoded
        new = [index for index in context if index not in self._held]
        if back:
            held = [self._held[index] for index in back]
            latents.restore(back, self._positions(back), held, cache)
        if new:
            encoded = [KeptLatent() for _ in new]
            latents.encode(new, self._positions(new), encoded, cache)
            self._held |= dict(zip(new, encoded, strict=True))

    def keep(self, *, is_of_use: bool = True) -> None:
        """Keep the context for later chunks. It is of use to them if they have the same text."""
        if is_of_use:
            self._kept.keep(self._text, self._held)
        else:
            self._kept.forget()

    def _positions(self, indices: list[int]) -> list[int]:
        assert self._context is not None
        return [self._context.index(index) for index in indices]


def make_chunk_contexts(
    keeping: Keeping, kept: list[KeptLatents], texts: Sequence[TextKV]
) -> list[ChunkContext]:
    """Make a chunk's context for each guidance branch. `kept` is the walk's, and is filled if it is empty."""
    if not kept:
        kept += [KeptLatents(keeping.most) for _ in texts]
    for latents, text in zip(kept, texts, strict=True):
        latents.prepare_for(text)
    return [ChunkContext(keeping.newest, latents, text) for latents, text in zip(kept, texts, strict=True)]
