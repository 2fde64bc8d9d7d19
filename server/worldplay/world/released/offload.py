"""Moves the parts of a model that cannot stay on the GPU."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from worldplay.world.released.offload_plan import OffloadMode


class Offloaded:
    """The tensors of one part. They are loaded to where they wait, and never change their values."""

    def __init__(self, tensors: Iterable[Tensor], device: torch.device, mode: OffloadMode) -> None:
        self._tensors = list(tensors)
        self._device = device
        self._mode = mode

    @contextmanager
    def in_use(self) -> Iterator[torch.device]:
        """Make the part usable while this context is open. Yields: the device that it computes on."""
        if self._mode is OffloadMode.ON_CPU:
            yield torch.device("cpu")
        elif self._mode is OffloadMode.ON_DEVICE:
            yield self._device
        else:
            waiting = [tensor.data for tensor in self._tensors]
            try:
                for tensor in self._tensors:
                    tensor.data = tensor.data.to(self._device)
                yield self._device
            finally:
                for tensor, data in zip(self._tensors, waiting, strict=True):
                    tensor.data = data  # nothing is copied back
