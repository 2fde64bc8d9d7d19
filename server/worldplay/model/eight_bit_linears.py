"""Linear layers in 8 bits: fp8 (e4m3) numbers, with a scale for each row of the input and of the weight.

On a GPU with units for it the product is `torch._scaled_mm`. Elsewhere the rounded numbers are multiplied in
float32, which has the same error, so that it can be measured on any machine. Rounding the input pays only if
it is joined with the operations before it, by torch.compile (docs/performance.md).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FP8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FP8).max
_LEAST_SCALE = 1e-12  # keeps a row of zeros finite


class RoundedWeight(NamedTuple):
    """A weight, [N, K], in 8 bits."""

    values: Tensor  # [N, K] fp8
    scales: Tensor  # [1, N] float32


Weight = Tensor | RoundedWeight


def round_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round rows, [R, K], to 8 bits. Returns: the numbers, and what each row is multiplied with, [R, 1]."""
    scales = x.abs().amax(dim=-1, keepdim=True).float().clamp_min(_LEAST_SCALE) / LARGEST
    return (x.float() / scales).clamp(-LARGEST, LARGEST).to(FP8), scales


def round_weight(weight: Tensor) -> RoundedWeight:
    values, scales = round_rows(weight)
    return RoundedWeight(values, scales.t())


def linear(x: Tensor, weight: Weight, bias: Tensor) -> Tensor:
    """Compute a linear layer of [..., K], in 8 bits if the weight is rounded."""
    if isinstance(weight, Tensor):
        return F.linear(x, weight, bias)
    values, scales = round_rows(x.flatten(0, -2))
    multiply = scaled_product if x.device.type == "cuda" else emulated_product
    return multiply(values, scales, weight, bias).to(x.dtype).unflatten(0, x.shape[:-1])


def scaled_product(values: Tensor, scales: Tensor, weight: RoundedWeight, bias: Tensor) -> Tensor:
    """Multiply on units for 8 bits: [R, K] by [N, K] to [R, N], in the dtype of the bias."""
    return torch._scaled_mm(
        values,
        weight.values.t(),
        scale_a=scales,
        scale_b=weight.scales,
        bias=bias,
        out_dtype=bias.dtype,
        use_fast_accum=True,
    )


def emulated_product(values: Tensor, scales: Tensor, weight: RoundedWeight, bias: Tensor) -> Tensor:
    """Multiply the same numbers in float32."""
    return values.float() @ weight.values.float().t() * scales * weight.scales + bias.float()


class RoundedLinear(nn.Module):
    """A linear layer whose weight was rounded once."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        rounded = round_weight(weight.detach())
        self.register_buffer("values", rounded.values, persistent=False)
        self.register_buffer("scales", rounded.scales, persistent=False)
        self.register_buffer("bias", bias.detach(), persistent=False)

    @property
    def weight(self) -> RoundedWeight:
        return RoundedWeight(self.get_buffer("values"), self.get_buffer("scales"))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.get_buffer("bias"))


class RoundedMLP(nn.Module):
    """The block's feed-forward part."""

    def __init__(self, fc1: nn.Linear, fc2: nn.Linear) -> None:
        super().__init__()
        self.fc1 = RoundedLinear(fc1.weight, fc1.bias)
        self.fc2 = RoundedLinear(fc2.weight, fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
