"""The parts of a block between attention and the products that write to the cache, as functions.

All blocks share them, so a compiler makes one graph of each for every shape, however many blocks there are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldplay.model.eight_bit_linears import RoundedMLP, linear
from worldplay.model.heads import VALUE, rotate, rotate_compiled, see_by_camera
from worldplay.model.packing import Projections

NORM_EPS = 1e-6


class Modulation(NamedTuple):
    """Shifts, factors and gates of one stream of a block; each broadcasts against the tokens."""

    shift1: Tensor
    factor1: Tensor
    gate1: Tensor
    shift2: Tensor
    factor2: Tensor
    gate2: Tensor


def split_modulation(parts: Tensor) -> Modulation:
    """Split a modulator's output, [..., 6 H]: the published weights give scales, factors are 1 more."""
    shifts_scales_gates = parts.unflatten(-1, (2, 3, 1, -1))
    factors = 1 + shifts_scales_gates[..., 1, :, :]
    (shift1, _, gate1), (shift2, _, gate2) = (half.unbind(-3) for half in shifts_scales_gates.unbind(-4))
    return Modulation(shift1, factors[..., 0, :, :], gate1, shift2, factors[..., 1, :, :], gate2)


class MLP(nn.Module):
    """The block's feed-forward part."""

    def __init__(self, hidden: int, mlp_hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, mlp_hidden)
        self.fc2 = nn.Linear(mlp_hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self._activate(x))

    def _activate(self, x: Tensor) -> Tensor:
        """Apply the first layer and GELU with the tanh approximation, on a GPU in one kernel."""
        if x.device.type != "cpu" and not torch.is_grad_enabled():  # a CPU would compute GELU by erf there
            rows = torch._addmm_activation(
                self.fc1.bias, x.flatten(0, -2), self.fc1.weight.t(), use_gelu=True
            )
            return rows.unflatten(0, x.shape[:-1])
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            return _gelu(self.fc1(x))
        return F.gelu(self.fc1(x), approximate="tanh")


def _gelu(x: Tensor) -> Tensor:
    """Compute GELU with the tanh approximation in float32.

    It equals x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x ** 3)). On a CPU that takes a third of the time
    of a tanh, in bf16 a half.
    """
    wide, factor = x.float(), 2 * sqrt(2 / pi)
    inner = (wide * wide).mul_(0.044715 * factor).add_(factor).mul_(wide)
    return inner.sigmoid_().mul_(wide).to(x.dtype)


def modulated_norm(x: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """Layer norm without parameters of its own, then x * factor + shift."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=NORM_EPS), factor)


def project_heads(x: Tensor, mod: Modulation, weights: Projections, num_heads: int) -> tuple[Tensor, Tensor]:
    """Compute `raw` and `normal` of Heads of image tokens, [B, T, S, H]."""
    y = linear(modulated_norm(x, mod.shift1, mod.factor1), weights.heads, weights.heads_bias)
    raw = y.flatten(0, 1).unflatten(-1, (num_heads, 3, -1)).flatten(1, 2)
    # A GPU's kernel would copy a part of them first; on a CPU the part is faster.
    normed = raw if raw.device.type != "cpu" else raw[:, :, :VALUE]
    return raw, F.rms_norm(normed, raw.shape[-1:], eps=NORM_EPS)


def update_tokens(
    x: Tensor,
    mod: Modulation,
    weights: Projections,
    attended: Tensor,
    cameras: Tensor,
    mlp: MLP | RoundedMLP,
) -> Tensor:
    """Compute DoubleStreamBlock.image_update."""
    heads = attended.transpose(1, 2).unflatten(2, (-1, 2)).flatten(3)  # [B, T*S, n, 2d]
    seen = see_by_camera(heads.reshape(len(cameras), -1, heads.shape[-1]), cameras)
    update = linear(seen.view(*x.shape[:-1], -1), weights.output, weights.output_bias)
    x = torch.addcmul(x, mod.gate1, update)
    return torch.addcmul(x, mod.gate2, mlp(modulated_norm(x, mod.shift2, mod.factor2)))


@dataclass(frozen=True, slots=True)
class Regions:
    """The functions that blocks call."""

    project: Callable[[Tensor, Modulation, Projections, int], tuple[Tensor, Tensor]]
    rotate: Callable[[Tensor, Tensor, Tensor, Tensor], None]
    update: Callable[[Tensor, Modulation, Projections, Tensor, Tensor, MLP | RoundedMLP], Tensor]


EAGER = Regions(project_heads, rotate, update_tokens)


def compile_regions(compiler: str | Callable[..., object]) -> Regions:
    """Compile the functions by a backend of torch.compile; graphs are made when a shape is first used."""

    def compiled(function: Callable[..., object]) -> Callable[..., object]:
        return torch.compile(function, fullgraph=True, dynamic=False, backend=compiler)

    functions = (project_heads, rotate_compiled, update_tokens)
    return Regions(*map(compiled, functions))  # type: ignore[arg-type]  # torch.compile keeps no signature
