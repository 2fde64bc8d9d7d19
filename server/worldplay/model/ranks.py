"""How one model is computed by several ranks. A rank is a process with a device; here it is alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING

from torch import Tensor

from worldplay.model.heads import Heads
from worldplay.model.kv_cache import KVCache, TextKV

if TYPE_CHECKING:  # it imports this module
    from worldplay.model.vae_stream import FeatureCache


class Ranks:
    """One rank alone, which has all tokens, heads and rows, and exchanges nothing.

    With several ranks, each has a part of every latent's tokens, and in attention some of the heads but all
    tokens. In the decoder it has some of the rows.
    """

    size = 1
    # Bytes of the other ranks' GPUs before anything is loaded, by rank; empty: not limited.
    free: Mapping[int, int] = MappingProxyType({})

    def count_heads(self, num_heads: int) -> int:
        """Return how many heads of keys and values this rank stores."""
        return num_heads

    def own_tokens(self, x: Tensor) -> Tensor:
        """Take this rank's part of tokens, [B, T, S, H]."""
        return x

    def all_tokens(self, x: Tensor, num_tokens: int) -> Tensor:
        """Collect the parts that `own_tokens` took: [B, T, S, H], with S = num_tokens."""
        return x

    def own_heads(self, own: Heads) -> Heads:
        """Exchange the own tokens with all heads for all tokens with the own heads."""
        return own

    def own_attended(self, attended: Tensor, num_latents: int, num_heads: int) -> Tensor:
        """Exchange back what all tokens see, [B, 2n, T*S, d]: of the own tokens with all heads."""
        return attended

    def has_rows(self, height: int) -> bool:
        """Return whether the ranks share the rows of a latent of this height."""
        return False

    def own_rows(self, x: Tensor) -> Tensor:
        """Take this rank's rows of [B, C, T, H, W]."""
        return x

    def exchange_edges(self, surrounded: Tensor) -> None:
        """Fill the first and last row of [B, C, T, 1 + H + 1, W] with the rows of the ranks beside this."""

    def all_rows(self, x: Tensor, height: int) -> Tensor:
        """Collect the rows, [B, C, T, H, W], on rank 0.

        Args: height: of the latent whose rows were taken.
        """
        return x

    def together(self, call: str, *arguments: object) -> AbstractContextManager[None]:
        """Let the other ranks do the same call of the transformer or the autoencoder meanwhile."""
        return nullcontext()

    def share_text(self, text: TextKV) -> TextKV:
        """Give every rank its heads of a text. Returns: this rank's."""
        return text

    def share_cache(self, cache: KVCache, arguments: tuple[tuple[int, int], int, int, bool]) -> KVCache:
        """Let the other ranks make a cache, too. Args: those of `new_cache`. Returns: the cache."""
        return cache

    def share_state(self, state: FeatureCache) -> FeatureCache:
        """Return a decoder's new state, which the other ranks know as well."""
        return state


ALONE = Ranks()
