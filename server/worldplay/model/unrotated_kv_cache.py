"""The KV cache in half the memory: both branches are computed from one copy at each read."""

import torch
from torch import Tensor

from worldplay.model.heads import KEY, VALUE, Heads, position_keys
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.token_positions import TokenPositions


class UnrotatedKVCache(KVCache):
    """Stores keys and values before rotation and camera products, [tokens, n, d] each per block.

    Both are applied again at every read, into one row of buffers that the blocks share. The result is
    bit-identical, but every denoising step takes longer (docs/performance.md).
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
        sizes = (1, heads, head_dim, tokens_per_latent, max_text, max_latents)
        super().__init__(*sizes, device, dtype, tokens_first=tokens_first)
        shape = (max_latents, tokens_per_latent * heads, head_dim)
        self._unrotated_keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(blocks)]
        self._unrotated_values = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(blocks)]
        self._norms = [torch.ones(2, head_dim, device=device, dtype=dtype) for _ in range(blocks)]
        self._text = TextKV([], [])
        self._context_positions: TokenPositions | None = None
        self._latest_positions: TokenPositions | None = None

    @property
    def recording_key(self) -> None:
        return None  # a pass leaves positions here, which a recording would not change

    def truncate_context(self, num_latents: int) -> None:
        super().truncate_context(num_latents)
        if self._context_positions is not None:
            self._context_positions = self._context_positions.first(num_latents)

    def commit_context(self, num_latents: int) -> None:
        before, latest = self._context_positions, self._latest_positions
        if self.num_context and before is not None and latest is not None:
            latest = before.followed_by(latest)
        super().commit_context(num_latents)
        self._context_positions = latest

    def extend(self, block: int, own: Heads) -> tuple[Tensor, Tensor, Tensor]:
        start, count = self.num_context, own.positions.num_latents
        self._unrotated_keys[block][start : start + count].copy_(own.normal[:, :, KEY])
        self._unrotated_values[block][start : start + count].copy_(own.raw[:, :, VALUE])
        self._latest_positions = own.positions
        self._norms[block] = own.norms
        self._restore(block)
        return super().extend(0, own)

    def context(self, block: int) -> tuple[Tensor, Tensor]:
        self._restore(block)
        return super().context(0)

    def _store_text(self, text: TextKV) -> None:
        self._text = text

    def _restore(self, block: int) -> None:
        """Write a block's text and context to the shared row, for both branches."""
        self._store_text_of(0, self._text.keys[block], self._text.values[block])
        if self.num_context == 0:
            return
        assert self._context_positions is not None
        keys, values = self._unrotated_keys[block], self._unrotated_values[block]
        held, span = slice(self.num_context), slice(self._text_length, self._context_end)
        positioned = position_keys(keys[held], values[held], self._norms[block], self._context_positions)
        for buffer, part in zip((self._keys, self._values), positioned, strict=True):
            buffer[0, span].copy_(part.view(buffer[0, span].shape))

    def _buffers(self) -> list[Tensor]:
        return [*super()._buffers(), *self._unrotated_keys, *self._unrotated_values]
