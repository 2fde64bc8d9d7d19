"""Keys and values of context latents, kept before rotation, so that not all are encoded for every chunk.

The kept ones were computed for an earlier chunk, from its context. So results differ from those of encoding
all latents again: docs/performance.md has the error.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from worldplay.model.heads import KEY, VALUE, Heads, position_keys
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.prope import Cameras

if TYPE_CHECKING:  # it imports this module
    from worldplay.model.transformer import WorldPlayTransformer


@dataclass(eq=False)  # without slots, so that it can be referred to weakly
class KeptLatent:
    """A latent's keys and values, [blocks, 2, S*n, d], of this rank's heads; None until they are computed."""

    keys_values: Tensor | None = None

    @property
    def num_bytes(self) -> int:
        return 0 if self.keys_values is None else self.keys_values.nbytes


class KeptLatents:
    """What is kept of a walk in one guidance branch."""

    def __init__(self, most: int) -> None:
        """Args: most: latents kept; those that have not been in a context for the longest time go first."""
        self._most = most
        self._latents: OrderedDict[int, KeptLatent] = OrderedDict()
        self._text: TextKV | None = None
        self._newest = -1  # of all latents that the kept ones have seen

    @property
    def num_bytes(self) -> int:
        return sum(latent.num_bytes for latent in self._latents.values())

    def find(self, text: TextKV, latents: Iterable[int]) -> dict[int, KeptLatent]:
        """Return those of the latents that are kept; none if they have seen another text."""
        if text is not self._text:
            return {}
        return {index: self._latents[index] for index in latents if index in self._latents}

    def prepare_for(self, text: TextKV) -> None:
        """Forget what has seen another text than the next chunk will: no later chunk can use it."""
        if text is not self._text:
            self.forget()
            self._text = text

    def keep(self, text: TextKV, context: Mapping[int, KeptLatent]) -> None:
        """Keep the latents of a finished chunk's context."""
        self.prepare_for(text)
        for index, kept in context.items():
            self._latents[index] = kept
            self._latents.move_to_end(index)
            self._newest = max(self._newest, index)
        while len(self._latents) > self._most:
            self._latents.popitem(last=False)

    def truncate(self, num_latents: int) -> None:
        """Forget everything if any of it has seen a latent from `num_latents` on."""
        if self._newest >= num_latents:
            self.forget()

    def forget(self) -> None:
        self._latents.clear()
        self._text = None
        self._newest = -1


class CapturingCache:
    """A cache for one context pass, which also copies the latents' own keys and values before rotation."""

    def __init__(self, cache: KVCache, num_latents: int, num_blocks: int) -> None:
        self._cache = cache
        self._count, self._blocks = num_latents, num_blocks
        self.latents: list[Tensor] = []  # [blocks, 2, S*n, d] each

    @property
    def num_context(self) -> int:
        return self._cache.num_context

    def extend(self, block: int, own: Heads) -> tuple[Tensor, Tensor, Tensor]:
        keys, values = own.normal[:, :, KEY], own.raw[:, :, VALUE]
        if not self.latents:  # a tensor each, so that each can be released
            self.latents = [keys.new_empty(self._blocks, 2, *keys.shape[1:]) for _ in range(self._count)]
        for latent, key, value in zip(self.latents, keys, values, strict=True):
            latent[block, 0].copy_(key)
            latent[block, 1].copy_(value)
        return self._cache.extend(block, own)

    def commit_context(self, num_latents: int) -> None:
        self._cache.commit_context(num_latents)


def encode_between(
    model: WorldPlayTransformer,
    latents: Tensor,
    cond: Tensor,
    cameras: Cameras,
    actions: Tensor,
    cache: KVCache,
    timestep: float,
    positions: list[int],
    kept: Sequence[KeptLatent],
) -> None:
    """Append latents with these time positions, perhaps between those of others in the cache.

    Args:
        latents, cond, cameras, actions: as in `denoise`.
        kept: takes what can be restored later, for each latent.
    """
    inputs = latents, cond, cameras, actions
    with model.ranks.together("encode_between", *inputs, cache, timestep, positions, kept):
        capturing = CapturingCache(cache, len(kept), len(model.blocks))
        model.encode_at(offsets_of(positions, model.device), *inputs, capturing, timestep)
        for each, keys_values in zip(kept, capturing.latents, strict=True):
            each.keys_values = keys_values


def restore_context(
    model: WorldPlayTransformer,
    kept: Sequence[KeptLatent],
    shape: tuple[int, int, int],
    cameras: Cameras,
    cache: KVCache,
    positions: list[int],
) -> None:
    """Append latents that were kept to a cache's context, with these time positions.

    Args: shape: of the latents, T, h, w.
    """
    with model.ranks.together("restore_context", kept, shape, cameras, cache, positions):
        token_positions = model.positions_of(cameras, shape, offsets_of(positions, model.device))
        for index, block in enumerate(model.blocks):
            keys, values = torch.stack([_of_block(latent, index) for latent in kept], dim=1)
            cache.append_positioned(index, *position_keys(keys, values, block.norms(), token_positions))
        cache.commit_context(cache.num_context + len(kept))


def _of_block(latent: KeptLatent, index: int) -> Tensor:
    assert latent.keys_values is not None, "a latent was restored before it was encoded"
    return latent.keys_values[index]


def offsets_of(positions: list[int], device: torch.device) -> Tensor:
    """Return how far time positions are from those of latents that begin at 0 and follow each other: [T]."""
    wanted = torch.tensor(positions)
    return (wanted - torch.arange(len(positions))).to(device)
