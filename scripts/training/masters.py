"""Float32 masters of a bf16 model: gradients summed over ranks, both optimizers, the running average."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.muon import Muon

_CLIP = 1.0
_DECAY = 0.998
_WEIGHT_DECAY = 0.01


def _by_muon(name: str, weight: Tensor) -> bool:
    """Matrices between hidden states of the image stream; the text stream is too slight to be worth it."""
    return weight.dim() == 2 and "double_blocks" in name and ".img_" in name


class Masters:
    """Owns the weights; the model's own bf16 ones are a copy to compute with."""

    def __init__(self, model: nn.Module, muon_rate: float, adam_rate: float) -> None:
        self._params = dict(model.named_parameters())
        self._weights = {name: p.detach().float().clone() for name, p in self._params.items()}
        self._average = {name: weight.clone() for name, weight in self._weights.items()}
        muon = [w for name, w in self._weights.items() if _by_muon(name, w)]
        rest = [w for name, w in self._weights.items() if not _by_muon(name, w)]
        self._muon = Muon(muon, _WEIGHT_DECAY)
        self._adam = torch.optim.AdamW(
            rest, lr=adam_rate, betas=(0.9, 0.98), weight_decay=_WEIGHT_DECAY, fused=True
        )
        self._muon_rate, self._adam_rate = muon_rate, adam_rate

    def collect(self, *numbers: float) -> list[float]:
        """Mean gradients of all ranks, clipped, and the means of some numbers on the way."""
        grads = [
            torch.zeros_like(w).flatten() if p.grad is None else p.grad.float().flatten()
            for p, w in zip(self._params.values(), self._weights.values(), strict=True)
        ]
        flat = torch.cat([*grads, torch.tensor(numbers, device=grads[0].device)])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        total, means = flat[: -len(numbers)], flat[-len(numbers) :].tolist()
        total *= (_CLIP / (total.norm() + 1e-6)).clamp(max=1)
        pieces = torch.split(total, [grad.numel() for grad in grads])
        for param, weight, piece in zip(self._params.values(), self._weights.values(), pieces, strict=True):
            weight.grad, param.grad = piece.view_as(weight), None
        return means

    @torch.no_grad()
    def update(self, step: int, rate_factor: float) -> None:
        """Step both optimizers, follow with the average, refresh the model's copy."""
        self._muon.step(self._muon_rate * rate_factor)
        for group in self._adam.param_groups:
            group["lr"] = self._adam_rate * rate_factor
        self._adam.step()
        share = 1 - min(_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._average.values()), list(self._weights.values()), share)
        self._copy_to_model(self._weights)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Compute with the running average for a while."""
        self._copy_to_model(self._average)
        yield
        self._copy_to_model(self._weights)

    def averaged_weights(self) -> dict[str, Tensor]:
        return self._average

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "weights": self._weights,
            "average": self._average,
            "muon": self._muon.state(),
            "adam": self._adam.state_dict(),
        }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(state["weights"][name])
            self._average[name].copy_(state["average"][name])
        torch._foreach_copy_(self._muon.state(), state["muon"])
        self._adam.load_state_dict(state["adam"])
        self._copy_to_model(self._weights)

    @torch.no_grad()
    def _copy_to_model(self, weights: dict[str, Tensor]) -> None:
        torch._foreach_copy_(list(self._params.values()), list(weights.values()))
