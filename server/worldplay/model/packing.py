"""Joins weights that are multiplied with the same input, so that one product computes several layers.

The published parameters stay as they are while a model is trained or checked: they are joined at each use,
with gradients. `WorldPlayTransformer.pack` joins them once, for serving.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from worldplay.model.eight_bit_linears import RoundedLinear, Weight


class Projections(NamedTuple):
    """The weights around a block's attention, of n heads of size d."""

    heads: Weight  # [n * 3 * d, H]: each head's key, query and value
    heads_bias: Tensor
    norms: Tensor  # [2, d], of keys and queries
    output: Weight  # [H, n * 2 * d]: of each head's rope and prope branch
    output_bias: Tensor


def join_heads(parts: list[Tensor], num_heads: int) -> Tensor:
    """Join rows of layers, [n * d, ...] each, head by head."""
    return torch.stack([part.unflatten(0, (num_heads, -1)) for part in parts], dim=1).flatten(0, 2)


def join_branches(rope: Tensor, prope: Tensor, num_heads: int) -> Tensor:
    """Join the columns of both branches' output layers, [H, n * d] each, head by head."""
    return torch.stack([part.unflatten(1, (num_heads, -1)) for part in (rope, prope)], dim=2).flatten(1)


def inputs_first(weight: Tensor) -> Tensor:
    """Store a weight, [N, K], as [K, N] if it is multiplied in float32 on a CPU.

    Products of few rows are then up to twice as fast. Returns: [N, K], a view of it.
    """
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return weight
    return weight.t().contiguous().t()


def lay_inputs_first(network: nn.Module) -> None:
    """Store the weights of a network's linear layers as `inputs_first` does."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = inputs_first(layer.weight.data)


class PackedProjections(nn.Module):
    """Projections that were joined once."""

    def __init__(self, weights: Projections) -> None:
        super().__init__()
        for name, weight in weights._asdict().items():
            stored = inputs_first(weight) if name in ("heads", "output") else weight
            self.register_buffer(name, stored.detach(), persistent=False)

    def forward(self) -> Projections:
        # Every block does this in every pass; `get_buffer` would take 5 µs for each.
        return Projections(*cast("Iterable[Tensor]", self._buffers.values()))


class RoundedProjections(nn.Module):
    """Projections that were joined once and rounded to 8 bits."""

    def __init__(self, packed: PackedProjections) -> None:
        super().__init__()
        self.heads = RoundedLinear(packed.get_buffer("heads"), packed.get_buffer("heads_bias"))
        self.output = RoundedLinear(packed.get_buffer("output"), packed.get_buffer("output_bias"))
        self.register_buffer("norms", packed.get_buffer("norms"), persistent=False)

    def forward(self) -> Projections:
        heads, output = self.heads, self.output
        biases = heads.get_buffer("bias"), output.get_buffer("bias")
        return Projections(heads.weight, biases[0], self.get_buffer("norms"), output.weight, biases[1])
