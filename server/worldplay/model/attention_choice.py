"""Chooses the attention backend: measures those that are installed, at the shapes in use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from worldplay.model.attention import MATMUL, SDPA, attend
from worldplay.wording import describe_error

QKV = tuple[Tensor, Tensor, Tensor]
Use = tuple[QKV, int]  # and how often a chunk attends to so much

LARGEST_ERROR = {torch.float32: 1e-3, torch.bfloat16: 1e-2, torch.float16: 2e-3}  # rms, relative
EIGHT_BIT_ERROR = 5e-2  # where 8-bit kernels are wanted; their arithmetic by itself has 4 % on random numbers
LEAST_GAIN = 0.1  # another backend than SDPA must be faster by this share, so that chance decides nothing
ROUNDS = 5
FAILURES = (Exception,)  # packages raise what they like; Triton's errors are no RuntimeErrors
_CHECKED_QUERIES, _CHECKED_HEADS = 64, 2  # the last ones; float32 scores of all would not fit on a GPU


@dataclass(frozen=True, slots=True)
class Measured:
    """What a backend takes in a chunk; or why it is not used."""

    backend: str
    ms: float = 0.0
    problem: str | None = None


def choose(measured: Sequence[Measured]) -> str:
    """Choose the fastest of the backends that work; SDPA if no other is clearly faster."""
    usable = {found.backend: found.ms for found in measured if found.problem is None}
    best = min(usable, key=lambda name: usable[name], default=SDPA)
    return best if SDPA not in usable or usable[best] < (1 - LEAST_GAIN) * usable[SDPA] else SDPA


def measure(
    backend: str, uses: Sequence[Use], wait: Callable[[], None], largest_error: float | None = None
) -> Measured:
    """Check a backend against float32 in each use, then time it.

    Args:
        wait: waits until the device is idle.
        largest_error: as in `find_problem`.
    """
    for shape, _ in uses:
        if problem := find_problem(backend, shape, largest_error):
            return Measured(backend, problem=problem)
    try:
        return Measured(backend, sum(times * _least_ms(backend, shape, wait) for shape, times in uses))
    except FAILURES as error:  # some need memory for all scores
        return Measured(backend, problem=describe_error(error))


def find_problem(backend: str, shape: QKV, largest_error: float | None = None) -> str | None:
    """Find out why a backend cannot be used here: it fails, or differs from float32 by too much.

    Args: largest_error: None: as for an exact backend.
    """
    try:
        got = attend(*shape, backend)[:, -_CHECKED_HEADS:, -_CHECKED_QUERIES:].float()
    except FAILURES as error:
        return describe_error(error)
    q, k, v = (x[:, -_CHECKED_HEADS:].float() for x in shape)
    expected = attend(q[:, :, -_CHECKED_QUERIES:], k, v, MATMUL)
    off = ((got - expected).norm() / expected.norm()).item()
    largest = largest_error or LARGEST_ERROR[shape[0].dtype]
    if not off <= largest:
        return f"differs from float32 by {100 * off:.2g} %, expected at most {100 * largest:.2g} %"
    return None


def _least_ms(backend: str, shape: QKV, wait: Callable[[], None]) -> float:
    """Time a backend. The least of some rounds, because what else runs on a machine only adds to them."""
    times = []
    for _ in range(1 + ROUNDS):
        wait()
        began = perf_counter()
        attend(*shape, backend)
        wait()
        times.append((perf_counter() - began) * 1000.0)
    return min(times[1:])
