"""Stores trained weights in 8 bits, as CompactWeights reads them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from worldplay.world.embedded.compact_weights import SCALE

_LARGEST = 127


def compact(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round matrices and kernels to 8 bits by row, and everything else to bf16."""
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.dim() < 2:
            stored[name] = weight.bfloat16().contiguous()
            continue
        rows = weight.float().flatten(1)
        scales = rows.abs().amax(dim=1).clamp(min=1e-12) / _LARGEST
        stored[name] = (rows / scales[:, None]).round().to(torch.int8).view_as(weight).contiguous()
        stored[name + SCALE] = scales
    return stored
