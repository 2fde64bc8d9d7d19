"""Keeps the weights of linear layers in 8 bits, as they are stored: for layers that are seldom used."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from worldplay.world.embedded.compact_weights import CompactWeights, spread


class CompactLinear(nn.Module):
    """A linear layer whose weight is spread out at each use, to what it would be if it had been loaded so."""

    def __init__(self, values: Tensor, scales: Tensor, bias: Tensor) -> None:
        """Args: values: [N, K] int8; scales: [N], of the rows; bias: [N], in the dtype to compute in."""
        super().__init__()
        self._scales = scales  # no buffer: another dtype for the network must not round them
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.get_buffer("bias")
        return F.linear(x, spread(self.get_buffer("values"), self._scales).to(bias.dtype), bias)


def keep_compact(network: nn.Module, weights: CompactWeights, is_seldom_used: Callable[[str], bool]) -> None:
    """Replace loaded linear layers by those that keep their weights in 8 bits, if these are stored so.

    Args: is_seldom_used: of a layer's name.
    """
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    for name, layer in layers:
        if is_seldom_used(name) and (stored := weights.read_compact(f"{name}.weight")) is not None:
            parent, _, child = name.rpartition(".")
            values, scales = (part.clone() for part in stored)  # not the file's memory
            setattr(network.get_submodule(parent), child, CompactLinear(values, scales, layer.bias))
