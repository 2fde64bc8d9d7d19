"""Keys and values that a chunk's image tokens attend to: text, context latents, and the chunk itself."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from worldplay.model.tokens import Branches, ImageKV


@dataclass(frozen=True, slots=True)
class TextKV:
    """The text stream's keys and values, one [B, n, L_txt, d] per block; both branches share them."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def length(self) -> int:
        return self.keys[0].shape[2]


class Cache(Protocol):
    """What a pass over image tokens needs of a cache. Blocks call `extend`, the transformer the others."""

    @property
    def num_context(self) -> int:
        """Context latents held; the pass's own latents take time positions from here on."""

    def extend(self, block: int, own: ImageKV) -> tuple[Tensor, Tensor]:
        """Append a block's keys and values. Returns: all of the block's, [2B, n, L, d], rope first."""

    def clear_context(self) -> None:
        """Forget the context latents."""

    def commit_context(self, num_latents: int) -> None:
        """Make what the pass has just appended the context of later passes."""


class KVCache:
    """Static buffers for inference, batch 1: nothing is allocated or moved while a chunk is generated.

    Each block has one buffer of keys and one of values, [2, n, capacity, d], laid out
    [text | context | own chunk]: a pass writes at the tail and attends to one slice.
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
    ) -> None:
        shape = (2, heads, max_text + max_latents * tokens_per_latent, head_dim)
        self._keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(blocks)]
        self._values = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(blocks)]
        self._tokens_per_latent = tokens_per_latent
        self._max_text = max_text
        self._text_length = 0
        self._num_context = 0
        self.holds: object = (
            None  # identifies the present contents; only the cache's users set and compare it
        )

    @property
    def num_context(self) -> int:
        return self._num_context

    @property
    def num_bytes(self) -> int:
        """Return the bytes of all buffers."""
        return sum(buffer.nbytes for buffer in self._buffers())

    def set_text(self, text: TextKV) -> None:
        """Replace the text. This also clears the context, which attended to the old text.

        Raises: ValueError if the text is longer than the cache allows.
        """
        if text.length > self._max_text:
            raise ValueError(f"expected at most {self._max_text} text tokens, got {text.length}")
        self.clear_context()
        self._text_length = text.length
        for buffers, parts in ((self._keys, text.keys), (self._values, text.values)):
            for buffer, part in zip(buffers, parts, strict=True):
                buffer[:, :, : text.length].copy_(part)

    def clear_context(self) -> None:
        self._num_context = 0

    def truncate_context(self, num_latents: int) -> None:
        """Forget the context latents from `num_latents` on; the others did not attend to them."""
        assert num_latents <= self._num_context, f"{num_latents} of {self._num_context} context latents"
        self._num_context = num_latents

    def commit_context(self, num_latents: int) -> None:
        self._num_context = num_latents

    def extend(self, block: int, own: ImageKV) -> tuple[Tensor, Tensor]:
        keys, values = own.branches()
        return self._append(self._keys[block], keys), self._append(self._values[block], values)

    def context(self, block: int) -> tuple[Tensor, Tensor]:
        """A block's context keys and values, [2, n, num_context * tokens, d] each."""
        part = slice(self._text_length, self._context_end)
        return self._keys[block][:, :, part], self._values[block][:, :, part]

    @property
    def _context_end(self) -> int:
        return self._text_length + self._num_context * self._tokens_per_latent

    def _append(self, buffer: Tensor, branches: Branches) -> Tensor:
        return buffer[:, :, : self._write(buffer, self._context_end, branches)]

    def _write(self, buffer: Tensor, start: int, branches: Branches) -> int:
        """Put tokens into a buffer. Returns: where they end."""
        end = start + branches[0].shape[2]
        assert end <= buffer.shape[2], f"{end} tokens in a cache of {buffer.shape[2]}"
        for row, branch in zip(buffer, branches, strict=True):
            row[:, start:end].copy_(branch[0])
        return end

    def _buffers(self) -> list[Tensor]:
        return [*self._keys, *self._values]
