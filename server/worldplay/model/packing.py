"""Joins weights that are multiplied with the same input, so that one product computes several layers.

The published parameters stay as they are while a model is trained or checked: they are joined at each use,
with gradients. `WorldPlayTransformer.pack` joins them once, for serving.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Projections(NamedTuple):
    """The weights around a block's attention, of n heads of size d."""

    heads: Tensor  # [n * 3 * d, H]: each head's key, query and value
    heads_bias: Tensor
    norms: Tensor  # [2, d], of keys and queries
    output: Tensor  # [H, n * 2 * d]: of each head's rope and prope branch
    output_bias: Tensor


def join_heads(parts: list[Tensor], num_heads: int) -> Tensor:
    """Join rows of layers, [n * d, ...] each, head by head."""
    return torch.stack([part.unflatten(0, (num_heads, -1)) for part in parts], dim=1).flatten(0, 2)


def join_branches(rope: Tensor, prope: Tensor, num_heads: int) -> Tensor:
    """Join the columns of both branches' output layers, [H, n * d] each, head by head."""
    return torch.stack([part.unflatten(1, (num_heads, -1)) for part in (rope, prope)], dim=2).flatten(1)


class PackedProjections(nn.Module):
    """Projections that were joined once."""

    def __init__(self, weights: Projections) -> None:
        super().__init__()
        for name, weight in weights._asdict().items():
            self.register_buffer(name, weight.detach(), persistent=False)

    def forward(self) -> Projections:
        return Projections(*(self.get_buffer(name) for name in Projections._fields))


class PackedModulators(nn.Module):
    """The modulators of all blocks in one product: [..., H] to [..., blocks, 6 H]."""

    def __init__(self, linears: list[nn.Linear]) -> None:
        super().__init__()
        self.count = len(linears)
        self.register_buffer(
            "weight", torch.cat([linear.weight.detach() for linear in linears]), persistent=False
        )
        self.register_buffer(
            "bias", torch.cat([linear.bias.detach() for linear in linears]), persistent=False
        )

    def forward(self, vec: Tensor) -> Tensor:
        parts = nn.functional.linear(vec, self.get_buffer("weight"), self.get_buffer("bias"))
        return parts.unflatten(-1, (self.count, -1))
