"""The KV cache in half the memory: both branches are computed from one copy at each read."""

import torch
from torch import Tensor

from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.tokens import ImageKV, Placement


class UnrotatedKVCache(KVCache):
    """Stores keys and values before rotation and camera products, [1, latents, tokens, n, d] per block.

    Both are applied again at every read, into one buffer that the blocks share. The result is bit-identical,
    but every denoising step takes longer (docs/performance.md).
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
        super().__init__(1, heads, head_dim, tokens_per_latent, max_text, max_latents, device, dtype)
        shape = (1, max_latents, tokens_per_latent, heads, head_dim)
        self._unrotated_keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(blocks)]
        self._unrotated_values = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(blocks)]
        self._text = TextKV([], [])
        self._context_place: Placement | None = None
        self._latest_place: Placement | None = None

    def set_text(self, text: TextKV) -> None:
        super().set_text(TextKV(text.keys[:1], text.values[:1]))
        self._text = text

    def truncate_context(self, num_latents: int) -> None:
        super().truncate_context(num_latents)
        if self._context_place is not None:
            self._context_place = self._context_place.first(num_latents)

    def commit_context(self, num_latents: int) -> None:
        before, latest = self._context_place, self._latest_place
        if self.num_context and before is not None and latest is not None:
            latest = before.followed_by(latest)
        super().commit_context(num_latents)
        self._context_place = latest

    def extend(self, block: int, own: ImageKV) -> tuple[Tensor, Tensor]:
        start, count = self.num_context, own.keys.shape[1]
        self._unrotated_keys[block][:, start : start + count].copy_(own.keys)
        self._unrotated_values[block][:, start : start + count].copy_(own.values)
        self._latest_place = own.place
        self._restore(block)
        return super().extend(0, own)

    def context(self, block: int) -> tuple[Tensor, Tensor]:
        self._restore(block)
        return super().context(0)

    def _restore(self, block: int) -> None:
        """Write a block's text and context to the shared buffer, for both branches."""
        for buffer, part in ((self._keys[0], self._text.keys), (self._values[0], self._text.values)):
            buffer[:, :, : self._text_length].copy_(part[block])
        if self.num_context == 0:
            return
        assert self._context_place is not None
        held = slice(None, self.num_context)
        stored = self._unrotated_keys[block][:, held], self._unrotated_values[block][:, held]
        keys, values = ImageKV(*stored, self._context_place).branches()
        self._write(self._keys[0], self._text_length, keys)
        self._write(self._values[0], self._text_length, values)

    def _buffers(self) -> list[Tensor]:
        return [*super()._buffers(), *self._unrotated_keys, *self._unrotated_values]
