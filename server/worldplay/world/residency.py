"""Which parts of a model stay on the GPU, and the moving of those that cannot."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor


class Placement(Enum):
    """Where a part lives that is needed only when a prompt or an image is new."""

    RESIDENT = "on the GPU"
    SWAPPED = "moved to the GPU while used"
    HOST = "computed on the CPU"


@dataclass(frozen=True, slots=True)
class Demand:
    """Bytes that a model needs on its device."""

    always: int  # image stream, caches, autoencoder, one session
    working: int  # activations while a chunk is generated
    encoders: int  # language model, quoted words, picture
    text_stream: int  # the transformer's own, idle after the text pass


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the parts go, and the most bytes that are in use at once."""

    encoders: Placement
    text_stream: Placement
    peak: int
    fits: bool


# From the fastest prompt change to the slowest.
_CHOICES = (
    (Placement.RESIDENT, Placement.RESIDENT),
    (Placement.SWAPPED, Placement.RESIDENT),
    (Placement.SWAPPED, Placement.SWAPPED),
    (Placement.HOST, Placement.RESIDENT),
    (Placement.HOST, Placement.SWAPPED),
)


def plan_memory(demand: Demand, budget: int) -> Plan:
    """Keep as much on the device as fits into `budget` bytes; the last resort may not fit either."""
    plans = [
        Plan(encoders, text, peak, peak <= budget)
        for encoders, text in _CHOICES
        for peak in [_peak(demand, encoders, text)]
    ]
    return next((plan for plan in plans if plan.fits), plans[-1])


def _peak(demand: Demand, encoders: Placement, text: Placement) -> int:
    """Generating, encoding and the text pass never run at once, as one thread owns the model."""
    stay = demand.always
    stay += demand.encoders if encoders is Placement.RESIDENT else 0
    stay += demand.text_stream if text is Placement.RESIDENT else 0
    visitors = [
        demand.working,
        demand.encoders if encoders is Placement.SWAPPED else 0,
        demand.text_stream if text is Placement.SWAPPED else 0,
    ]
    return stay + max(visitors)


class Lodging:
    """The tensors of one part. They are loaded where the plan wants them to wait, and never change."""

    def __init__(self, tensors: Iterable[Tensor], device: torch.device, placement: Placement) -> None:
        self._tensors = list(tensors)
        self._device = device
        self._placement = placement

    @contextmanager
    def in_use(self) -> Iterator[torch.device]:
        """Make the part usable; yields the device it computes on."""
        if self._placement is Placement.HOST:
            yield torch.device("cpu")
        elif self._placement is Placement.RESIDENT:
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
