"""What rank 0 tells the other ranks to do. Tensors are only described; their content is broadcast."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE

Modules = Sequence[WorldPlayTransformer | StreamingVAE]
MakeModules = Callable[[torch.device], Modules]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that is broadcast."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def describe(tensor: Tensor) -> TensorSpec:
    return TensorSpec(tuple(tensor.shape), tensor.dtype)


@dataclass(frozen=True, slots=True)
class CamerasSpec:
    """Cameras: their three tensors are broadcast; None: the same cameras as before."""

    parts: tuple[TensorSpec, ...] | None


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """A cache, and what it must hold when the call begins."""

    number: int
    text: int | None  # its number; None: what it has
    num_context: int


@dataclass(frozen=True, slots=True)
class StateSpec:
    """A decoder's state; it is new if its number is."""

    number: int


@dataclass(frozen=True, slots=True)
class KeptSpec:
    """Latents that are kept, by their numbers. What has a new number is computed by the call."""

    numbers: list[int]


@dataclass(frozen=True, slots=True)
class Load:
    """Make the networks, and forget all others."""

    make: MakeModules


@dataclass(frozen=True, slots=True)
class Call:
    """Call a method of the transformer or the autoencoder."""

    name: str
    arguments: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class MakeCache:
    """Make a cache under a number. The arguments are those of `new_cache`."""

    number: int
    arguments: tuple[tuple[int, int], int, int, bool]


@dataclass(frozen=True, slots=True)
class TakeText:
    """Take this rank's heads of a text: each block's keys and values, which are broadcast."""

    number: int
    blocks: int
    keys_values: TensorSpec  # of a block: [2, B, n, L, d]


@dataclass(frozen=True, slots=True)
class Forget:
    """Release what rank 0 has released."""

    numbers: list[int]


Order = Load | Call | MakeCache | TakeText | Forget
