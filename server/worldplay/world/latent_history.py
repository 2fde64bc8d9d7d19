"""The latent frames of a walk, stored with little overhead."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from worldplay.world.rollout_config import LATENTS_ON_DEVICE

BLOCK = 64  # latent frames; one tensor for each would take 1.5 times the memory at the embedded size


class LatentHistory:
    """Latent frames in blocks that are filled one after the other; old blocks move to the host's memory."""

    def __init__(self) -> None:
        self._device: torch.device | None = None
        self._blocks: list[Tensor] = []  # [BLOCK, C, h, w] each
        self._marks: list[object] = []  # one for each frame, unlike that of any other frame

    def __len__(self) -> int:
        return len(self._marks)

    def append(self, latents: Tensor) -> None:
        """Add latents [1, C, n, h, w]."""
        self._device = latents.device
        rest = latents[0].transpose(0, 1)
        while len(rest):
            block, place = divmod(len(self), BLOCK)
            if block == len(self._blocks):
                self._blocks.append(rest.new_empty(BLOCK, *rest.shape[1:]))
                self._move_oldest()
            fitting, rest = rest[: BLOCK - place], rest[BLOCK - place :]
            self._blocks[block][place : place + len(fitting)] = fitting
            self._marks += [object() for _ in fitting]

    def gather(self, indices: Sequence[int]) -> Tensor:
        """Copy latent frames to the device: [1, C, len(indices), h, w]."""
        for index in indices:
            assert 0 <= index < len(self), f"latent frame {index} of {len(self)}"
        frames = (self._blocks[index // BLOCK][index % BLOCK] for index in indices)
        return torch.stack([frame.to(self._device) for frame in frames], dim=1)[None]

    def copy_from(self, first: int) -> Tensor:
        """Copy the latent frames from `first` on to the host: [n, C, h, w]. There must be one."""
        assert 0 <= first < len(self), f"latent frame {first} of {len(self)}"
        block, place = divmod(first, BLOCK)
        full = [each[: len(self) - number * BLOCK] for number, each in enumerate(self._blocks)]
        return torch.cat([full[block][place:].cpu(), *(each.cpu() for each in full[block + 1 :])])

    def identify(self, indices: Iterable[int]) -> list[object]:
        """Return what tells latent frames from all others, also from later ones at the same place."""
        return [self._marks[index] for index in indices]

    def truncate(self, length: int) -> None:
        """Forget all frames from `length` on."""
        del self._marks[length:]
        del self._blocks[-(-len(self) // BLOCK) :]

    def _move_oldest(self) -> None:
        """Move the block that is too many on the device, if any, to the host's memory."""
        oldest = len(self._blocks) - LATENTS_ON_DEVICE // BLOCK - 1
        if oldest >= 0:
            self._blocks[oldest] = self._blocks[oldest].cpu()
