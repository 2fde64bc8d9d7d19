"""Which parts of a model stay on the GPU, and the moving of those that cannot."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

RESERVE = 1_000_000_000  # bytes of a GPU that libraries take and that fragments waste


class Residence(Enum):
    """Where a part lives that is needed only when a prompt or an image is new."""

    RESIDENT = "on the GPU"
    SWAPPED = "moved to the GPU while used"
    HOST = "computed on the CPU"


@dataclass(frozen=True, slots=True)
class Demand:
    """Bytes that a model needs on its device."""

    always: int  # image stream, autoencoder, sessions
    caches: int  # keys and values
    raw_caches: int  # the same, stored once for both branches
    working: int  # activations while a chunk is generated
    encoders: int  # language model, quoted words, picture
    text_stream: int  # the transformer's own, idle after the text pass


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the parts go, and the most bytes that are in use at once."""

    raw_caches: bool
    encoders: Residence
    text_stream: Residence
    peak: int
    fits: bool


# What costs least first: time at a new prompt, then seconds there, then time at every denoising step.
_CHOICES = [
    (raw_caches, encoders, text_stream)
    for raw_caches in (False, True)
    for encoders, text_stream in (
        (Residence.RESIDENT, Residence.RESIDENT),
        (Residence.SWAPPED, Residence.RESIDENT),
        (Residence.SWAPPED, Residence.SWAPPED),
        (Residence.HOST, Residence.RESIDENT),
        (Residence.HOST, Residence.SWAPPED),
    )
]


def plan_memory(demand: Demand, budget: int) -> Plan:
    """Keep as much on the device as fits into `budget` bytes; the last resort may not fit either."""
    plans = []
    for raw_caches, encoders, text_stream in _CHOICES:
        peak = _peak(demand, raw_caches, encoders, text_stream)
        plans.append(Plan(raw_caches, encoders, text_stream, peak, peak <= budget))
    return next((plan for plan in plans if plan.fits), plans[-1])


def count_waiting(plan: Plan, encoders: int, text_stream: int, widening: int) -> int:
    """Bytes of the host's memory that parts take which are not on the GPU at all times.

    Args:
        encoders, text_stream: their bytes on the GPU.
        widening: how many times wider a number is where the host computes with it.
    """
    waiting = text_stream if plan.text_stream is Residence.SWAPPED else 0
    if plan.encoders is Residence.SWAPPED:
        return waiting + encoders
    return waiting + (widening * encoders if plan.encoders is Residence.HOST else 0)


def _peak(demand: Demand, raw_caches: bool, encoders: Residence, text_stream: Residence) -> int:
    """Generating, encoding and the text pass never run at once, as one thread owns the model."""
    stay = demand.always + (demand.raw_caches if raw_caches else demand.caches)
    stay += demand.encoders if encoders is Residence.RESIDENT else 0
    stay += demand.text_stream if text_stream is Residence.RESIDENT else 0
    visitors = [
        demand.working,
        demand.encoders if encoders is Residence.SWAPPED else 0,
        demand.text_stream if text_stream is Residence.SWAPPED else 0,
    ]
    return stay + max(visitors)


class Lodging:
    """The tensors of one part. They are loaded where the plan wants them to wait, and never change."""

    def __init__(self, tensors: Iterable[Tensor], device: torch.device, placement: Residence) -> None:
        self._tensors = list(tensors)
        self._device = device
        self._placement = placement

    @contextmanager
    def in_use(self) -> Iterator[torch.device]:
        """Make the part usable; yields the device it computes on."""
        if self._placement is Residence.HOST:
            yield torch.device("cpu")
        elif self._placement is Residence.RESIDENT:
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
