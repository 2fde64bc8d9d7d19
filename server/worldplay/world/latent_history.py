"""The latent frames of a walk, stored with little overhead."""

from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK = 64  # latent frames; one tensor for each would take 1.5 times the memory at the embedded size


class LatentHistory:
    """Latent frames in blocks that are filled one after the other."""

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []  # [BLOCK, C, h, w] each
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, latents: Tensor) -> None:
        """Add latents [1, C, n, h, w]."""
        for latent in latents[0].transpose(0, 1):
            block, place = divmod(self._length, BLOCK)
            if block == len(self._blocks):
                self._blocks.append(latent.new_empty(BLOCK, *latent.shape))
            self._blocks[block][place] = latent
            self._length += 1

    def gather(self, indices: Sequence[int]) -> Tensor:
        """Copy latent frames: [1, C, len(indices), h, w]."""
        for index in indices:
            assert 0 <= index < self._length, f"latent frame {index} of {self._length}"
        return torch.stack([self._blocks[index // BLOCK][index % BLOCK] for index in indices], dim=1)[None]

    def truncate(self, length: int) -> None:
        """Forget all frames from `length` on."""
        self._length = min(self._length, length)
        del self._blocks[-(-self._length // BLOCK) :]
