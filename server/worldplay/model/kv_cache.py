"""Keys and values that a chunk's image tokens attend to: text, context latents, and the chunk itself."""

import mmap
from collections.abc import Hashable
from dataclasses import dataclass
from math import prod
from typing import Protocol
from weakref import ref

import torch
from torch import Tensor

from worldplay.model.eight_bit_attention import RoundedTokens, round_tokens
from worldplay.model.heads import Heads


@dataclass(frozen=True)  # without slots, so that it can be referred to weakly
class TextKV:
    """The text stream's keys and values, one [B, n, L_txt, d] per block; both branches share them."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def length(self) -> int:
        return self.keys[0].shape[2]


class BlockCache(Protocol):
    """What a block needs of a cache."""

    def extend(self, block: int, own: Heads) -> tuple[Tensor, Tensor, Tensor]:
        """Append a block's own keys and values.

        Returns: the own queries, and all keys and values that they attend to, [B, 2n, L, d]; both branches of
            a head are neighbours, rope first.
        """


class PassCache(BlockCache, Protocol):
    """What a pass over image tokens needs of a cache."""

    @property
    def num_context(self) -> int:
        """Context latents held; the pass's own latents take time positions from here on."""

    def commit_context(self, num_latents: int) -> None:
        """Make what the pass has just appended the context of later passes."""


class Cache(PassCache, Protocol):
    """A cache whose context can be replaced."""

    def clear_context(self) -> None:
        """Forget the context latents."""


class KVCache:
    """Static buffers for inference, batch 1: nothing is allocated or moved while a chunk is generated.

    Each block has a row of keys and one of values, [capacity, n, 2, d], laid out [text | context | own]: a
    pass writes its own tokens at the tail and attends to one slice.

    On a GPU every token's heads lie side by side, so that products write to where attention reads. A block's
    queries are written where the next block will write its own keys, so that one operation rotates keys and
    queries; the last row of keys is for the last block's queries. On a CPU every head's tokens lie side by
    side, because attention reads them faster (docs/performance.md), copying included.
    """

    def __init__(
        self,
        blocks: int,
        heads: int,
        head_dim: int,
        tokens_per_latent: int,
        max_text: int,
        max_latents: int,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tokens_first: bool,
    ) -> None:
        capacity = max_text + max_latents * tokens_per_latent
        self._tokens_first = tokens_first
        if tokens_first:
            shape = (capacity, heads, 2, head_dim)
            self._keys = torch.zeros(blocks + 1, *shape, device=device, dtype=dtype)
            self._values = torch.zeros(blocks, *shape, device=device, dtype=dtype)
        else:
            assert device.type == "cpu", device
            by_head = (blocks, heads, 2, capacity, head_dim)
            self._keys = _reserve(by_head, dtype).permute(0, 3, 1, 2, 4)
            self._values = _reserve(by_head, dtype).permute(0, 3, 1, 2, 4)
        self._tokens_per_latent = tokens_per_latent
        self._max_text = max_text
        self._text_length = 0
        self._num_context = 0
        self._latest_text: ref[TextKV] | None = None
        self._rounded: dict[int, RoundedTokens] = {}  # of each block, text and context
        self.holds: object = (
            None  # identifies the present contents; only the cache's users set and compare it
        )

    @property
    def num_context(self) -> int:
        return self._num_context

    @property
    def text(self) -> TextKV | None:
        """Return the text that the cache holds, if it still exists elsewhere."""
        return None if self._latest_text is None else self._latest_text()

    @property
    def recording_key(self) -> Hashable | None:
        """Identify the place of what passes read and write here; None if passes cannot be recorded."""
        places = self._keys.data_ptr(), self._values.data_ptr(), self._keys.shape
        return *places, self._text_length, self._num_context

    @property
    def num_bytes(self) -> int:
        """Return the bytes of all buffers."""
        return sum(buffer.nbytes for buffer in self._buffers())

    def set_text(self, text: TextKV) -> None:
        """Replace the text. This also clears the context, which attended to the old text.

        A text that the cache already holds is not copied again.

        Raises: ValueError if the text is longer than the cache allows.
        """
        if text.length > self._max_text:
            raise ValueError(f"expected at most {self._max_text} text tokens, got {text.length}")
        self.clear_context()
        if self.text is not text:
            self._latest_text = None  # in case storing fails
            self._store_text(text)
            self._text_length, self._latest_text = text.length, ref(text)

    def clear_context(self) -> None:
        self._rounded.clear()
        self._num_context = 0

    def truncate_context(self, num_latents: int) -> None:
        """Forget the context latents from `num_latents` on; the others did not attend to them."""
        assert num_latents <= self._num_context, f"{num_latents} of {self._num_context} context latents"
        if num_latents < self._num_context:
            self._rounded.clear()
        self._num_context = num_latents

    def commit_context(self, num_latents: int) -> None:
        self._rounded.clear()
        self._num_context = num_latents

    def round_before(self, block: int, keys: Tensor, values: Tensor) -> RoundedTokens:
        """Return a block's text and context in 8 bits. They are rounded once, until one of them changes.

        Args: keys, values: as `extend` returned them.
        """
        if block not in self._rounded:
            end = self._context_end
            self._rounded[block] = round_tokens(keys[:, :, :end], values[:, :, :end])
        return self._rounded[block]

    def extend(self, block: int, own: Heads) -> tuple[Tensor, Tensor, Tensor]:
        start, end = self._own_span(own)
        keys, values = self._keys[block, :end], self._values[block, :end]
        if self._tokens_first:
            own.write(self._keys[block : block + 2, start:end], values[start:])
            queries = heads_first(self._keys[block + 1, start:end])
        else:
            by_head = keys.new_empty(*keys.shape[1:3], end - start, keys.shape[3])
            own.write_apart(keys[start:], by_head.permute(2, 0, 1, 3), values[start:])
            queries = by_head.flatten(0, 1)[None]
        return queries, heads_first(keys), heads_first(values)

    def show_latest(self, num_latents: int) -> BlockCache:
        """Return this cache with only the text and the latest context latents: so many, or all."""
        shown = min(num_latents, self._num_context) * self._tokens_per_latent
        hidden = slice(self._text_length, self._context_end - shown)
        return _WithoutTokens(self, hidden)

    def append_positioned(self, block: int, keys: Tensor, values: Tensor) -> None:
        """Write a block's keys and values of further context latents, positioned: [T, S*n, 2d] each."""
        for buffer, part in ((self._keys[block], keys), (self._values[block], values)):
            tokens = part.unflatten(1, (self._tokens_per_latent, -1)).flatten(0, 1)  # [T*S, n, 2d]
            span = buffer[self._context_end : self._context_end + len(tokens)]
            span.copy_(tokens.unflatten(-1, (2, -1)))

    def make_inputs(self, num_latents: int) -> tuple[Tensor, Tensor, Tensor]:
        """Make random queries of latents, and keys and values of a full cache, to time attention.

        They lie as in use. The contents of the first block are lost.
        """
        keys, values = self._keys[0], self._values[0]
        self._latest_text, self.holds = None, None
        self._rounded.clear()
        queries = keys.new_empty(num_latents * self._tokens_per_latent, *keys.shape[1:])
        random = torch.Generator(keys.device).manual_seed(0)
        for part in (queries, keys, values):
            part.normal_(generator=random)
        return heads_first(queries), heads_first(keys), heads_first(values)

    def context(self, block: int) -> tuple[Tensor, Tensor]:
        """A block's context keys and values, views of [2, n, num_context * tokens, d] each, rope first."""
        part = slice(self._text_length, self._context_end)
        keys, values = self._keys[block, part], self._values[block, part]
        return keys.permute(2, 1, 0, 3), values.permute(2, 1, 0, 3)

    @property
    def _context_end(self) -> int:
        return self._text_length + self._num_context * self._tokens_per_latent

    def _own_span(self, own: Heads) -> tuple[int, int]:
        start = self._context_end
        end = start + own.num_tokens
        assert end <= self._keys.shape[1], f"{end} tokens in a cache of {self._keys.shape[1]}"
        return start, end

    def _store_text(self, text: TextKV) -> None:
        for block, (keys, values) in enumerate(zip(text.keys, text.values, strict=True)):
            self._store_text_of(block, keys, values)

    def _store_text_of(self, block: int, keys: Tensor, values: Tensor) -> None:
        """Write the text of a block, [1, n, L, d] each, for both branches."""
        for buffer, part in ((self._keys[block], keys), (self._values[block], values)):
            buffer[: part.shape[2]].copy_(part[0].transpose(0, 1)[:, :, None])

    def _buffers(self) -> list[Tensor]:
        return [self._keys, self._values]


class _WithoutTokens:
    """A cache some of whose tokens are not attended to."""

    def __init__(self, cache: KVCache, hidden: slice) -> None:
        self._cache = cache
        self._hidden = hidden

    def extend(self, block: int, own: Heads) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = self._cache.extend(block, own)
        return queries, self._leave_out(keys), self._leave_out(values)

    def _leave_out(self, tokens: Tensor) -> Tensor:
        return torch.cat([tokens[:, :, : self._hidden.start], tokens[:, :, self._hidden.stop :]], dim=2)


def _reserve(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Make a tensor on a CPU that takes memory once it is written to.

    The allocator would give it what loading has freed, which takes memory already.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, prod(shape) * dtype.itemsize, flags)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


def heads_first(tokens: Tensor) -> Tensor:
    """View tokens, [L, n, 2, d], as attention takes them: [1, 2n, L, d]."""
    return tokens.flatten(1, 2).transpose(0, 1)[None]
