"""Float32 master weights of a bf16 model: average gradients over ranks, two optimizers, running average."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.muon import Muon


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which optimizer trains which weights, and the settings of both."""

    by_muon: Callable[[str, Tensor], bool]  # takes a weight's name and the weight; AdamW trains the others
    muon_rate: float
    adam_rate: float
    betas: tuple[float, float]  # AdamW's
    weight_decay: float
    clip: float  # the largest norm of all gradients together
    average_decay: float  # of the running average, once it has run for long


class Masters:
    """Owns the float32 weights. The model's bf16 weights are a copy for computing."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self._params = dict(model.named_parameters())
        self._weights = {name: p.detach().float().clone() for name, p in self._params.items()}
        self._average = {name: weight.clone() for name, weight in self._weights.items()}
        muon = [w for name, w in self._weights.items() if recipe.by_muon(name, w)]
        rest = [w for name, w in self._weights.items() if not recipe.by_muon(name, w)]
        self._muon = Muon(muon, recipe.weight_decay)
        self._adam = torch.optim.AdamW(
            rest, lr=recipe.adam_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
        )
        self._recipe = recipe

    def collect(self, *numbers: float) -> list[float]:
        """Average gradients over all ranks, and clip them. Returns: the means of `numbers` over the ranks."""
        grads = [
            torch.zeros_like(w).flatten() if p.grad is None else p.grad.float().flatten()
            for p, w in zip(self._params.values(), self._weights.values(), strict=True)
        ]
        flat = torch.cat([*grads, torch.tensor(numbers, device=grads[0].device)])
        if dist.get_world_size() > 1:
            dist.all_reduce(flat)
            flat /= dist.get_world_size()
        total, means = flat[: -len(numbers)], flat[-len(numbers) :].tolist()
        total *= (self._recipe.clip / (total.norm() + 1e-6)).clamp(max=1)
        pieces = torch.split(total, [grad.numel() for grad in grads])
        for param, weight, piece in zip(self._params.values(), self._weights.values(), pieces, strict=True):
            weight.grad, param.grad = piece.view_as(weight), None
        return means

    @torch.no_grad()
    def update(self, step: int, rate_factor: float) -> None:
        """Step both optimizers, update the running average, and refresh the model's copy."""
        self._muon.step(self._recipe.muon_rate * rate_factor)
        for group in self._adam.param_groups:
            group["lr"] = self._recipe.adam_rate * rate_factor
        self._adam.step()
        share = 1 - min(self._recipe.average_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._average.values()), list(self._weights.values()), share)
        self._copy_to_model(self._weights)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Compute with the running average while this context is open."""
        self._copy_to_model(self._average)
        yield
        self._copy_to_model(self._weights)

    @torch.no_grad()
    def settle(self) -> None:
        """Replace the weights by the running average, at the end of their training."""
        torch._foreach_copy_(list(self._weights.values()), list(self._average.values()))
        self._copy_to_model(self._weights)

    def averaged_weights(self) -> dict[str, Tensor]:
        return self._average

    def state(self) -> dict[str, Any]:
        """Return everything that a resumed run needs."""
        return {
            "weights": self._weights,
            "average": self._average,
            "muon": self._muon.state(),
            "adam": self._adam.state_dict(),
        }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Load what `state` returned. Raises: ValueError if it is of another model, and loads nothing."""
        if _shapes(state["weights"]) != _shapes(self._weights):
            raise ValueError("expected a state of this recipe's model, got another's: use another folder")
        for name, weight in self._weights.items():
            weight.copy_(state["weights"][name])
            self._average[name].copy_(state["average"][name])
        for mean, stored in zip(self._muon.state(), state["muon"], strict=True):
            mean.copy_(stored)
        self._adam.load_state_dict(state["adam"])
        self._copy_to_model(self._weights)

    @torch.no_grad()
    def _copy_to_model(self, weights: dict[str, Tensor]) -> None:
        torch._foreach_copy_(list(self._params.values()), list(weights.values()))


def _shapes(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}
