"""Muon, an optimizer for weight matrices, on float32 master weights; the ranks share its work."""

from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

from worldplay.world.device import choose_dtype

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration of Keller Jordan's Muon
_ITERATIONS = 5
_MOMENTUM = 0.95
_RMS = 0.2  # of Muon's update before the rate, so that one rate serves both optimizers (arXiv 2502.16982)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Bring the singular values of [n, rows, columns] near 1, in bf16 where the hardware multiplies it."""
    a, b, c = _COEFFICIENTS
    x = matrices.to(choose_dtype(matrices.device))
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


# torch.optim.Muon refuses convolutions, takes matrices one by one instead of those of a shape together,
# computes in bf16 even where a CPU only emulates it, and does all of the work on every rank.
class Muon:
    """Momentum, orthogonalised; matrices of one shape go through together."""

    def __init__(self, params: Iterable[Tensor], weight_decay: float) -> None:
        self._by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for param in params:
            self._by_shape[param.shape].append(param)
        self._buffers = {shape: [torch.zeros_like(p) for p in ps] for shape, ps in self._by_shape.items()}
        self._weight_decay = weight_decay

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update every parameter from its gradient."""
        stacks = [
            torch.stack([_momentum(p, b) for p, b in zip(params, self._buffers[shape], strict=True)])
            for shape, params in self._by_shape.items()
        ]
        for params, updates in zip(self._by_shape.values(), _share_work(stacks), strict=True):
            scale = _RMS * max(updates.shape[1:]) ** 0.5
            for param, update in zip(params, updates, strict=True):
                param.mul_(1 - rate * self._weight_decay).add_(update.view_as(param), alpha=-rate * scale)

    def state(self) -> list[Tensor]:
        """The momentum buffers, in a fixed order; to resume, copy into them."""
        return [buffer for buffers in self._buffers.values() for buffer in buffers]


def _momentum(param: Tensor, buffer: Tensor) -> Tensor:
    """The gradient with Nesterov momentum, [rows, columns]; convolutions are flattened."""
    assert param.grad is not None
    buffer.lerp_(param.grad, 1 - _MOMENTUM)
    return param.grad.lerp(buffer, _MOMENTUM).flatten(1)


def _share_work(stacks: list[Tensor]) -> list[Tensor]:
    """Orthogonalise stacks [n, rows, columns]. Each rank does a share; one all-reduce joins the results."""
    if not stacks or not dist.is_initialized() or dist.get_world_size() == 1:
        return [orthogonalize(stack).float() for stack in stacks]
    rank, size = dist.get_rank(), dist.get_world_size()
    results = [torch.zeros_like(stack) for stack in stacks]
    for number, (stack, result) in enumerate(zip(stacks, results, strict=True)):
        mine = slice((rank + number) % size, None, size)
        if len(stack[mine]):
            result[mine] = orthogonalize(stack[mine]).float()
    flat = torch.cat([result.flatten() for result in results])
    dist.all_reduce(flat)
    pieces = torch.split(flat, [stack.numel() for stack in stacks])
    return [piece.view_as(stack) for piece, stack in zip(pieces, stacks, strict=True)]
